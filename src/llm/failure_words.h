// The words by which model servers and providers say why they refuse, each with who says it.
//
// Internal to failure_body.cc. All compare without case; a message is at most
// failure_message_bytes_max long, so plain searches do.
#pragma once

#include "sluice/llm/failure_body.h"

#include <string_view>

namespace sluice::llm {

// What a type or a code says by itself. Sets the signs, and the status that it stands for if the
// facts have none yet.
void apply_error_code(std::string_view code, ErrorFacts& facts);

// What the message says. Call it last: it fills only what no code said.
void apply_error_message(std::string_view message, ErrorFacts& facts);

}  // namespace sluice::llm
