#include "sluice/policy/consumers.h"

#include "sluice/base/assert.h"
#include "sluice/policy/hash.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice::policy {
namespace {

bool is_key(std::string_view text) {
    return !text.empty() && text.size() <= key_bytes_max &&
           std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

// What stands behind the scheme, which is Bearer; empty otherwise.
std::string_view behind_bearer(std::string_view credentials) {
    constexpr std::string_view scheme = "Bearer";
    if (!http::same_name(credentials.substr(0, scheme.size()), scheme)) return {};
    credentials.remove_prefix(scheme.size());
    const std::size_t spaces = std::min(credentials.find_first_not_of(' '), credentials.size());
    return spaces == 0 ? std::string_view() : credentials.substr(spaces);
}

}  // namespace

std::optional<std::string_view> presented_key(const http::Head& head) {
    if (!head.present.meets(key_fields)) return std::nullopt;
    std::optional<std::string_view> found;
    http::FieldSet seen;
    for (const http::Field& field : head.fields()) {
        if (!key_fields.contains(field.id)) continue;
        if (seen.contains(field.id)) return std::nullopt;
        seen.add(field.id);
        const bool scheme_first = field.id == http::FieldId::authorization;
        const std::string_view key = scheme_first ? behind_bearer(field.value) : field.value;
        if (!is_key(key) || (found && *found != key)) return std::nullopt;
        found = key;
    }
    SLUICE_ASSERT(found.has_value());
    return found;
}

Consumers::Consumers(const std::vector<config::ConsumerSetting>& settings) {
    for (const auto& setting : settings) {
        Consumer& consumer = consumers_.emplace_back();
        consumer.name = setting.name;
        consumer.priority = setting.priority;
        consumer.key = hash_text(setting.name);
        consumer.admin = setting.admin;
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
