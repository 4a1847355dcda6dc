// FieldId: the header fields that the gateway acts on, told apart once, when a head is read.
//
// Who looks for a field then compares a number, and a set of fields is a word of bits.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace sluice::http {

enum class FieldId : std::uint8_t {
    other,  // nothing that the gateway acts on by its name
    accept_encoding,
    api_key,
    apikey,
    authorization,
    cache_control,
    connection,
    content_encoding,
    content_length,
    content_type,
    cookie,
    expect,
    forwarded,
    host,
    origin,
    referer,
    request_id,
    retry_after,
    retry_after_ms,
    sec_fetch_site,
    server,
    transfer_encoding,
    x_accel_buffering,
    x_api_key,
    x_conversation_id,
    x_forwarded_for,
    x_forwarded_host,
    x_forwarded_proto,
    x_goog_api_key,
    x_real_ip,
    x_request_id,
    x_request_timeout,
    x_should_retry,
    x_sluice_backend,
    x_stainless_read_timeout,
    x_stainless_retry_count,
    // --- families: nothing but the family matters ---
    hop_by_hop,          // of one hop by their definition (RFC 9110 section 7.6.1), not named above
    cross_origin_grant,  // access-control-*: which pages may read an answer
    sec_fetch,           // the other sec-fetch-*: what a browser says of the page that asks
    x_consumer,          // x-consumer*
    x_sluice,            // the other x-sluice-*
};

// `name` is a token, in any case.
FieldId field_id(std::string_view name);

// A set of known fields; `other` is in none.
class FieldSet {
public:
    constexpr FieldSet() = default;
    constexpr FieldSet(std::initializer_list<FieldId> ids) {
        for (const FieldId id : ids)
            add(id);
    }

    constexpr bool contains(FieldId id) const {
        return (bits_ >> static_cast<unsigned>(id) & 1) != 0;
    }
    constexpr void add(FieldId id) {
        if (id != FieldId::other) bits_ |= std::uint64_t{1} << static_cast<unsigned>(id);
    }
    constexpr bool meets(FieldSet other) const { return (bits_ & other.bits_) != 0; }
    constexpr FieldSet operator|(FieldSet more) const {
        more.bits_ |= bits_;
        return more;
    }

private:
    std::uint64_t bits_ = 0;
};

}  // namespace sluice::http
