// Refusals of backends, as Ollama's clients read them.
#pragma once

#include "sluice/answer/held_answer.h"

namespace sluice::proxy {

// They read a text and nothing else: a refusal of another form is said in theirs. One that says
// nothing but that there is no such path is said as what it means.
void say_in_ollamas_form(answer::HeldAnswer& held);

}  // namespace sluice::proxy
