// Reads a request's JSON body into the job that it asks for.
//
// The text is checked as a whole by llm::BodyReader; after that the few further values that matter
// are found where they stand.
#pragma once

#include "faults.h"
#include "job.h"
#include "options.h"
#include "sluice/llm/body_reader.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace sluice::model_sim {

// A body that is one JSON object, and what stands in it.
struct JsonBody {
    std::string_view text;
    llm::RequestFacts facts;
};
std::variant<JsonBody, Fault> read_json(std::string_view body);

// The name of the model that answers a request for `asked` (empty: none was named). llama-server
// serves its one model under any name; the others know what they have.
std::variant<std::string, Fault> served_model(const Options& options, const std::string& asked);

// A rough size in tokens, the same for every endpoint: four bytes of JSON text each, at least one.
std::uint64_t tokens_in_bytes(std::size_t bytes);

// A job that generates text. Ids and times are the caller's to fill in.
std::variant<Job, Fault> read_job(const Options& options, Kind kind, const Script& script,
                                  std::string_view body);

}  // namespace sluice::model_sim
