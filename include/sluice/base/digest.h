// SHA-256 (FIPS 180-4) of what must not be kept as it is: keys; and of what is compared by its
// digest alone, where nobody may find two texts that have the same one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

using Digest = std::array<std::uint8_t, 32>;

Digest sha256(std::string_view text);

// The same of a text that comes in runs. Allocates nothing.
class Sha256 {
public:
    Sha256();

    void update(std::string_view run);
    // Of all that came; then it begins anew.
    Digest finish();

private:
    // The state of the library's functions, which no header shows.
    alignas(8) std::array<std::byte, 112> state_;
};

// In a time that says nothing of where they differ.
bool same_digest(const Digest& a, const Digest& b);

// 64 hexadecimal digits, in any case. None: it is something else.
std::optional<Digest> parse_digest(std::string_view hex);

}  // namespace sluice
