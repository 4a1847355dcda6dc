// Wildcards: patterns in which '*' stands for any text, also for none; nothing else is special.
//
// Compiled once. A match reads each byte of the text a bounded number of times, whatever the
// pattern (Knuth, Morris and Pratt for what stands between two '*'), and allocates nothing.
// Case is significant. There is no way to write a '*' that stands for itself.
#pragma once

#include "sluice/base/result.h"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

inline bool is_wildcard(std::string_view pattern) {
    return pattern.find('*') != std::string_view::npos;
}

class Wildcard {
public:
    static constexpr std::size_t pattern_bytes_max = 1024;

    // Refused: an empty pattern and one that is too long.
    static Result<Wildcard> compile(std::string_view pattern);

    bool matches(std::string_view text) const;

    const std::string& pattern() const { return pattern_; }
    // Without a '*': the only text that it matches.
    bool exact() const { return exact_; }
    // What comes first is more specific: exact, then the longer text before the first '*', then
    // the longer pattern, then by the alphabet.
    std::weak_ordering operator<=>(const Wildcard& other) const;
    bool operator==(const Wildcard& other) const { return pattern_ == other.pattern_; }

private:
    // The text between two '*'.
    struct Piece {
        std::uint16_t begin = 0;
        std::uint16_t size = 0;
    };

    explicit Wildcard(std::string_view pattern);
    std::size_t find(Piece piece, std::string_view text) const;

    std::string pattern_;
    bool exact_ = false;
    Piece first_;                        // up to the first '*'
    Piece last_;                         // behind the last one
    std::vector<Piece> middle_;          // without empty ones
    std::vector<std::uint16_t> border_;  // of each byte: how far its piece begins anew up to it
};

// Names and wildcards, each with a number: the most specific one that matches is found.
class WildcardTable {
public:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    // Refused: what Wildcard refuses, and a pattern that is there already.
    Status add(std::string_view pattern, std::size_t number);
    // `none`: nothing matches.
    std::size_t find(std::string_view text) const;

    std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        Wildcard wildcard;
        std::size_t number;
    };
    std::vector<Entry> entries_;  // the most specific first, so exact ones are sorted in front
    std::size_t exact_count_ = 0;
};

}  // namespace sluice::config
