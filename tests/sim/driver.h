// What every simulation program shares: its command line, the loop over seeds, and failures that
// say how to replay them.
//
//   sim_x [--seed N] [--count M] [--faults none|light|heavy] [--regressions FILE]
//
// A line of the file is "FAULTS SEED", with a comment behind '#': a run that once failed.
#pragma once

#include "faults.h"

#include <cstdint>
#include <string>

namespace sluice::sim {

// One run of a scenario.
struct Run {
    std::uint64_t seed;
    Faults faults;
    bool may_lose;  // with these faults a connection may break without anybody's doing
};

// Runs `scenario` for every seed and returns what main() returns. The scenario gives back how many
// of the things it is about it has run (connections, requests).
int drive(int argc, char** argv, const char* unit, std::uint64_t (*scenario)(const Run& run));

// Ends the program: says what is wrong, with which seed, and the command that shows it again.
[[noreturn]] void fail(const std::string& what);
inline void expect(bool holds, const char* what) {
    if (!holds) fail(what);
}

}  // namespace sluice::sim
