// Reading a small file whole, with a bound on its size.
#pragma once

#include "sluice/base/result.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice::config {

enum class Readers : std::uint8_t { anyone, owner_only };

// Regular files; pipes too where anyone may read. The error says what is wrong and repeats neither
// path nor content.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max, Readers readers);

}  // namespace sluice::config
