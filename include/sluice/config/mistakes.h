// What a mistake on a command line was probably meant to be.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

// A word of other programs, and what to do here instead: "write --listen 127.0.0.1:PORT".
struct OtherWord {
    std::string_view word;
    std::string_view advice;
};

// What a program, or a command of it, can be told.
struct Known {
    std::vector<std::string> flags;                   // with their dashes
    std::span<const std::string_view> commands = {};  // that may stand first
    std::span<const OtherWord> others = {};
    std::string_view command = {};  // whose words these are: it takes no more than it has
};

// The flags of a CLI::App.
template <class App>
std::vector<std::string> flags_of(const App& app) {
    std::vector<std::string> flags;
    for (const auto* option : app.get_options())
        for (const std::string& name : option->get_lnames())
            flags.push_back("--" + name);
    return flags;
}

// A sentence about a word that is nothing of that.
std::string explain_unknown(const std::string& word, const Known& known);

}  // namespace sluice::config
