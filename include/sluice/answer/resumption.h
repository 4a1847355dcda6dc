// Resumption: what is kept of a chat stream so that another backend can go on with it.
//
// Only of models with `resume: true`, and only where the request allows it.
#pragma once

#include "sluice/llm/resume.h"
#include "sluice/llm/resume_request.h"
#include "sluice/llm/resumed_stream.h"

#include <cstdint>
#include <optional>
#include <string>

namespace sluice::answer {

struct Resumption {
    explicit Resumption(std::string whole_body) : body(std::move(whole_body)) {}

    std::string body;                          // as the client sent it, in one piece
    llm::ResumeJournal journal;                // what the client has been told
    std::optional<llm::ResumedStream> stream;  // of the backend that goes on; none: the first one's
    llm::ResumePlan plan;                      // how it is asked
};

}  // namespace sluice::answer
