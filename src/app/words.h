// Words on the command line that are none of ours, and what was probably meant by them.
#pragma once

#include "sluice/config/mistakes.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::app {

// What one command knows beside its flags.
struct WordsOf {
    std::string_view command;                         // empty: none was named
    std::span<const config::OtherWord> others = {};   // those of other programs
    std::span<const std::string_view> commands = {};  // that may stand there
};

extern const WordsOf words_of_program;
extern const WordsOf words_of_serve;
extern const WordsOf words_of_check;
extern const WordsOf words_of_discover;

// A sentence about a word that the command does not know.
std::string explain(const std::string& word, std::vector<std::string> flags, const WordsOf& words);

}  // namespace sluice::app
