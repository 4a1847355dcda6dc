// PhraseIndex: which of many phrases stand in a text, in one pass over it.
//
// Internal. Made while compiling; allocates nothing. The phrases are listed by the two characters
// that they begin with. Of a text most pairs begin none, so a byte costs a few instructions,
// however many phrases there are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::llm {

template <std::size_t count>
class PhraseIndex {
public:
    // Of two characters at least each, in lower case.
    consteval explicit PhraseIndex(const std::array<std::string_view, count>& phrases)
        : phrases_(phrases) {
        static_assert(count < none);
        heads_.fill(none);
        for (std::size_t i = count; i-- > 0;) {
            std::uint8_t& head = heads_[list_of(phrases[i][0], phrases[i][1])];
            next_[i] = head;
            head = static_cast<std::uint8_t>(i);
        }
    }

    // Calls `found(number of the phrase, where it stands)` for each place where one does, from the
    // text's begin to its end. The text is in lower case.
    template <class Found>
    void find_in(std::string_view text, Found&& found) const {
        for (std::size_t at = 0; at + 1 < text.size(); ++at) {
            for (std::uint8_t i = heads_[list_of(text[at], text[at + 1])]; i != none; i = next_[i])
                if (text.substr(at).starts_with(phrases_[i])) found(i, at);
        }
    }

private:
    static constexpr std::uint8_t none = 0xFF;
    static constexpr unsigned bits = 5;  // which tell letters apart

    static constexpr std::size_t list_of(char first, char second) {
        constexpr unsigned mask = (1U << bits) - 1;
        return (static_cast<unsigned char>(first) & mask) << bits |
               (static_cast<unsigned char>(second) & mask);
    }

    std::array<std::string_view, count> phrases_;
    std::array<std::uint8_t, std::size_t{1} << (2 * bits)> heads_{};
    std::array<std::uint8_t, count> next_{};
};

}  // namespace sluice::llm
