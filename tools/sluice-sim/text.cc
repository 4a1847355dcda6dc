#include "text.h"

#include <algorithm>
#include <array>

namespace sluice::model_sim {
namespace {

using namespace std::string_view_literals;

struct Word {
    std::string_view plain;
    std::string_view escaped;
};

constexpr std::array common_words = {
    " the"sv,     " a"sv,        " river"sv,   " light"sv,  " over"sv,    " small"sv,
    " morning"sv, " and"sv,      " garden"sv,  " of"sv,     " window"sv,  " slowly"sv,
    " under"sv,   " it"sv,       " bright"sv,  " stone"sv,  " was"sv,     " paper"sv,
    " to"sv,      " evening"sv,  " they"sv,    " walked"sv, " through"sv, " field"sv,
    " with"sv,    " quiet"sv,    " letter"sv,  " in"sv,     " harbour"sv, " old"sv,
    " bridge"sv,  " found"sv,    " many"sv,    " winter"sv, " there"sv,   " song"sv,
    " never"sv,   " question"sv, " answer"sv,  " we"sv,     " measure"sv, " carefully"sv,
    " copper"sv,  " wire"sv,     " because"sv, " each"sv,   " token"sv,   " counts"sv,
    " every"sv,   " stream"sv,   " ends"sv,    " where"sv,  " begins"sv,  " water"sv,
    " machine"sv, " hums"sv,     " softly"sv,  ","sv,       "."sv,        " then"sv,
    " again"sv,   " until"sv,    " one"sv,     " day"sv,
};

// What trips a reader that does not really read. Written both ways, because servers do not agree
// about what they escape.
constexpr std::array odd_words = {
    Word{" caf\xc3\xa9", " caf\xc3\xa9"},
    Word{" na\xc3\xafve", " na\\u00efve"},
    Word{" \xe6\x9d\xb1\xe4\xba\xac", " \xe6\x9d\xb1\xe4\xba\xac"},
    Word{" \xe6\xb0\xb4", " \\u6c34"},
    Word{" \xf0\x9f\x8c\x8a", " \xf0\x9f\x8c\x8a"},
    Word{" \xf0\x9f\x9a\x80", " \\ud83d\\ude80"},
    Word{"\xe2\x80\xa8", "\xe2\x80\xa8"},
    Word{" \"quoted\"", " \\\"quoted\\\""},
    Word{" back\\slash", " back\\\\slash"},
    Word{" a/b", " a\\/b"},
    Word{"\n\n", "\\n\\n"},
    Word{"\t", "\\t"},
    Word{" <b>&amp;</b>", " \\u003cb\\u003e\\u0026amp;\\u003c/b\\u003e"},
    Word{" [DONE]", " [DONE]"},
    Word{"\n\ndata: [DONE]\n\n", "\\n\\ndata: [DONE]\\n\\n"},
    Word{" \"usage\":{\"prompt_tokens\":1}", " \\\"usage\\\":{\\\"prompt_tokens\\\":1}"},
    Word{" \"finish_reason\":\"stop\"", " \\\"finish_reason\\\":\\\"stop\\\""},
    Word{" {\"error\":", " {\\\"error\\\":"},
};

// Spreads neighbouring indexes over all bits (the finaliser of splitmix64).
std::uint64_t scatter(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

Word word_at(std::uint64_t bits) {
    constexpr std::uint64_t odd_one_in = 16;
    if (bits % odd_one_in == 0) return odd_words[(bits >> 8) % odd_words.size()];
    const auto word = common_words[(bits >> 8) % common_words.size()];
    return {word, word};
}

// Fills a token up to the size that was asked for, with words that look the same either way.
void append_filler(std::string& out, std::size_t bytes, std::uint64_t bits) {
    while (bytes > 0) {
        bits = scatter(bits);
        const auto word = common_words[bits % common_words.size()].substr(0, bytes);
        out += word;
        bytes -= word.size();
    }
}

}  // namespace

Text Text::of_choice(std::uint32_t choice) const {
    return choice == 0 ? *this : Text(scatter(seed_ + choice), token_bytes_);
}

void Text::append_token(std::string& out, std::uint64_t index, bool escaped) const {
    const std::uint64_t bits = scatter(seed_ * 0x2545f4914f6cdd1d + index);
    const Word word = word_at(bits);
    if (token_bytes_ != 0 && word.plain.size() > token_bytes_)
        return append_filler(out, token_bytes_, bits);
    out += escaped ? word.escaped : word.plain;
    if (token_bytes_ != 0) append_filler(out, token_bytes_ - word.plain.size(), bits);
}

void Text::append_plain(std::string& out, std::uint64_t index) const {
    append_token(out, index, false);
}

void Text::append_escaped(std::string& out, std::uint64_t index) const {
    append_token(out, index, true);
}

std::optional<std::uint64_t> Text::tokens_in(std::string_view said) const {
    std::string token;
    for (std::uint64_t index = 0;; ++index) {
        if (said.empty()) return index;
        token.clear();
        append_plain(token, index);
        if (!said.starts_with(token)) return std::nullopt;
        said.remove_prefix(token.size());
    }
}

}  // namespace sluice::model_sim
