// RequestDigest: a number for what a request asks, the same when the same is asked again.
//
// Fed in any split. Seeded, so that nobody outside can make two requests meet; but of 64 bits, so
// whoever uses it must be harmless where two do. Never 0. A gigabyte takes a tenth of a second.
#pragma once

#include "sluice/policy/hash.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::policy {

class RequestDigest {
public:
    explicit RequestDigest(std::uint64_t seed) : state_(mix(seed ^ 0xe7037ed1a0b428db)) {}

    // The next bytes of the part at hand.
    void feed(std::string_view bytes);
    // It ends, and another begins: "ab", "c" is not "a", "bc".
    void end_part();
    // Of the parts that have ended.
    std::uint64_t value() const;

private:
    std::size_t fill_rest(std::string_view bytes);

    std::uint64_t state_;
    std::uint64_t part_bytes_ = 0;
    std::array<char, hash_step_bytes> rest_{};  // of bytes that fill no step
    std::size_t rest_bytes_ = 0;
};

}  // namespace sluice::policy
