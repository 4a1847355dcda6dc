// Setup: what the options say put into loads, and looked at before anything is measured.
#pragma once

#include "options.h"

#include <string>
#include <vector>

namespace sluice::bench {

struct Setup {
    std::vector<RequestKind> kinds;
    std::vector<Load> loads;  // one a target
};

// Reads the scenario and the targets' URLs; looks whether the processes are there and whether the
// reports can be written. An error is one of the flags: it says which, and what is wrong with it.
Result<Setup> set_up(const Options& options);

// A whole text file.
Result<std::string> read_file(const std::string& path);

}  // namespace sluice::bench
