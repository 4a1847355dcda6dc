// What a mistake on the command line was probably meant to be.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::app {

// What there is: flags with their dashes, and the commands that may stand first.
struct Known {
    std::vector<std::string> flags;
    std::span<const std::string_view> commands;
};

// The rest of a sentence about a word that is nothing of that.
std::string explain_unknown(const std::string& word, const Known& known);

}  // namespace sluice::app
