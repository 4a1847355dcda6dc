#include "sluice/config/mistakes.h"

#include "sluice/config/suggest.h"

#include <algorithm>

namespace sluice::config {
namespace {

constexpr std::string_view dashes = "--";
constexpr std::string_view negation = "--no-";

const OtherWord* find_other(std::string_view word, const Known& known) {
    const auto found = std::ranges::find(known.others, word, &OtherWord::word);
    return found == known.others.end() ? nullptr : &*found;
}

// Whoever misspells what is to be done does not mean that it be left undone.
bool may_be_meant(std::string_view word, std::string_view name) {
    return word.starts_with(negation) == name.starts_with(negation);
}

std::string advice_for(std::string_view word, const Known& known) {
    if (const OtherWord* other = find_other(word, known); other != nullptr)
        return "; " + std::string(other->advice) + ".";
    const bool is_flag = word.starts_with('-');
    // Its dashes are missing.
    const std::string flag = "--" + std::string(word);
    if (!is_flag && std::ranges::find(known.flags, flag) != known.flags.end())
        return "; did you mean '" + flag + "'?";
    std::vector<std::string_view> names;
    const auto add = [&](std::string_view name) {
        if (may_be_meant(word, name)) names.push_back(name);
    };
    if (is_flag) std::ranges::for_each(known.flags, add);
    if (!is_flag) std::ranges::for_each(known.commands, add);
    for (const OtherWord& other : known.others)
        if (other.word.starts_with(dashes) == is_flag) add(other.word);
    const std::string_view nearest = nearest_of(word, names);
    if (const OtherWord* other = find_other(nearest, known); other != nullptr)
        return "; " + std::string(other->advice) + ".";
    if (!nearest.empty()) return "; did you mean '" + std::string(nearest) + "'?";
    return "; --help lists those there are.";
}

}  // namespace

std::string explain_unknown(const std::string& word, const Known& known) {
    const bool is_flag = word.starts_with('-');
    if (std::ranges::find(known.commands, word) != known.commands.end())
        return "the command '" + word + "' stands in front of all flags.";
    if (!is_flag && !known.command.empty() && known.commands.empty())
        return "'" + word + "' is one word too many for '" + std::string(known.command) +
               "'; --help says what it takes.";
    const std::string_view name = std::string_view(word).substr(0, word.find('='));
    return std::string("there is no ") + (is_flag ? "flag" : "command") + " '" + std::string(name) +
           "'" + advice_for(name, known);
}

}  // namespace sluice::config
