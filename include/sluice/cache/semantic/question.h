// question_of(): what a conversation asks last, and everything else of it as one key.
//
// Pure. Two requests may be answered alike by meaning only where nothing but the user's last text
// differs: their contexts are equal, which is everything that KeyMaker's key is made of (scope,
// model, endpoint, fields, the whole canonical body) with a hole in the place of that text.
//
// Of chat completions, messages and Ollama's chats whose last message is the user's and one text:
// a string, or a list of one part of type "text". With a picture beside it, a tool's result or a
// prefilled answer behind it there is no question.
#pragma once

#include "sluice/cache/key.h"

#include <cstddef>
#include <optional>
#include <string>

namespace sluice::cache::semantic {

struct Question {
    std::string text;       // decoded
    std::size_t turns = 0;  // messages of the user, this one among them
    Key context;
};

// `maker` has read the body and found no bypass.
std::optional<Question> question_of(const KeyMaker& maker, const KeyParts& parts);

}  // namespace sluice::cache::semantic
