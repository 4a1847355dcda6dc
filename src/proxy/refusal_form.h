// Refusals of backends, in the form that the clients of a dialect read.
#pragma once

#include "sluice/answer/held_answer.h"
#include "sluice/llm/errors.h"

#include <string_view>

namespace sluice::proxy {

// Ollama's clients read a text and nothing else; Anthropic's read their own form only, and the id
// of the request in it, which must be the one of the header: theirs where the backend sent one
// (`request-id`), else `request_id`. A refusal of another form is said in theirs, and one that says
// nothing but that there is no such path is said as what it means. Other dialects' stay as they
// are: their servers' forms are theirs.
void say_in_form_of(llm::Dialect dialect, std::string_view request_id, answer::HeldAnswer& held);

}  // namespace sluice::proxy
