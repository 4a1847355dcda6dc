// likely_path: what a client with a wrong base URL meant.
//
// Base URLs are typed by hand: with /v1 twice or not at all, with a slash too many, with the path
// of an endpoint in them, in capitals. Only the words of a 404 go by it; nothing is served by
// guess.
#pragma once

#include <string>
#include <string_view>

namespace sluice::proxy {

// The path that is served and most like this one, which is not; empty: none is.
std::string likely_path(std::string_view path);

}  // namespace sluice::proxy
