// KeyIndex: which entry has a key. Open addressing with linear probing, at most half full.
//
// Pure. Holds a part of the key's hash and the entry's number; the caller compares the whole keys.
// A seed that nobody outside knows is mixed in: who chooses bodies can choose some bits of their
// keys, but not make many of them meet here. Its memory is taken once and does not grow.
#pragma once

#include "sluice/base/assert.h"
#include "sluice/cache/key.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::cache {

// Spread over all bits. The low half is the index's, the high half the ghosts'.
inline std::uint64_t mix_key(const Key& key, std::uint64_t seed) {
    const auto product = static_cast<unsigned __int128>(key.hash() ^ seed) * 0x9e3779b97f4a7c15ull;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

class KeyIndex {
public:
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    explicit KeyIndex(std::size_t entries_max) : slots_(slots_for(entries_max)) {}

    static std::size_t bytes_for(std::size_t entries_max) {
        return slots_for(entries_max) * sizeof(Slot);
    }

    // The entry of this hash for which same(entry) holds, or none.
    template <class Same>
    std::uint32_t find(std::uint64_t hash, Same&& same) const {
        const auto tag = static_cast<std::uint32_t>(hash);
        for (std::size_t at = home(tag); slots_[at].entry != 0; at = next(at)) {
            const Slot slot = slots_[at];
            if (slot.tag == tag && same(slot.entry - 1)) return slot.entry - 1;
        }
        return none;
    }
    // `entry` is not in it yet.
    void insert(std::uint64_t hash, std::uint32_t entry) {
        const auto tag = static_cast<std::uint32_t>(hash);
        std::size_t at = home(tag);
        while (slots_[at].entry != 0)
            at = next(at);
        slots_[at] = {tag, entry + 1};
        ++used_;
        SLUICE_ASSERT(used_ * 2 <= slots_.size());
    }
    // `entry` is in it. What was pushed behind it comes forward, so that no gap breaks a search.
    void erase(std::uint64_t hash, std::uint32_t entry) {
        std::size_t gap = home(static_cast<std::uint32_t>(hash));
        while (slots_[gap].entry != entry + 1) {
            SLUICE_ASSERT(slots_[gap].entry != 0);
            gap = next(gap);
        }
        for (std::size_t at = next(gap); slots_[at].entry != 0; at = next(at)) {
            const std::size_t wanted = home(slots_[at].tag);
            if (((at - wanted) & mask()) < ((at - gap) & mask())) continue;
            slots_[gap] = slots_[at];
            gap = at;
        }
        slots_[gap] = {};
        --used_;
    }
    std::size_t size() const { return used_; }

private:
    struct Slot {
        std::uint32_t tag = 0;
        std::uint32_t entry = 0;  // its number + 1; 0 where there is none
    };

    static std::size_t slots_for(std::size_t entries_max) {
        return std::bit_ceil(2 * entries_max + 1);
    }
    std::size_t mask() const { return slots_.size() - 1; }
    std::size_t home(std::uint32_t tag) const { return tag & mask(); }
    std::size_t next(std::size_t at) const { return (at + 1) & mask(); }

    std::vector<Slot> slots_;
    std::size_t used_ = 0;
};

}  // namespace sluice::cache
