// What a model server tells about itself: its list of models and its properties.
//
// Cold path: documents are read as a whole (the one door to simdjson). Everything is bounded;
// what is wrong is the backend's error (502). Shapes: OpenAI's {"data":[{"id"}]} (vLLM, LM Studio,
// llama-server, Ollama's /v1/models), a bare array of such entries, and {"models":[{"name"}]}
// (llama-server's second list, Ollama's /api/tags) where there is no `data`.
#pragma once

#include "sluice/base/result.h"
#include "sluice/llm/body_reader.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::llm {

// A list that is longer, in bytes or in entries, is refused.
inline constexpr std::size_t model_list_bytes_max = 8 * limits::MiB;
inline constexpr std::size_t model_list_entries_max = 4096;
inline constexpr std::size_t model_aliases_max = 64;

struct ModelEntry {
    std::string id;
    std::string raw;  // the backend's own JSON object, as it sent it
    Span id_value;    // where the value of "id" stands in `raw`, with its quotes
    std::string owned_by;
    std::vector<std::string> aliases;  // llama-server's other names for it, the id left out
};

// Entries without a usable id (no string, empty, too long, control characters) are left out, and
// so is every further entry of the same id.
Result<std::vector<ModelEntry>> parse_model_list(std::string_view body);

// One line of the merged list: an entry of a backend under the name that the gateway gives it.
struct ListedModel {
    std::string_view id;
    const ModelEntry* entry = nullptr;  // must outlive the call
};

// {"object":"list","data":[...]}: each entry as its backend sent it, with `id` replaced where it
// differs.
std::string merged_model_list(std::span<const ListedModel> models);
// One entry of it, the answer of /v1/models/{id}.
std::string listed_model(const ListedModel& model);

// llama-server's /props, of which only this is read.
struct ServerProps {
    std::optional<std::uint32_t> total_slots;
    std::uint64_t context = 0;   // tokens a slot has room for; 0: it does not say
    bool router = false;         // it only starts other servers: no slots of its own
    bool sleeping = false;       // its model is unloaded until somebody asks for it
    bool tells_of_slots = true;  // GET /slots is served
};
Result<ServerProps> parse_server_props(std::string_view body);

// How many slots a llama-server works in, by its GET /slots.
Result<std::uint32_t> count_busy_slots(std::string_view body);

}  // namespace sluice::llm
