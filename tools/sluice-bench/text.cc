#include "text.h"

#include "sluice/base/assert.h"

#include <cstdint>

namespace sluice::bench {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";
constexpr std::size_t character_bytes_max = 4;

std::uint8_t byte_at(std::string_view text, std::size_t at) {
    return static_cast<std::uint8_t>(text[at]);
}

bool is_continuation(std::uint8_t byte) {
    return (byte & 0xC0) == 0x80;
}

// Bytes of the character at the begin of a text; 0 when there is none. The second byte says
// whether a form is overlong, a surrogate or too large (RFC 3629, section 4).
std::size_t character_bytes(std::string_view text) {
    SLUICE_ASSERT(!text.empty());
    const std::uint8_t first = byte_at(text, 0);
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    const std::size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (text.size() < size) return 0;
    const std::uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const std::uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (byte_at(text, 1) < low || byte_at(text, 1) > high) return 0;
    for (std::size_t i = 2; i < size; ++i)
        if (!is_continuation(byte_at(text, i))) return 0;
    return size;
}

}  // namespace

std::string valid_text(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const std::size_t size = character_bytes(text);
        out += size == 0 ? replacement : text.substr(0, size);
        text.remove_prefix(size == 0 ? 1 : size);
    }
    return out;
}

std::string valid_text(std::string_view text, std::size_t bytes) {
    if (text.size() <= bytes) return valid_text(text);
    std::size_t cut = bytes;
    // Back to where a character begins; where none does, these bytes are no text anyway.
    while (cut > 0 && bytes - cut < character_bytes_max && is_continuation(byte_at(text, cut)))
        --cut;
    const bool between =
        !is_continuation(byte_at(text, cut)) && cut + character_bytes(text.substr(cut)) > bytes;
    return valid_text(text.substr(0, between ? cut : bytes));
}

std::string shown_text(std::string_view text, std::size_t bytes) {
    std::string out = valid_text(text, bytes);
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    return out;
}

}  // namespace sluice::bench
