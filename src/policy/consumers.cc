#include "sluice/policy/consumers.h"

#include "sluice/base/assert.h"
#include "sluice/policy/hash.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace sluice::policy {
namespace {

bool is_key(std::string_view text) {
    return !text.empty() && text.size() <= key_bytes_max &&
           std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

// What stands behind the scheme, where that is Bearer; the whole, which is then no key, otherwise.
std::string_view behind_bearer(std::string_view credentials) {
    constexpr std::string_view scheme = "Bearer";
    if (!http::same_name(credentials.substr(0, scheme.size()), scheme)) return credentials;
    const std::string_view behind = credentials.substr(scheme.size());
    const std::size_t spaces = std::min(behind.find_first_not_of(" \t"), behind.size());
    return spaces == 0 && !behind.empty() ? credentials : behind.substr(spaces);
}

// What tools fill in where something must stand and no key is needed: of the manuals of vLLM,
// Ollama, LM Studio and llama.cpp.
bool is_dummy(std::string_view key) {
    static constexpr std::array<std::string_view, 7> words{
        "none", "empty", "null", "dummy", "ollama", "lm-studio", "sk-no-key-required"};
    return std::ranges::any_of(words,
                               [key](std::string_view word) { return http::same_name(key, word); });
}

}  // namespace

std::optional<std::string_view> presented_key(const http::Head& head) {
    if (!head.present.meets(key_fields)) return std::nullopt;
    std::optional<std::string_view> found;
    std::optional<std::string_view> dummy;
    bool dummies_differ = false;
    http::FieldSet seen;
    for (const http::Field& field : head.fields()) {
        if (!key_fields.contains(field.id)) continue;
        if (seen.contains(field.id)) return std::nullopt;
        seen.add(field.id);
        const bool scheme_first = field.id == http::FieldId::authorization;
        const std::string_view key = scheme_first ? behind_bearer(field.value) : field.value;
        if (key.empty()) continue;
        const bool no_scheme = scheme_first && key.size() == field.value.size();
        if (no_scheme || !is_key(key)) return std::nullopt;
        auto& known = is_dummy(key) ? dummy : found;
        const bool differs = known && *known != key;
        if (differs && &known == &found) return std::nullopt;
        dummies_differ |= differs;
        known = key;
    }
    if (found) return found;
    return dummies_differ ? std::nullopt : dummy;
}

Consumers::Consumers(const std::vector<config::ConsumerSetting>& settings) {
    for (const auto& setting : settings) {
        Consumer& consumer = consumers_.emplace_back();
        consumer.name = setting.name;
        consumer.priority = setting.priority;
        consumer.key = hash_text(setting.name);
        consumer.admin = setting.admin;
        consumer.group = setting.group;
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
