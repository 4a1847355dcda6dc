// The command line: flags and the file that they name to settings, and `sluice check`.
#pragma once

#include "sluice/config/settings.h"

#include <optional>
#include <string>

namespace sluice::app {

struct CommandLine {
    config::Settings settings;
    // Set when the program has nothing more to do: --help, --version, check, or a mistake.
    std::optional<int> exit_code;
};

// Prints help and errors by itself.
CommandLine parse_command_line(int argc, char** argv);

}  // namespace sluice::app
