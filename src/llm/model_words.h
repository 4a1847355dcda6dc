// Reads what one entry of a list says of a model. Internal to model_list.cc.
#pragma once

#include "sluice/llm/model_entry.h"

#include <string_view>

namespace sluice::llm {

// Whether a request could carry it, and a log show it.
bool is_usable_id(std::string_view id);

// All that `json`, a sound object, says in words of llama-server, vLLM, LM Studio, Ollama and of
// those whose lists clients of theirs read (OpenRouter, Mistral); but for the id.
void read_words(std::string_view json, ModelEntry& entry);

// What an answer of Ollama's /api/show says beside that.
void read_shown_words(std::string_view json, ModelEntry& entry);

}  // namespace sluice::llm
