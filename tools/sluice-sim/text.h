// Text: what the scripted model says, token by token.
//
// Token i is a pure function of the seed and i, so every server with the same seed says the same,
// and an answer that was cut can be continued and compared byte by byte. Most tokens are English
// words; now and then there are quotes, line ends, multi-byte characters, and texts that look like
// the framing of a stream (`[DONE]`, `"usage":`, `data: `), to catch readers that do not parse.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::model_sim {

class Text {
public:
    Text() = default;
    // `token_bytes`: the size of every token's text; 0 for words of their natural length.
    Text(std::uint64_t seed, std::uint32_t token_bytes) : seed_(seed), token_bytes_(token_bytes) {}

    // The text of another choice of the same request; choice 0 is the text itself.
    Text of_choice(std::uint32_t choice) const;

    // Token `index`, as it is or as the inside of a JSON string.
    void append_plain(std::string& out, std::uint64_t index) const;
    void append_escaped(std::string& out, std::uint64_t index) const;

    // Tokens [0, n) make exactly this text: n. Nothing when it is no text of ours, or ends inside
    // a token.
    std::optional<std::uint64_t> tokens_in(std::string_view said) const;

private:
    void append_token(std::string& out, std::uint64_t index, bool escaped) const;

    std::uint64_t seed_ = 0;
    std::uint32_t token_bytes_ = 0;
};

}  // namespace sluice::model_sim
