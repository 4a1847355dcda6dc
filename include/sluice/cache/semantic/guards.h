// guard(): may two questions be taken for one whose embeddings are near each other?
//
// Pure. An embedding tells what a text is about. It does not tell 5 from 50, Rome from Bern, or "is
// safe" from "is not safe": their vectors are nearer than many a paraphrase. So what decides an
// answer and hardly moves a vector is compared as text, and any difference turns a hit into a miss:
//   too_short        one has fewer characters or words than say something
//   too_many_turns   the conversation is longer than was said: its last turn means little alone
//   other_script     one has letters beyond Latin ones, whose words nothing here can tell
//   code             one has code, a path or an address in it, and they are not the same text
//   numbers          digits and number words, in their order
//   quotes           what stands in quotation marks, in its order
//   names            words with a capital letter where a sentence does not want one, words with
//                    digits or capitals inside; in their order
//   negation         words that deny, in seven languages; a word and the same one with a prefix
//                    that denies (safe, unsafe); and words that turn each other round (before,
//                    after)
// Whoever is unsure says no: what a guard costs is a generation, what it misses is a wrong answer.
// They do not make the threshold superfluous: lower-case names and plain words of another meaning
// are the embedding's to tell apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::cache::semantic {

enum class Guard : std::uint8_t {
    none,
    too_short,
    too_many_turns,
    other_script,
    code,
    numbers,
    quotes,
    names,
    negation
};
inline constexpr std::size_t guard_count = static_cast<std::size_t>(Guard::negation) + 1;

// For metrics and logs: the enumerator's name.
std::string_view name_of(Guard guard);

struct GuardSettings {
    std::size_t characters_min = 16;  // of a question, without white space around it
    std::size_t words_min = 3;
    std::size_t turns_max = 1;  // of the user
};

// Of one question by itself, before anything is looked up: too_short, too_many_turns or none.
Guard guard(std::string_view question, std::size_t turns, const GuardSettings& settings = {});
// Of two, in UTF-8: the first one that fires, else `none`. The same whichever comes first.
Guard guard(std::string_view a, std::string_view b);

}  // namespace sluice::cache::semantic
