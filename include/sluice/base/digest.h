// SHA-256 (FIPS 180-4) of what must not be kept as it is: keys.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace sluice {

using Digest = std::array<std::uint8_t, 32>;

// In a time that says nothing of where they differ.
bool same_digest(const Digest& a, const Digest& b);

// 64 hexadecimal digits, in any case. None: it is something else.
std::optional<Digest> parse_digest(std::string_view hex);

// Keeps the library's working memory from one text to the next: one a thread.
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;

    Digest of(std::string_view text);

private:
    struct Library;
    std::unique_ptr<Library> library_;
};

}  // namespace sluice
