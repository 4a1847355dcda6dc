// The head of one HTTP/1.1 message: what RFC 9112 puts before the body, parsed once.
//
// Every view points into the text that was given to Parser::parse_head(); that text must outlive
// the head. Authentication, limits, routing, logs and forwarding all read this one object, so they
// can never disagree about a request.
#pragma once

#include "sluice/base/limits.h"
#include "sluice/http/field_id.h"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::http {

// `other`: known to llhttp, but nothing that is served here. The parser refuses what llhttp does
// not know, CONNECT and TRACE, so the last two never reach a stage.
enum class Method : std::uint8_t {
    get,
    head,
    post,
    put,
    del,
    options,
    patch,
    other,
    trace,
    connect,
};

// How the end of a body is found (RFC 9112 section 6.3).
enum class Framing : std::uint8_t { none, length, chunked, until_close };

struct Field {
    std::string_view name;   // as it was sent; compare with same_name()
    std::string_view value;  // without the white space around it
    FieldId id = FieldId::other;
    bool as_is = false;  // in the text it stands as name ": " value CRLF
};

// Field names compare without case (RFC 9110 section 5.1).
bool same_name(std::string_view a, std::string_view b);

struct Head {
    // --- request ---
    Method method = Method::other;
    std::string_view method_text;
    // As sent: path and query. An absolute-form target is cut to it; "*" only with OPTIONS. A null
    // view where that had no path before its query: then it is path, '?' and query.
    std::string_view target;
    std::string_view path;   // target without the query; see check_path() before it decides
    std::string_view query;  // without the '?'
    // host[:port], checked; no null view but in HTTP/1.0. Agrees with an absolute-form target.
    std::string_view host;
    // --- response ---
    int status = 0;
    std::string_view reason;
    // --- both ---
    int minor = 1;  // HTTP/1.minor
    Framing framing = Framing::none;
    std::uint64_t content_length = 0;  // bytes; meaningful when framing is `length`
    bool has_content_length = false;   // the field was there (also in an answer to HEAD)
    bool keep_alive = false;           // RFC 9112 section 9.3, version and Connection considered
    bool expect_continue = false;      // request with `Expect: 100-continue`, HTTP/1.1 only
    std::size_t bytes = 0;             // length of the head in the text, blank line included

    std::span<const Field> fields() const { return {storage.data(), count}; }

    // The value of the first field of that name; null view when there is none.
    std::string_view find(FieldId id) const;
    std::string_view find(std::string_view name) const;  // of one that has no FieldId of its own
    bool has(FieldId id) const { return present.contains(id); }
    // The Content-Type without its parameters; compare with same_name(). Null where it has none.
    std::string_view media_type() const;
    // How many fields of that name there are.
    std::size_t occurrences(std::string_view name) const;
    // Whether the Connection field names `field` as hop-by-hop (RFC 9110 section 7.6.1).
    bool connection_lists(std::string_view field) const;

    std::array<Field, limits::header_fields_max> storage;
    std::size_t count = 0;
    FieldSet present;
};

}  // namespace sluice::http
