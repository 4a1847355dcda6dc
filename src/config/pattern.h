// Regular expressions of the file: whether one can be compiled, and how many groups it has.
#pragma once

#include "sluice/base/result.h"

#include <cstddef>
#include <string>

namespace sluice::config {

// The library that compiles them recurses over them.
inline constexpr std::size_t pattern_bytes_max = 256;

// ECMAScript's grammar. The error is a sentence for the person who wrote it.
Result<unsigned> groups_of(const std::string& pattern);

}  // namespace sluice::config
