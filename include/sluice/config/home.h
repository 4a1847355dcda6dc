// `~/` at the begin of a path, as shells read it: no shell has seen what stands in a file of
// settings or behind a '='.
#pragma once

#include <string>
#include <string_view>

namespace sluice::config {

// The path, with the user's home folder for a `~/` at its begin; as it is where there is none.
std::string with_home(std::string_view path);
// The same for what may be unix:PATH.
std::string address_with_home(std::string_view text);

}  // namespace sluice::config
