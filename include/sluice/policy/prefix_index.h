// PrefixIndex: which backends were sent which beginnings of prompts, so that a conversation goes
// where its KV cache is.
//
// Shard-local, of a fixed size, and without allocation once it is made: a table of 16 bytes an
// entry in buckets of a cache line, of which the entry that was used least recently gives way. It
// guesses: a server may have dropped its cache, and two hashes may meet (32 bits and the place in
// the table are compared); a wrong guess costs a prefill, never more. How good the guesses are is
// for the caller to tell, from counters() against the servers' `cached_tokens`.
//
// A set of backends is kept in 64 bits, by the backend's number modulo 64: two backends of one
// model that meet there share what is known of them.
#pragma once

#include "sluice/policy/candidate.h"
#include "sluice/policy/prefix_hasher.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice::policy {

// What the index knows of a prompt, by the candidate's place.
struct PrefixMatch {
    std::size_t prompt_bytes = 0;
    // Candidates that served a turn of this conversation: a bit each. Where the conversation is not
    // known: those that match more than half of the prompt. Where the client named it, and it has
    // homes: also those that match more than they do by half of the prompt, for what it named may
    // hold prompts that have nothing in common.
    std::uint64_t homes = 0;
    std::array<std::uint16_t, candidates_max> matched{};  // blocks from the prompt's begin
    std::array<double, candidates_max> recent{};          // prompts it was sent of late, fading

    std::size_t matched_bytes(std::size_t place) const { return prefix_bytes(matched[place]); }
};

struct PrefixCounters {
    std::uint64_t prompts = 0;
    std::uint64_t prompt_bytes = 0;
    std::uint64_t predicted_bytes = 0;  // of these, what was expected to be in the backend's cache
    std::uint64_t evictions = 0;
};

class PrefixIndex {
public:
    // Prompts, to any backend, after which one counts half in PrefixMatch::recent: enough for some
    // turns of each conversation of a busy box, few enough to forget what was yesterday.
    static constexpr int recent_half_life = 64;

    // `entries` is rounded up to a power of two. 64 Ki of them take 1 MiB and hold some 700
    // conversations of 20 KB.
    explicit PrefixIndex(std::size_t entries);

    PrefixMatch lookup(const PrefixHashes& prompt, std::span<const Candidate> candidates) const;

    // The prompt goes to this backend. Returns how many of its bytes are expected in its cache.
    // `news`: what another index is to learn() of it is put behind what stands there.
    std::size_t record(const PrefixHashes& prompt, std::uint32_t backend,
                       std::vector<std::uint64_t>* news = nullptr);
    // A prompt went to this backend that another index, with the same seed, has recorded. It is not
    // counted here.
    void learn(std::span<const std::uint64_t> news, std::uint32_t backend);
    // The backend was restarted: its cache is gone. Walks the whole table.
    void forget(std::uint32_t backend);

    const PrefixCounters& counters() const { return counters_; }
    std::size_t capacity() const { return buckets_.size() * bucket_entries; }
    std::size_t size() const { return size_; }  // entries in use

private:
    struct Entry {
        std::uint32_t tag = 0;      // the upper half of the hash
        std::uint32_t used = 0;     // turn of the last use
        std::uint64_t holders = 0;  // 0: the entry is free
    };
    static constexpr std::size_t bucket_entries = 4;
    struct alignas(64) Bucket {
        std::array<Entry, bucket_entries> entries;
    };

    // 2^(1/64): fading is done by letting what comes weigh more.
    static constexpr double recent_growth = 1.0108892860517005;

    static unsigned place_of(std::uint32_t backend) { return backend % 64; }
    const Bucket& bucket_of(std::uint64_t hash) const { return buckets_[hash & mask_]; }
    std::uint64_t holders_of(std::uint64_t hash) const;
    // Whether the backend held it already.
    bool hold(std::uint64_t hash, std::uint32_t backend);
    void count_recent(std::uint32_t backend);

    std::vector<Bucket> buckets_;
    std::uint64_t mask_;
    std::uint32_t turn_ = 0;  // counts prompts; ages are differences, so it may wrap
    std::size_t size_ = 0;
    std::array<double, 64>
        recent_{};  // by the backend's place, in units of the last prompt's weight
    double recent_weight_ = 1;
    PrefixCounters counters_;
};

}  // namespace sluice::policy
