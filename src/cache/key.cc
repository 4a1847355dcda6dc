#include "sluice/cache/key.h"

#include "sluice/base/assert.h"

#include <array>

namespace sluice::cache {

namespace {

// The canonical form of these parts, or of a body, has changed: a new word, so that no old key is
// met (a disk may keep some).
constexpr std::string_view format = "sluice answer 2";
constexpr std::string_view item_format = "sluice item 1";
constexpr std::string_view context_format = "sluice context 1";
// Stands where a value is left out; no JSON has it.
constexpr char hole_mark = '\x01';

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

void add_run(void* context, std::string_view run) {
    auto& to = *static_cast<Hashing*>(context);
    to.hash.update(run);
    to.bytes += run.size();
}

// All but the body.
void add_parts(Sha256& hash, std::string_view word, const KeyParts& parts) {
    SLUICE_ASSERT(parts.scope.kind != ScopeKind::everybody || parts.scope.name.empty());
    static constexpr std::string_view kinds[] = {"consumer", "group", "everybody"};
    for (const std::string_view part :
         {word, kinds[static_cast<std::size_t>(parts.scope.kind)], parts.scope.name, parts.model,
          parts.backend_model, parts.build, parts.endpoint, parts.fields, parts.credentials}) {
        add_part(hash, part);
    }
}

// As CanonicalJson::write(), but for `hole` in it. As deep as the text is, which has a bound.
void write_around(const llm::CanonicalJson& json, llm::CanonicalJson::Id value,
                  llm::CanonicalJson::Id hole, llm::RunWriter& out) {
    if (value == hole) return out.put(hole_mark);
    if (hole < value || hole >= json.after(value)) return json.write(value, out);
    const auto kind = json.kind(value);
    const bool is_object = kind == llm::CanonicalJson::Kind::object;
    SLUICE_ASSERT(is_object || kind == llm::CanonicalJson::Kind::array);
    out.put(is_object ? '{' : '[');
    for (std::size_t i = 0; is_object && i < json.member_count(value); ++i) {
        if (i > 0) out.put(',');
        out.put('"');
        out.put(json.key(value, i));
        out.put("\":");
        write_around(json, json.member(value, i), hole, out);
    }
    for (auto each = value + 1; !is_object && each != json.after(value); each = json.after(each)) {
        if (each != value + 1) out.put(',');
        write_around(json, each, hole, out);
    }
    out.put(is_object ? '}' : ']');
}

}  // namespace

Bypass KeyMaker::read(const llm::Endpoint& endpoint, const mem::Chain& body) {
    if (body.slices() == 1) return read(endpoint, body.front().text());
    gathered_.clear();
    // One that is too large is not copied whole to be told so.
    body.for_each([this](const mem::Slice& slice) {
        gathered_ += slice.text();
        return gathered_.size() <= request_.bytes_max();
    });
    return read(endpoint, std::string_view(gathered_));
}

void KeyMaker::release() {
    request_.release();
    body_ = {};
    std::string().swap(gathered_);
}

Key KeyMaker::key(const KeyParts& parts) const {
    Hashing hashing;
    add_parts(hashing.hash, format, parts);
    llm::RunWriter out(add_run, &hashing);
    request_.write(out);
    out.flush();
    add_length(hashing.hash, hashing.bytes);
    return {hashing.hash.finish()};
}

std::vector<Key> KeyMaker::item_keys(const KeyParts& parts, std::string_view member,
                                     bool is_one) const {
    const llm::CanonicalJson& json = request_.json();
    const auto list = json.find(llm::CanonicalJson::root, member);
    SLUICE_ASSERT(list.has_value());
    // What all of them have in common is hashed once.
    Hashing common;
    add_parts(common.hash, item_format, parts);
    llm::RunWriter rest(add_run, &common);
    request_.write(rest, member);
    rest.flush();
    add_length(common.hash, common.bytes);
    const auto key_of = [&](llm::CanonicalJson::Id item) {
        Hashing hashing{common.hash, 0};
        llm::RunWriter out(add_run, &hashing);
        json.write(item, out);
        out.flush();
        add_length(hashing.hash, hashing.bytes);
        return Key{hashing.hash.finish()};
    };
    if (is_one) return {key_of(*list)};
    std::vector<Key> keys;
    for (auto item = *list + 1; item != json.after(*list); item = json.after(item))
        keys.push_back(key_of(item));
    return keys;
}

Key KeyMaker::key_around(const KeyParts& parts, std::string_view member,
                         llm::CanonicalJson::Id hole) const {
    const llm::CanonicalJson& json = request_.json();
    const auto value = json.find(llm::CanonicalJson::root, member);
    SLUICE_ASSERT(value && hole >= *value && hole < json.after(*value));
    Hashing hashing;
    add_parts(hashing.hash, context_format, parts);
    llm::RunWriter rest(add_run, &hashing);
    request_.write(rest, member);
    rest.flush();
    add_length(hashing.hash, hashing.bytes);
    hashing.bytes = 0;
    llm::RunWriter around(add_run, &hashing);
    write_around(json, *value, hole, around);
    around.flush();
    add_length(hashing.hash, hashing.bytes);
    return {hashing.hash.finish()};
}

}  // namespace sluice::cache
