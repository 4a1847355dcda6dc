#include "sluice/policy/request_digest.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <cstring>

namespace sluice::policy {

void RequestDigest::feed(std::string_view bytes) {
    part_bytes_ += bytes.size();
    if (rest_bytes_ > 0) bytes.remove_prefix(fill_rest(bytes));
    // Most of a body is read here.
    const char* p = bytes.data();
    const char* const end = p + bytes.size() / hash_step_bytes * hash_step_bytes;
    std::uint64_t state = state_;
    for (; p != end; p += hash_step_bytes)
        state = hash_stepped(state, p);
    state_ = state;
    bytes.remove_prefix(static_cast<std::size_t>(p - bytes.data()));
    if (!bytes.empty()) fill_rest(bytes);
}

// Takes what a step still wants; how much that was.
std::size_t RequestDigest::fill_rest(std::string_view bytes) {
    SLUICE_ASSERT(rest_bytes_ < hash_step_bytes);
    const std::size_t taken = std::min(bytes.size(), hash_step_bytes - rest_bytes_);
    std::memcpy(rest_.data() + rest_bytes_, bytes.data(), taken);
    rest_bytes_ += taken;
    if (rest_bytes_ == hash_step_bytes) {
        state_ = hash_stepped(state_, rest_.data());
        rest_bytes_ = 0;
    }
    return taken;
}

void RequestDigest::end_part() {
    SLUICE_ASSERT(rest_bytes_ < hash_step_bytes);
    std::fill(rest_.begin() + static_cast<std::ptrdiff_t>(rest_bytes_), rest_.end(), '\0');
    rest_bytes_ = 0;
    state_ = multiply_fold(hash_stepped(state_, rest_.data()) ^ 0x8ebc6af09c88c6e3,
                           part_bytes_ ^ 0xa0761d6478bd642f);
    part_bytes_ = 0;
}

std::uint64_t RequestDigest::value() const {
    SLUICE_ASSERT(part_bytes_ == 0);
    return std::max<std::uint64_t>(mix(state_), 1);
}

}  // namespace sluice::policy
