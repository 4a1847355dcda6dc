// What a model server tells about itself: its lists of models and its properties.
//
// Cold path: documents are read as a whole (the one door to simdjson). Everything is bounded;
// what is wrong is the backend's error (502). Shapes: OpenAI's {"data":[{"id"}]} (vLLM, LM Studio,
// llama-server, Ollama's /v1/models), a bare array of such entries, and {"models":[{"name"}]}
// (Ollama's /api/tags and /api/ps, and llama-server's second list, which says more of what `data`
// lists).
#pragma once

#include "sluice/base/limits.h"
#include "sluice/base/result.h"
#include "sluice/llm/model_entry.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::llm {

// A list that is longer, in bytes or in entries, is refused.
inline constexpr std::size_t model_list_bytes_max = 8 * limits::MiB;
inline constexpr std::size_t model_list_entries_max = 4096;

// Entries without a usable id (no string, empty, too long, control characters) are left out, and
// so is every further entry of the same id.
Result<std::vector<ModelEntry>> parse_model_list(std::string_view body);

// Ollama's /api/show of one model, without its name; nothing is known where it is none. The context
// is what the model is set to, else what it was made for.
ModelEntry parse_shown_model(std::string_view body);

// Ollama's /api/version: "0.17.4"; empty where it is none.
std::string parse_version(std::string_view body);

// The "name" of a request to Ollama that has no "model"; empty where it is none.
std::string parse_old_model_name(std::string_view body);

// llama-server's /props, of which only this is read.
struct ServerProps {
    std::optional<std::uint32_t> total_slots;
    std::uint64_t context = 0;                  // tokens a slot has room for; 0: it does not say
    bool router = false;                        // it only starts other servers: no slots of its own
    bool sleeping = false;                      // its model is unloaded until somebody asks for it
    bool tells_of_slots = true;                 // GET /slots is served
    std::vector<std::string> input_modalities;  // empty: it does not say
};
Result<ServerProps> parse_server_props(std::string_view body);

// How many slots a llama-server works in, by its GET /slots.
Result<std::uint32_t> count_busy_slots(std::string_view body);

}  // namespace sluice::llm
