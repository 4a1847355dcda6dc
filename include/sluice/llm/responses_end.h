// The end of a Responses stream that broke: `error` and `response.failed`, numbered on.
//
// Pure. Agents show the reason that stands in response.failed only; the response in it has the id,
// the model and the time that the stream's own events gave, and every field that the SDKs' types
// have.
#pragma once

#include "sluice/llm/errors.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::llm {

// Where a Responses stream stands: what its events have told of it, so that it can be ended.
struct ResponsesPlace {
    bool created = false;  // a response.created has passed
    std::string id;
    std::string model;
    std::uint64_t created_at = 0;
    std::uint64_t next_number = 0;  // of the next event

    // Takes an event: its data is read until a response.created has come, and `number` is what
    // read_event() found.
    void take(std::string_view data, std::uint32_t number);
};

// The events that end a broken Responses stream: `error`, unless the client has got one, and
// response.failed; before both a response.created where none has passed, for the SDKs want it
// first.
std::string responses_end(const ResponsesPlace& place, const ErrorText& error, bool error_passed);

}  // namespace sluice::llm
