// Text of others for people and reports: always valid UTF-8, whatever bytes a server sent.
#pragma once

#include <string>
#include <string_view>

namespace sluice::bench {

// The text with U+FFFD for each byte that belongs to no character (RFC 3629: no surrogates, no
// overlong forms, none cut off).
std::string valid_text(std::string_view text);

// Its first `bytes` bytes at most, cut between characters; then as valid_text().
std::string valid_text(std::string_view text, std::size_t bytes);

// What a server said in part, and without what a terminal would obey.
std::string shown_text(std::string_view text, std::size_t bytes);

}  // namespace sluice::bench
