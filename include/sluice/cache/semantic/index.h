// Index: which earlier question is nearest to this one, of one tenant and one embedding model.
//
// Pure: no clock but the times that are passed in. A flat array of unit vectors, compared by their
// cosine. An entry stands for a question within its context: everything else of the request
// (conversation, system prompt, tools, parameters, consumer) as one key, which must be the same;
// only entries of that context are compared at all. Whether the two questions mean the same is not
// told by a cosine alone: see guards.h.
//
// A search goes from the newest entry to the oldest, in steps that the caller makes while it has
// time; what it found until then is a find like any other. Entries may come in between. When the
// index is full the oldest entry goes. Its memory comes in blocks as it grows, and is bounded in
// entries and bytes.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/cache/key.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace sluice::cache::semantic {

struct IndexBounds {
    std::size_t entries = 50'000;
    std::uint64_t bytes = std::uint64_t{256} << 20;
};

struct Match {
    Key answer;
    float similarity = 0;  // the cosine: 1 is the same direction
    Duration age;
};

class Index {
public:
    // Some models give vectors of 4096 and more; none of this.
    static constexpr std::size_t dimensions_max = 16 * 1024;

    // `dimensions`: of the model's vectors; 1 to dimensions_max.
    Index(std::size_t dimensions, IndexBounds bounds = {});

    // False: it has other dimensions, no direction or a number that is none; or nothing fits.
    bool add(std::span<const float> vector, const Key& context, const Key& answer, Instant now);
    void clear();

    std::size_t dimensions() const { return dimensions_; }
    std::size_t size() const { return static_cast<std::size_t>(next_ - oldest()); }
    std::size_t entries_max() const { return entries_max_; }
    // What was asked of an allocator.
    std::uint64_t bytes() const;

private:
    friend class Search;
    // As many numbers as are multiplied at a time on the machines that there are.
    struct alignas(32) Lane {
        float numbers[8];
    };
    struct Entry {
        Key context;
        Key answer;
        Instant created;
    };
    static constexpr std::size_t block_entries = 64;
    struct Block {
        std::unique_ptr<Lane[]> vectors;
        std::unique_ptr<Entry[]> entries;
        // Of the contexts: most entries are passed over, and these lie close together.
        std::unique_ptr<std::uint64_t[]> hashes;
    };

    static bool make_unit(std::span<const float> vector, std::span<Lane> to);
    static float dot(const Lane* a, const Lane* b, std::size_t lanes);
    std::uint64_t block_bytes() const;
    // Entries have numbers that run on; a place is taken again by the one that comes a round later.
    std::uint64_t oldest() const { return next_ < entries_max_ ? 0 : next_ - entries_max_; }
    std::size_t place_of(std::uint64_t number) const {
        return static_cast<std::size_t>(number % entries_max_);
    }
    std::span<Lane> vector_at(std::size_t place) const;
    Entry& entry_at(std::size_t place) const {
        return blocks_[place / block_entries].entries[place % block_entries];
    }

    std::size_t dimensions_;
    std::size_t lanes_;  // of a vector, the last one filled up with zeros
    std::size_t entries_max_;
    std::uint64_t next_ = 0;
    std::vector<Block> blocks_;
};

// One look for the nearest question. The index must outlive it.
class Search {
public:
    // `threshold`: of the cosine, at least. Nothing that is older than `max_age` is found.
    Search(const Index& index, const Key& context, float threshold, Duration max_age);

    // As Index::add() says.
    bool set_question(std::span<const float> vector);
    // Compares with as many entries of this context as `compared`, and passes over at most
    // `passed` others. True: there is more to do.
    bool step(std::size_t compared, std::size_t passed, Instant now);
    // The best until now.
    const std::optional<Match>& best() const { return best_; }

private:
    bool compare(std::size_t place, const Index::Entry& entry, Instant now);

    const Index& index_;
    Key context_;
    float threshold_;
    Duration max_age_;
    std::unique_ptr<Index::Lane[]> question_;
    std::uint64_t behind_;  // the next one to look at is the one before
    std::optional<Match> best_;
};

}  // namespace sluice::cache::semantic
