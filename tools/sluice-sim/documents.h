// The answers that are one document: what the server tells about itself, embeddings, ranks, tokens.
#pragma once

#include "faults.h"
#include "job_reader.h"
#include "options.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace sluice::model_sim {

// --- about the server ---
std::string model_list(const Options& options);
// One entry of it; empty when there is no such model.
std::string model_entry(const Options& options, std::string_view name);
std::string server_props(const Options& options);
std::string ollama_tags(const Options& options);

// --- small pieces of model work ---
struct Work {
    Document document;
    std::uint64_t prompt_tokens = 0;
};
// Texts that share words have close vectors. `input` is a text, a list of texts, or tokens.
std::variant<Work, Fault> embeddings(const Options& options, const JsonBody& body);
std::variant<Work, Fault> rerank(const Options& options, const JsonBody& body);
// A token is a word with the space before it, or one other character.
std::variant<Work, Fault> tokenize(const JsonBody& body);

}  // namespace sluice::model_sim
