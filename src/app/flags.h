// The command line: flags to settings.
#pragma once

#include <optional>
#include <string>

#include "sluice/config/settings.h"

namespace sluice::app {

struct CommandLine {
    config::Settings settings;
    // Set when the program has nothing more to do: --help, --version, or a mistake.
    std::optional<int> exit_code;
};

// Prints help and errors by itself.
CommandLine parse_command_line(int argc, char** argv);

}  // namespace sluice::app
