// The lists of models in each form that clients read, written from what is known of the models.
//
// OpenAI: {"object":"list","data":[...]}, each entry with the members that its server sent, and
// `created`, `owned_by`, `context_length`, `max_model_len`, `meta.n_ctx`, `architecture` (as
// llama-server and OpenRouter say modalities) and `capabilities` where they are known. Anthropic
// (Models API): the same entries with `type`, `display_name`, `created_at` and `max_input_tokens`,
// in pages. Ollama (docs/api.md): /api/tags, /api/ps and /api/show with every field that its
// clients read strictly: dates are never empty, names always have a tag. Pure; cold path.
#pragma once

#include "sluice/llm/model_entry.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::llm {

// A model under one of its names. What it points to must outlive the call.
struct ListedModel {
    std::string_view id;
    const ModelEntry* entry = nullptr;
    std::span<const std::string> aliases = {};  // its other names that can be asked for
    std::uint64_t context = 0;                  // tokens; 0: what the entry says
    bool ready = true;                          // its server can be asked now

    std::uint64_t context_known() const { return context != 0 ? context : entry->context; }
};

std::string openai_list(std::span<const ListedModel> models);
std::string openai_entry(const ListedModel& model);

// Which part of Anthropic's list is asked for: up to `limit` entries (0: all) behind `after_id`, or
// before `before_id`.
struct AnthropicPage {
    std::size_t limit = 0;
    std::string_view after_id;
    std::string_view before_id;
};

std::string anthropic_list(std::span<const ListedModel> models, const AnthropicPage& page);
std::string anthropic_entry(const ListedModel& model);

std::string ollama_tags(std::span<const ListedModel> models);
// Of those that can answer without being loaded first.
std::string ollama_running(std::span<const ListedModel> models);
std::string ollama_show(const ListedModel& model);

}  // namespace sluice::llm
