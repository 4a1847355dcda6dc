#include "sluice/policy/prefix_hasher.h"

#include "billing_block.h"
#include "sluice/base/assert.h"
#include "sluice/policy/hash.h"

#include <algorithm>
#include <cstring>

namespace sluice::policy {

namespace {

// Numbers of wyhash: as many bits set as not, in every byte.
constexpr std::uint64_t first_secret = 0xa0761d6478bd642f;
constexpr std::uint64_t second_secret = 0xe7037ed1a0b428db;
constexpr std::uint64_t third_secret = 0x8ebc6af09c88c6e3;

}  // namespace

PrefixHasher::PrefixHasher(PrefixHashes& out, std::uint64_t seed, std::size_t opening_bytes)
    : out_(out), state_(mix(seed ^ second_secret)), opening_bytes_(opening_bytes) {
    out_.count = 0;
    out_.bytes = 0;
    out_.conversation = 0;
    out_.conversation_known = false;
    out_.conversation_named = false;
}

void PrefixHasher::feed(std::string_view bytes) {
    const std::size_t until_opening = opening_bytes_ - std::min(opening_bytes_, fed_);
    if (until_opening != 0 && bytes.size() >= until_opening) {
        read(bytes.substr(0, until_opening));
        flush();
        SLUICE_ASSERT(fed_ == opening_bytes_);
        out_.conversation = hash_so_far();
        out_.conversation_known = true;
        bytes.remove_prefix(until_opening);
    }
    read(bytes);
}

// Takes what it needs off `bytes`. False: that is all, and not enough.
bool PrefixHasher::read_head(std::string_view& bytes) {
    static_assert(std::tuple_size_v<decltype(held_)> == billing_bytes_max);
    if (held_bytes_ == 0 && bytes.size() >= billing_bytes_max) {
        const auto block = find_billing_block(bytes.substr(0, billing_bytes_max), true);
        head_read_ = true;
        if (block.end == 0) return true;
        std::memcpy(held_.data(), bytes.data(), block.begin);
        held_bytes_ = block.begin;
        bytes.remove_prefix(block.end);
        take_held();
        return true;
    }
    const std::size_t more = std::min(bytes.size(), held_.size() - held_bytes_);
    std::memcpy(held_.data() + held_bytes_, bytes.data(), more);
    held_bytes_ += more;
    bytes.remove_prefix(more);
    if (!leave_out_billing(held_bytes_ == held_.size())) return false;
    take_held();
    return true;
}

// Of what is held, which is the head. False: it is not known yet.
bool PrefixHasher::leave_out_billing(bool whole) {
    const auto block = find_billing_block({held_.data(), held_bytes_}, whole);
    if (block.undecided) return false;
    head_read_ = true;
    std::memmove(held_.data() + block.begin, held_.data() + block.end, held_bytes_ - block.end);
    held_bytes_ -= block.end - block.begin;
    return true;
}

// Only what cannot be decided stays there.
void PrefixHasher::take_held() {
    const std::size_t taken = take({held_.data(), held_bytes_}, false);
    held_bytes_ -= taken;
    std::memmove(held_.data(), held_.data() + taken, held_bytes_);
}

void PrefixHasher::read(std::string_view bytes) {
    fed_ += bytes.size();
    if (!head_read_ && !read_head(bytes)) return;
    if (!bytes.empty() && held_bytes_ > 0) {
        const std::size_t before = held_bytes_;
        const std::size_t more = std::min(bytes.size(), held_.size() - before);
        std::memcpy(held_.data() + before, bytes.data(), more);
        const std::string_view text(held_.data(), before + more);
        const std::size_t taken = take(text, false);
        if (taken < before) {
            SLUICE_ASSERT(more == bytes.size() && text.size() - taken <= volatile_held_max);
            held_bytes_ = text.size() - taken;
            std::memmove(held_.data(), held_.data() + taken, held_bytes_);
            return;
        }
        held_bytes_ = 0;  // the rest is in place
        bytes.remove_prefix(taken - before);
    }
    bytes.remove_prefix(take(bytes, false));
    SLUICE_ASSERT(bytes.size() <= volatile_held_max);
    if (bytes.empty()) return;
    std::memcpy(held_.data(), bytes.data(), bytes.size());
    held_bytes_ = bytes.size();
}

// What is held has no more behind it that belongs to it.
void PrefixHasher::flush() {
    if (!head_read_) leave_out_billing(true);
    const std::size_t taken = take({held_.data(), held_bytes_}, true);
    SLUICE_ASSERT(taken == held_bytes_);
    held_bytes_ = 0;
    volatile_ = {};
}

// How many of its bytes could be decided.
std::size_t PrefixHasher::take(std::string_view text, bool whole) {
    constexpr std::string_view mark = "0";
    std::size_t taken = 0;
    while (!text.empty()) {
        const VolatileCut cut = find_volatile(text, volatile_, whole);
        const std::size_t looked_at = cut.plain + cut.skipped;
        feed_part(text.substr(0, cut.plain));
        if (cut.mark) feed_part(mark);
        if (cut.number)
            numbers_ = hash_text(text.substr(cut.plain, cut.skipped), numbers_ + third_secret);
        taken += looked_at;
        text.remove_prefix(looked_at);
        if (cut.undecided) break;
    }
    return taken;
}

void PrefixHasher::feed_part(std::string_view bytes) {
    hashed_ += bytes.size();
    const char* p = bytes.data();
    const char* const end = p + bytes.size();
    while (p != end && out_.count < prefix_blocks_max) {
        const auto left = static_cast<std::size_t>(end - p);
        if (rest_bytes_ == 0 && left >= step_bytes) {
            p = feed_steps(p, std::min(left, block_left_) / step_bytes);
            continue;
        }
        const std::size_t taken = std::min(left, step_bytes - rest_bytes_);
        std::memcpy(rest_.data() + rest_bytes_, p, taken);
        rest_bytes_ += taken;
        p += taken;
        if (rest_bytes_ != step_bytes) continue;
        rest_bytes_ = 0;
        feed_steps(rest_.data(), 1);
    }
}

// Steps that do not reach beyond the block.
const char* PrefixHasher::feed_steps(const char* p, std::size_t steps) {
    SLUICE_ASSERT(rest_bytes_ == 0 && steps > 0 && steps * step_bytes <= block_left_);
    std::uint64_t state = state_;
    const char* const end = p + steps * step_bytes;
    for (; p != end; p += step_bytes)
        state = hash_stepped(state, p);
    state_ = state;
    block_left_ -= steps * step_bytes;
    if (block_left_ == 0) {
        out_.blocks[out_.count] = multiply_fold(state ^ third_secret, out_.count + second_secret);
        ++out_.count;
        block_left_ = prefix_block_bytes(out_.count);
    }
    return end;
}

// Of all bytes up to here, also where they end within a step.
std::uint64_t PrefixHasher::hash_so_far() const {
    std::array<char, step_bytes> padded{};
    std::memcpy(padded.data(), rest_.data(), rest_bytes_);
    return multiply_fold(hash_stepped(state_, padded.data()) ^ third_secret ^ numbers_,
                         hashed_ ^ first_secret);
}

void PrefixHasher::finish() {
    flush();
    out_.bytes = hashed_;
    SLUICE_ASSERT(prefix_bytes(out_.count) <= hashed_);
    if (!out_.conversation_known)
        out_.conversation = out_.count > 0 ? out_.blocks[0] : hash_so_far();
}

}  // namespace sluice::policy
