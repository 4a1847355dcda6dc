#include "sluice/cache/key.h"

#include "sluice/base/assert.h"

#include <array>

namespace sluice::cache {

namespace {

// The canonical form of these parts, or of a body, has changed: a new word, so that no old key is
// met (a disk may keep some).
constexpr std::string_view format = "sluice answer 2";

struct Hashing {
    Sha256 hash;
    std::uint64_t bytes = 0;
};

void add_length(Sha256& hash, std::uint64_t length) {
    std::array<char, 8> bytes;
    for (char& byte : bytes) {
        byte = static_cast<char>(length & 0xFF);
        length >>= 8;
    }
    hash.update({bytes.data(), bytes.size()});
}

void add_part(Sha256& hash, std::string_view part) {
    add_length(hash, part.size());
    hash.update(part);
}

}  // namespace

Bypass KeyMaker::read(const llm::Endpoint& endpoint, const mem::Chain& body) {
    if (body.slices() == 1) return request_.read(endpoint, body.front().text());
    gathered_.clear();
    // One that is too large is not copied whole to be told so.
    body.for_each([this](const mem::Slice& slice) {
        gathered_ += slice.text();
        return gathered_.size() <= request_.bytes_max();
    });
    return request_.read(endpoint, gathered_);
}

void KeyMaker::release() {
    request_.release();
    std::string().swap(gathered_);
}

Key KeyMaker::key(const KeyParts& parts) const {
    SLUICE_ASSERT(parts.scope.kind != ScopeKind::everybody || parts.scope.name.empty());
    static constexpr std::string_view kinds[] = {"consumer", "group", "everybody"};
    Hashing hashing;
    for (const std::string_view part :
         {format, kinds[static_cast<std::size_t>(parts.scope.kind)], parts.scope.name, parts.model,
          parts.backend_model, parts.build, parts.endpoint, parts.fields, parts.credentials}) {
        add_part(hashing.hash, part);
    }
    llm::RunWriter out(
        [](void* context, std::string_view run) {
            auto& to = *static_cast<Hashing*>(context);
            to.hash.update(run);
            to.bytes += run.size();
        },
        &hashing);
    request_.write(out);
    out.flush();
    add_length(hashing.hash, hashing.bytes);
    return {hashing.hash.finish()};
}

}  // namespace sluice::cache
