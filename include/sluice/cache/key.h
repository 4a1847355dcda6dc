// The key of an answer: who may see it, which model gave it, and what was asked.
//
// Pure. SHA-256 (FIPS 180-4), because the bodies are chosen by people who may want another one's
// answer: two bodies with one key cannot be found, which no hash for tables promises. What is
// hashed, in this order, each with its length in front (8 bytes, little-endian), so that no part
// can reach into the next: a word for this format; the kind of the scope; its name; the model's
// name, the backend's own name for it, its build; the endpoint; the fields of the head that change
// the answer; the credentials. Then the canonical body, which ends itself, with its length behind
// it.
#pragma once

#include "sluice/base/digest.h"
#include "sluice/cache/canonical.h"
#include "sluice/mem/chain.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::cache {

struct Key {
    Digest digest{};

    bool operator==(const Key&) const = default;
    // Evenly spread; but who chooses bodies can choose some bits of it, so a table mixes in a seed.
    std::uint64_t hash() const {
        std::uint64_t first = 0;
        std::memcpy(&first, digest.data(), sizeof first);
        return first;
    }
};

// Who shares answers. A consumer and a group of one name are two scopes.
enum class ScopeKind : std::uint8_t { consumer, group, everybody };

struct Scope {
    ScopeKind kind = ScopeKind::consumer;
    std::string_view name;  // empty for everybody, and for the consumer that has no key
};

struct KeyParts {
    Scope scope;
    std::string_view model;          // the name in the gateway
    std::string_view backend_model;  // the backend's own name for it
    std::string_view build;          // what the server tells of its build or file; may be empty
    std::string_view endpoint;       // path and query as the backend gets them
    std::string_view fields;         // see fields_of_key()
    // The client's own, where they go on to the backend, which alone knows whether they are good.
    std::string_view credentials;
};

class KeyMaker {
public:
    explicit KeyMaker(llm::JsonBounds bounds = {}) : request_(bounds) {}

    // Reads a body; key() may then be called for several models. `body` must stay until then.
    Bypass read(const llm::Endpoint& endpoint, std::string_view body) {
        body_ = body;
        return request_.read(endpoint, body);
    }
    // The same of a body as it came: what lies in more than one buffer is copied together.
    Bypass read(const llm::Endpoint& endpoint, const mem::Chain& body);
    bool deterministic() const { return request_.deterministic(); }
    const llm::Endpoint& endpoint() const { return request_.endpoint(); }
    std::string_view body() const { return body_; }  // in one piece
    Key key(const KeyParts& parts) const;
    // Of each element of the list `member` of the body, the key of the same request with that
    // element in the list's place. `is_one`: the member's value is no list, but an element.
    std::vector<Key> item_keys(const KeyParts& parts, std::string_view member, bool is_one) const;
    // Of the same request whatever the value `hole` is, which lies in the member of that name.
    Key key_around(const KeyParts& parts, std::string_view member,
                   llm::CanonicalJson::Id hole) const;
    const llm::CanonicalJson& json() const { return request_.json(); }

    // The scratch memory grows with the largest body and stays, so that nothing is allocated in
    // steady state: a few MiB at most. Given back when there is time, between two requests.
    std::size_t scratch_bytes() const { return request_.scratch_bytes() + gathered_.capacity(); }
    void release();

private:
    CanonicalRequest request_;
    std::string_view body_;
    std::string gathered_;
};

}  // namespace sluice::cache
