#include "sluice/policy/prefix_index.h"

#include "sluice/base/assert.h"
#include "sluice/policy/hash.h"

#include <algorithm>
#include <bit>

namespace sluice::policy {

namespace {

// A conversation has an entry beside those of its blocks.
std::uint64_t key_of_conversation(const PrefixHashes& prompt) {
    return mix(prompt.conversation ^ 0x589965cc75374cc3);
}

// Those that have more of a named conversation's prompt than its homes, by half of the prompt.
void add_better_homes(PrefixMatch& match, std::size_t candidates) {
    std::size_t most = 0;
    for (std::size_t i = 0; i < candidates; ++i)
        if ((match.homes >> i & 1) != 0) most = std::max(most, match.matched_bytes(i));
    for (std::size_t i = 0; i < candidates; ++i)
        if (match.matched_bytes(i) > most + match.prompt_bytes / 2)
            match.homes |= std::uint64_t{1} << i;
}

}  // namespace

PrefixIndex::PrefixIndex(std::size_t entries)
    : buckets_(std::bit_ceil(std::max(entries, bucket_entries)) / bucket_entries),
      mask_(buckets_.size() - 1) {
    SLUICE_ASSERT(buckets_.size() <= std::size_t{1} << 32);
    static_assert(sizeof(Bucket) == 64);
}

std::uint64_t PrefixIndex::holders_of(std::uint64_t hash) const {
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    for (const Entry& entry : bucket_of(hash).entries) {
        if (entry.tag == tag && entry.holders != 0) return entry.holders;
    }
    return 0;
}

PrefixMatch PrefixIndex::lookup(const PrefixHashes& prompt,
                                std::span<const Candidate> candidates) const {
    SLUICE_ASSERT(candidates.size() <= candidates_max && prompt.count <= prefix_blocks_max);
    for (std::size_t block = 0; block < prompt.count; ++block)
        __builtin_prefetch(&bucket_of(prompt.blocks[block]));

    std::uint64_t wanted = 0;
    for (const Candidate& candidate : candidates)
        wanted |= std::uint64_t{1} << place_of(candidate.backend);
    // From the last block back: a hash covers all before it, so the first block that is found is
    // the longest match, also where one before it has been evicted.
    std::array<std::uint16_t, 64> matched{};
    for (std::size_t block = prompt.count; block > 0 && wanted != 0; --block) {
        std::uint64_t found = holders_of(prompt.blocks[block - 1]) & wanted;
        wanted &= ~found;
        for (; found != 0; found &= found - 1)
            matched[std::countr_zero(found)] = static_cast<std::uint16_t>(block);
    }

    const std::uint64_t known =
        prompt.conversation_known ? holders_of(key_of_conversation(prompt)) : 0;
    PrefixMatch match;
    match.prompt_bytes = prompt.bytes;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        const unsigned place = place_of(candidates[i].backend);
        match.matched[i] = matched[place];
        match.recent[i] = recent_[place] / recent_weight_;
        const bool home = prompt.conversation_known ? (known >> place & 1) != 0
                                                    : match.matched_bytes(i) * 2 > prompt.bytes;
        match.homes |= std::uint64_t{home} << i;
    }
    if (prompt.conversation_named && match.homes != 0) add_better_homes(match, candidates.size());
    return match;
}

std::size_t PrefixIndex::record(const PrefixHashes& prompt, std::uint32_t backend,
                                std::vector<std::uint64_t>* news) {
    SLUICE_ASSERT(prompt.count <= prefix_blocks_max);
    ++turn_;
    std::size_t held = 0;
    for (std::size_t block = 0; block < prompt.count; ++block) {
        if (hold(prompt.blocks[block], backend))
            held = block + 1;
        else if (news != nullptr)
            news->push_back(prompt.blocks[block]);
    }
    if (prompt.conversation_known) {
        hold(key_of_conversation(prompt), backend);
        if (news != nullptr) news->push_back(key_of_conversation(prompt));
    }
    count_recent(backend);
    const std::size_t predicted = prefix_bytes(held);
    SLUICE_ASSERT(predicted <= prompt.bytes);
    ++counters_.prompts;
    counters_.prompt_bytes += prompt.bytes;
    counters_.predicted_bytes += predicted;
    return predicted;
}

void PrefixIndex::learn(std::span<const std::uint64_t> news, std::uint32_t backend) {
    ++turn_;
    for (const std::uint64_t hash : news)
        hold(hash, backend);
    count_recent(backend);
}

void PrefixIndex::count_recent(std::uint32_t backend) {
    constexpr double weight_max = 1e100;
    recent_weight_ *= recent_growth;
    if (recent_weight_ > weight_max) {
        for (double& recent : recent_)
            recent /= recent_weight_;
        recent_weight_ = 1;
    }
    recent_[place_of(backend)] += recent_weight_;
}

bool PrefixIndex::hold(std::uint64_t hash, std::uint32_t backend) {
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    const std::uint64_t bit = std::uint64_t{1} << place_of(backend);
    Entry* oldest = nullptr;
    for (Entry& entry : buckets_[hash & mask_].entries) {
        if (entry.tag == tag && entry.holders != 0) {
            const bool held = (entry.holders & bit) != 0;
            entry.used = turn_;
            entry.holders |= bit;
            return held;
        }
        const auto older = [&] { return turn_ - entry.used > turn_ - oldest->used; };
        if (oldest == nullptr || (oldest->holders != 0 && (entry.holders == 0 || older()))) {
            oldest = &entry;
        }
    }
    const bool evicts = oldest->holders != 0;
    counters_.evictions += evicts ? 1 : 0;
    size_ += evicts ? 0 : 1;
    SLUICE_ASSERT(size_ <= capacity());
    *oldest = {.tag = tag, .used = turn_, .holders = bit};
    return false;
}

void PrefixIndex::forget(std::uint32_t backend) {
    const std::uint64_t bit = std::uint64_t{1} << place_of(backend);
    for (Bucket& bucket : buckets_) {
        for (Entry& entry : bucket.entries) {
            if ((entry.holders & bit) == 0) continue;
            entry.holders &= ~bit;
            if (entry.holders == 0) --size_;
        }
    }
}

}  // namespace sluice::policy
