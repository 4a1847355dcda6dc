// PrefixHasher: hashes of a prompt's beginnings, so that the next turn of a conversation is seen to
// begin as the last one did.
//
// Fed with the bytes of the request that make up the prompt, in any split: first the inside of
// llm::RequestFacts::instructions_value, then inside(prompt_value). The next turn repeats these
// bytes and goes on; what stands around them in the body may change. (Tools are not fed: they stand
// anywhere in a body, and a conversation keeps them.) The hash of block k covers all bytes up to
// its end. A last block that is not whole has none.
//
// What changes from request to request of one conversation is left out: dates, times, ids,
// `cache_control`; see volatile_text.h for how it is told and why it does little harm to take two
// prompts for one. So is a billing block at the head (Claude Code's), whatever it says. All sizes
// are of what is left.
//
// Blocks grow with their distance from the begin, 64 of a size: 256 bytes, 1 KiB, 4 KiB and so on,
// so that the longest body there is has few hundred of them, and what is overlooked because it
// fills no block is at most 256 bytes or a sixteenth of the prompt. What lies behind the last block
// is not hashed.
#pragma once

#include "sluice/policy/hash.h"
#include "sluice/policy/volatile_text.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::policy {

inline constexpr std::size_t prefix_blocks_of_a_size = 64;
inline constexpr std::size_t prefix_block_sizes = 6;
inline constexpr std::size_t prefix_blocks_max = prefix_blocks_of_a_size * prefix_block_sizes;

// Bytes of the block with this number.
constexpr std::size_t prefix_block_bytes(std::size_t block) {
    return std::size_t{256} << (2 * (block / prefix_blocks_of_a_size));
}

// Bytes of this many blocks together, from the begin of the prompt.
constexpr std::size_t prefix_bytes(std::size_t blocks) {
    // The full sizes are a geometric series: 64 * 256 * (4^n - 1) / 3.
    const std::size_t full = blocks / prefix_blocks_of_a_size;
    const std::size_t before =
        prefix_blocks_of_a_size * 256 * (((std::size_t{1} << (2 * full)) - 1) / 3);
    return before + (blocks % prefix_blocks_of_a_size) * prefix_block_bytes(blocks);
}

// 3 KiB: kept with the request, for it may be recorded for a second backend.
struct PrefixHashes {
    std::size_t count = 0;  // whole blocks
    std::size_t bytes = 0;  // of the whole prompt, as it is hashed
    // What all turns of the conversation have in common and others have not: the hash of the prompt
    // up to the end of its opening, with the plain numbers in it. Where the caller knows a better
    // name, it puts in hash_text() of that, and sets `conversation_known`. Not known: a stand-in
    // from the first block.
    std::uint64_t conversation = 0;
    bool conversation_known = false;
    bool conversation_named = false;  // by the client: a session, which may hold several of them
    std::array<std::uint64_t, prefix_blocks_max> blocks;  // the first `count` are set
};

class PrefixHasher {
public:
    // `seed`: of the model's name and a number drawn at start, so that models do not mix and nobody
    // can aim at a place of the table. `opening_bytes`: where the opening ends, counted from the
    // first byte that is fed; 0: it is not known.
    PrefixHasher(PrefixHashes& out, std::uint64_t seed, std::size_t opening_bytes);

    void feed(std::string_view bytes);
    // Called once, after the last byte.
    void finish();

private:
    static constexpr std::size_t step_bytes = hash_step_bytes;

    void read(std::string_view bytes);
    bool read_head(std::string_view& bytes);
    bool leave_out_billing(bool whole);
    void take_held();
    void flush();
    std::size_t take(std::string_view text, bool whole);
    void feed_part(std::string_view bytes);
    const char* feed_steps(const char* p, std::size_t steps);
    std::uint64_t hash_so_far() const;

    PrefixHashes& out_;
    std::uint64_t state_;
    std::size_t opening_bytes_;
    std::size_t fed_ = 0;     // bytes of the request
    std::size_t hashed_ = 0;  // of these, what is left
    std::uint64_t numbers_ = 0;
    bool head_read_ = false;  // it is known whether a billing block stands first
    VolatileState volatile_;
    // What cannot be decided yet, with room for what decides it.
    std::array<char, 2 * volatile_held_max> held_;
    std::size_t held_bytes_ = 0;
    std::size_t block_left_ = prefix_block_bytes(0);
    std::array<char, step_bytes> rest_{};  // of bytes that fill no step
    std::size_t rest_bytes_ = 0;
};

}  // namespace sluice::policy
