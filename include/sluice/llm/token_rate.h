// TokenRate: how many bytes a model takes for a token, learned from answers that tell both.
//
// Pure. Two sums that fade, so that long answers weigh more than short ones and a change of what is
// asked for is followed within some dozens of answers. Until something was learned a token has four
// bytes: English text.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice::llm {

class TokenRate {
public:
    // An answer told so many tokens for so many bytes. Nothing is learned of nothing.
    void learn(std::uint64_t bytes, std::uint64_t tokens) {
        if (bytes == 0 || tokens == 0) return;
        constexpr double kept = 31.0 / 32;
        bytes_ = bytes_ * kept + static_cast<double>(bytes);
        tokens_ = tokens_ * kept + static_cast<double>(tokens);
    }
    bool known() const { return tokens_ > 0; }
    double bytes_a_token() const { return known() ? bytes_ / tokens_ : bytes_a_token_at_first; }
    // At least one where there is a byte.
    std::uint64_t tokens_in(std::uint64_t bytes) const {
        const double tokens = static_cast<double>(bytes) / bytes_a_token();
        return bytes == 0 ? 0
                          : std::max<std::uint64_t>(1, static_cast<std::uint64_t>(tokens + 0.5));
    }

private:
    static constexpr double bytes_a_token_at_first = 4;

    double bytes_ = 0;
    double tokens_ = 0;
};

}  // namespace sluice::llm
