#include "sluice/policy/consumers.h"

#include "sluice/base/assert.h"
#include "sluice/policy/hash.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice::policy {
namespace {

constexpr std::string_view bearer = "Bearer ";

bool is_key(std::string_view text) {
    return !text.empty() && text.size() <= key_bytes_max &&
           std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

// The value of that field, which has to be there once; empty otherwise.
std::string_view only_value(const http::Head& head, http::FieldId id) {
    std::string_view value;
    int found = 0;
    for (const http::Field& field : head.fields()) {
        if (field.id != id) continue;
        value = field.value;
        ++found;
    }
    return found == 1 ? value : std::string_view();
}

}  // namespace

std::optional<std::string_view> presented_key(const http::Head& head) {
    using http::FieldId;
    std::string_view bearer_key;
    if (head.has(FieldId::authorization)) {
        bearer_key = only_value(head, FieldId::authorization);
        if (!bearer_key.starts_with(bearer)) return std::nullopt;
        bearer_key.remove_prefix(bearer.size());
        if (!is_key(bearer_key)) return std::nullopt;
        if (!head.has(FieldId::x_api_key)) return bearer_key;
    }
    const std::string_view key = only_value(head, FieldId::x_api_key);
    if (!is_key(key) || (!bearer_key.empty() && bearer_key != key)) return std::nullopt;
    return key;
}

Consumers::Consumers(const std::vector<config::ConsumerSetting>& settings) {
    for (const auto& setting : settings) {
        Consumer& consumer = consumers_.emplace_back();
        consumer.name = setting.name;
        consumer.priority = setting.priority;
        consumer.key = hash_text(setting.name);
        for (const auto& [name, value] : setting.labels)
            consumer.labels.push_back({name, value});
        for (const auto& key : setting.keys)
            keys_.push_back({key.sha256, consumers_.size() - 1, key.id});
    }
    if (keys_.empty()) return;
    table_.resize(std::bit_ceil(keys_.size() * 2));
    for (std::size_t i = 0; i < keys_.size(); ++i) {
        std::size_t at = place_of(keys_[i].digest);
        while (table_[at] != 0)
            at = (at + 1) % table_.size();
        table_[at] = static_cast<std::uint32_t>(i + 1);
    }
}

// Whoever could choose digests that meet would have to find keys to them first.
std::size_t Consumers::place_of(const Digest& digest) const {
    std::uint64_t begin;
    std::memcpy(&begin, digest.data(), sizeof begin);
    return begin % table_.size();
}

std::optional<Consumers::Found> Consumers::find(const Digest& digest) const {
    if (keys_.empty()) return std::nullopt;
    for (std::size_t at = place_of(digest); table_[at] != 0; at = (at + 1) % table_.size()) {
        const Key& key = keys_[table_[at] - 1];
        if (same_digest(key.digest, digest)) return Found{&consumers_[key.consumer], key.id};
    }
    return std::nullopt;
}

}  // namespace sluice::policy
