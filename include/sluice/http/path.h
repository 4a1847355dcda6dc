// Paths: one reading of a request's path for authentication, routing and the backend behind them.
//
// Pure. A path that two servers could read differently is refused instead of being repaired: then
// the bytes that policy compared are the bytes that are forwarded (row 162 of the fault list).
#pragma once

#include "sluice/base/result.h"

#include <string>
#include <string_view>

namespace sluice::http {

// Whether the path has only one reading. Refused with 400:
//   - no '/' at its begin, "//", a segment "." or "..", ';' (path parameters), '\';
//   - '%' without two hexadecimal digits behind it;
//   - an encoded '/', '\', ';', '%', control character or NUL;
//   - an encoded letter, digit, '-', '.', '_' or '~': RFC 3986 section 6.2.2.2 makes it equal to
//     the plain one, a string comparison does not.
// Other encoded characters ("%20", "%C3%A9") pass as they are. Case is significant.
// `path` is Head::path: without the query, of a target in origin-form.
Status check_path(std::string_view path);

// Decodes one segment that is data, such as the model id of /v1/models/{id}, which clients write
// with '/' as "%2F". For answers of our own only: a path that is decoded here is not forwarded.
// Refused with 400: a bad escape, and control characters.
Result<std::string> decode_segment(std::string_view segment);

}  // namespace sluice::http
