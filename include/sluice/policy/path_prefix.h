// Path prefixes: how the paths of rules and routes are compared with the path of a request.
//
// Both are paths that http::check_path() has passed, so each has one reading and is compared as it
// stands; only the hexadecimal digits of an escape are equal in both cases (RFC 3986 section
// 6.2.2.1). What matched is what is forwarded: nothing is decoded here.
#pragma once

#include <string_view>

namespace sluice::policy {

// Whether `path` is `prefix` or goes on behind it with a new segment: "/ai" is a prefix of "/ai"
// and
// "/ai/x", not of "/aim". A prefix that ends with '/' has to be there as it is.
bool path_has_prefix(std::string_view path, std::string_view prefix);

}  // namespace sluice::policy
