// Histogram: counts of values over many orders of magnitude, to read percentiles from.
//
// Log-linear, after HdrHistogram (Gil Tene): 256 buckets for each doubling, so that a value is
// known to within 0.4 %, and exactly below 512. Values are whole numbers, here nanoseconds; above
// 2^42 (73 minutes) they count as 2^42. Recording is two shifts and an increment and never
// allocates.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::bench {

class Histogram {
public:
    static constexpr std::uint64_t value_max = std::uint64_t{1} << 42;

    Histogram() : counts_(index_of(value_max) + 1) {}

    void record(std::uint64_t value) {
        if (value > value_max) value = value_max;
        ++counts_[index_of(value)];
        ++count_;
        sum_ += value;
        if (value > max_) max_ = value;
        if (value < min_) min_ = value;
    }

    // All that `other` has recorded is recorded here too.
    void add(const Histogram& other);
    void clear();

    std::uint64_t count() const { return count_; }
    std::uint64_t min() const { return count_ == 0 ? 0 : min_; }
    std::uint64_t max() const { return max_; }
    double mean() const;
    // The smallest value that at least `percent` of all values do not exceed, as the largest value
    // of its bucket. 0 when nothing was recorded.
    std::uint64_t percentile(double percent) const;

    // f(lowest, highest, count) for each bucket that holds something, from small to large.
    template <class F>
    void for_each(F&& f) const {
        for (std::size_t i = 0; i < counts_.size(); ++i)
            if (counts_[i] != 0) f(lowest_of(i), highest_of(i), counts_[i]);
    }

private:
    static constexpr unsigned bits = 8;

    // Below 2^9 the index is the value; above, `bits` leading bits after the first one count on.
    static constexpr std::size_t index_of(std::uint64_t value) {
        if (value < (std::uint64_t{2} << bits)) return value;
        const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - bits - 1;
        return (std::size_t{shift} << bits) + (value >> shift);
    }
    static constexpr std::uint64_t lowest_of(std::size_t index) {
        if (index < (std::size_t{2} << bits)) return index;
        const std::size_t shift = (index >> bits) - 1;
        return (index - (shift << bits)) << shift;
    }
    static constexpr std::uint64_t highest_of(std::size_t index) {
        return lowest_of(index + 1) - 1;
    }

    std::vector<std::uint64_t> counts_;
    std::uint64_t count_ = 0;
    std::uint64_t sum_ = 0;
    std::uint64_t min_ = UINT64_MAX;
    std::uint64_t max_ = 0;
};

}  // namespace sluice::bench
