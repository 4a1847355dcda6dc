// Counts what the test program allocates; the operators are replaced in main.cc.
#pragma once

#include <cstddef>

namespace sluice::test {

struct Allocations {
    std::size_t count = 0;
    std::size_t live_bytes = 0;
};

const Allocations& allocations();

}  // namespace sluice::test
