#include "sluice/http/field_id.h"

#include "sluice/base/assert.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace sluice::http {

namespace {

struct Known {
    std::string_view name;  // in small letters
    FieldId id = FieldId::other;
};

constexpr Known known[] = {
    {"accept-encoding", FieldId::accept_encoding},
    {"api-key", FieldId::api_key},
    {"apikey", FieldId::apikey},
    {"authorization", FieldId::authorization},
    {"cache-control", FieldId::cache_control},
    {"connection", FieldId::connection},
    {"content-encoding", FieldId::content_encoding},
    {"content-length", FieldId::content_length},
    {"content-type", FieldId::content_type},
    {"cookie", FieldId::cookie},
    {"expect", FieldId::expect},
    {"forwarded", FieldId::forwarded},
    {"host", FieldId::host},
    {"origin", FieldId::origin},
    {"referer", FieldId::referer},
    {"request-id", FieldId::request_id},
    {"retry-after", FieldId::retry_after},
    {"retry-after-ms", FieldId::retry_after_ms},
    {"sec-fetch-site", FieldId::sec_fetch_site},
    {"server", FieldId::server},
    {"transfer-encoding", FieldId::transfer_encoding},
    {"x-accel-buffering", FieldId::x_accel_buffering},
    {"x-api-key", FieldId::x_api_key},
    {"x-conversation-id", FieldId::x_conversation_id},
    {"x-forwarded-for", FieldId::x_forwarded_for},
    {"x-forwarded-host", FieldId::x_forwarded_host},
    {"x-forwarded-proto", FieldId::x_forwarded_proto},
    {"x-goog-api-key", FieldId::x_goog_api_key},
    {"x-real-ip", FieldId::x_real_ip},
    {"x-request-id", FieldId::x_request_id},
    {"x-request-timeout", FieldId::x_request_timeout},
    {"x-should-retry", FieldId::x_should_retry},
    {"x-sluice-backend", FieldId::x_sluice_backend},
    {"x-stainless-read-timeout", FieldId::x_stainless_read_timeout},
    {"x-stainless-retry-count", FieldId::x_stainless_retry_count},
    {"http2-settings", FieldId::hop_by_hop},
    {"keep-alive", FieldId::hop_by_hop},
    {"proxy-authenticate", FieldId::hop_by_hop},
    {"proxy-authentication-info", FieldId::hop_by_hop},
    {"proxy-authorization", FieldId::hop_by_hop},
    {"proxy-connection", FieldId::hop_by_hop},
    {"te", FieldId::hop_by_hop},
    {"trailer", FieldId::hop_by_hop},
    {"upgrade", FieldId::hop_by_hop},
    {"access-control-allow-credentials", FieldId::cross_origin_grant},
    {"access-control-allow-headers", FieldId::cross_origin_grant},
    {"access-control-allow-methods", FieldId::cross_origin_grant},
    {"access-control-allow-origin", FieldId::cross_origin_grant},
    {"access-control-allow-private-network", FieldId::cross_origin_grant},
    {"access-control-expose-headers", FieldId::cross_origin_grant},
};

// Of a token, this makes letters small. '^' and '_' become '~' and DEL, which no known name has;
// digits and '-' stay.
constexpr std::uint64_t small_letters = 0x2020202020202020;

// Where a name would stand in the table: no two known ones at the same place.
constexpr std::size_t slots = 256;

constexpr std::size_t slot_of(std::string_view name, std::uint64_t factor) {
    const auto at = [name](std::size_t i) {
        return static_cast<std::uint64_t>(static_cast<unsigned char>(name[i])) | 0x20;
    };
    const std::size_t size = name.size();
    const std::uint64_t key =
        size << 24 | at(size / 2) << 16 | at(size * 3 / 4) << 8 | at(size - 1);
    return static_cast<std::size_t>(key * factor >> 56);
}

constexpr bool separates(std::uint64_t factor) {
    std::array<bool, slots> taken{};
    for (const Known& each : known) {
        bool& here = taken[slot_of(each.name, factor)];
        if (here) return false;
        here = true;
    }
    return true;
}

consteval std::uint64_t find_factor() {
    std::uint64_t factor = 0x9e3779b97f4a7c15;
    while (!separates(factor))
        factor = factor * 6364136223846793005 + 1442695040888963406;
    return factor;
}

constexpr std::uint64_t factor = find_factor();

constexpr std::array<Known, slots> make_table() {
    std::array<Known, slots> table{};
    for (const Known& each : known)
        table[slot_of(each.name, factor)] = each;
    return table;
}

constexpr std::array<Known, slots> table = make_table();

// Eight bytes of a token, or of a known name, in small letters.
std::uint64_t eight_bytes(const char* p) {
    std::uint64_t bytes;
    std::memcpy(&bytes, p, sizeof bytes);
    return bytes | small_letters;
}

// Whether a token of that size is the name in small letters.
bool is_name(const char* token, std::string_view name) {
    const std::size_t size = name.size();
    if (size < 8) {
        for (std::size_t i = 0; i < size; ++i)
            if (static_cast<char>(token[i] | 0x20) != name[i]) return false;
        return true;
    }
    for (std::size_t i = 0; i + 8 < size; i += 8)
        if (eight_bytes(token + i) != eight_bytes(name.data() + i)) return false;
    return eight_bytes(token + size - 8) == eight_bytes(name.data() + size - 8);
}

}  // namespace

FieldId field_id(std::string_view name) {
    SLUICE_ASSERT(!name.empty());
    const Known& each = table[slot_of(name, factor)];
    if (each.name.size() == name.size() && is_name(name.data(), each.name)) return each.id;
    const char first = static_cast<char>(name.front() | 0x20);
    if (name.size() <= 8 || (first != 'x' && first != 's')) return FieldId::other;
    const std::uint64_t begin = eight_bytes(name.data());
    if (begin == eight_bytes("sec-fetc") && name.size() > 10 && is_name(name.data() + 8, "h-"))
        return FieldId::sec_fetch;
    if (begin == eight_bytes("x-sluice") && name[8] == '-') return FieldId::x_sluice;
    if (begin == eight_bytes("x-consum") && name.size() > 9 && is_name(name.data() + 8, "er"))
        return FieldId::x_consumer;
    return FieldId::other;
}

}  // namespace sluice::http
