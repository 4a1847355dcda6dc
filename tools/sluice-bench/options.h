// Options: what the command line asks for.
#pragma once

#include "origin.h"
#include "run.h"
#include "workload.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::bench {

inline constexpr int exit_bad_flags = 2;

struct TargetOption {
    std::string name;
    std::string url;
    pid_t pid = 0;
    std::optional<std::uint32_t> stalled;  // beside the load on it; else as --stalled says
};

struct Options {
    bool compare = false;
    std::vector<TargetOption> targets;  // one, or those to compare
    std::uint32_t rounds = 10;

    Load load;  // without requests and address: those follow from the target
    Window window;
    RequestKind kind;
    std::uint32_t stalled_tokens = 2048;
    std::string scenario_file;  // instead of `kind`
    bool usage = true;          // all streams are asked to report it
    std::string api_key;
    std::vector<std::string> fields;
    bool allow_remote = false;

    std::string origin;  // where the bench's own backend listens; empty: there is none
    OriginScript origin_script;

    std::string json_file;
    std::string html_file;
    std::string title;
};

struct CommandLine {
    Options options;
    std::optional<int> exit_code;  // set: nothing is to be done
};

CommandLine parse_command_line(int argc, char** argv);

// NAME=URL[,pid=N][,stalled=N]
Result<TargetOption> parse_target(const std::string& text);

}  // namespace sluice::bench
