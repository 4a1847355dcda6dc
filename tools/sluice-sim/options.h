// Options: what the command line says; see docs/sluice-sim.md.
#pragma once

#include "script.h"
#include "sluice/base/clock.h"

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace sluice::model_sim {

// Whose answers to give: shapes, fields and habits differ.
enum class Api : std::uint8_t { llama, openai, ollama, vllm };

struct Options {
    std::vector<std::string> listen = {"127.0.0.1:0"};
    std::vector<std::string> models = {"sim"};
    Api api = Api::llama;
    Script script;
    std::uint32_t fail_every = 1;  // the script's failure is for every Nth request
    std::uint32_t slots = 0;       // requests that are worked on at a time; 0: no bound
    std::uint32_t embedding_size = 64;
    std::uint32_t keep_alive_max = 100;  // requests on a connection; 0: no bound
    Duration keep_alive_idle = Duration::seconds(5);
    Duration load_time;
};

// The options, or the exit status when the program has nothing to do: --help, or bad flags.
std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace sluice::model_sim
