// Consumers: who asks, found by the key that a request carries.
//
// Keys are compared by their digests, and those in constant time: how long a refusal takes says
// nothing of any key. Built once from the configuration, of which it keeps views. Finding one
// allocates nothing and does not depend on how many there are.
#pragma once

#include "sluice/base/digest.h"
#include "sluice/config/consumer_settings.h"
#include "sluice/http/head.h"
#include "sluice/policy/route.h"
#include "sluice/policy/wait_queue.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace sluice::policy {

struct Consumer {
    std::string_view name;
    std::vector<Label> labels;
    std::optional<std::uint8_t> priority;  // no header puts its requests before that
    ConsumerKey key = 0;                   // the same on every shard and after a restart
    bool admin = false;                    // sees what all of them do
    std::string_view group;                // whose answers it shares; empty: nobody's
};

// A longer key is nobody's.
inline constexpr std::size_t key_bytes_max = 1024;

// The fields in which clients send a key: OpenAI's and Anthropic's, Azure's, Google's, and that of
// gateways.
inline constexpr http::FieldSet key_fields = {
    http::FieldId::authorization,  http::FieldId::x_api_key, http::FieldId::api_key,
    http::FieldId::x_goog_api_key, http::FieldId::apikey,
};

// The key that a request carries: `Authorization: Bearer KEY`, with the scheme in any case and one
// or more blanks behind it (RFC 9110 sections 11.1 and 11.4), or KEY in another of the key_fields.
// A field without a value is none of them, and one of the words that tools fill in where there is
// no key ("none", "EMPTY", "ollama") counts only where there is no other key.
// None where there is none, or where it is not clear which one is meant: a field twice, two fields
// with different keys, another scheme, anything but visible characters.
std::optional<std::string_view> presented_key(const http::Head& head);

class Consumers {
public:
    Consumers() = default;
    // `settings` outlive it.
    explicit Consumers(const std::vector<config::ConsumerSetting>& settings);

    // Nobody has to say who they are.
    bool empty() const { return consumers_.empty(); }

    struct Found {
        const Consumer* consumer;
        std::string_view key_id;
    };
    std::optional<Found> find(const Digest& digest) const;

private:
    struct Key {
        Digest digest;
        std::size_t consumer;
        std::string_view id;
    };
    std::size_t place_of(const Digest& digest) const;

    std::vector<Consumer> consumers_;
    std::vector<Key> keys_;
    std::vector<std::uint32_t> table_;  // by digest, to key + 1; half of it is free
};

}  // namespace sluice::policy
