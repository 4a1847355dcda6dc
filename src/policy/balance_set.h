// A set of candidates as bits, and the rules that several kinds of balancing share.
#pragma once

#include "sluice/base/assert.h"
#include "sluice/policy/candidate.h"
#include "sluice/policy/prefix_index.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::policy {

using Candidates = std::span<const Candidate>;

// Indices of candidates, walked with a range-for.
class CandidateSet {
public:
    class Iterator {
    public:
        explicit Iterator(std::uint64_t bits) : bits_(bits) {}
        std::size_t operator*() const { return static_cast<std::size_t>(std::countr_zero(bits_)); }
        Iterator& operator++() {
            bits_ &= bits_ - 1;
            return *this;
        }
        bool operator!=(const Iterator& other) const { return bits_ != other.bits_; }

    private:
        std::uint64_t bits_;
    };

    void add(std::size_t index) { bits_ |= std::uint64_t{1} << index; }
    bool empty() const { return bits_ == 0; }
    std::size_t size() const { return static_cast<std::size_t>(std::popcount(bits_)); }
    std::size_t first() const {
        SLUICE_ASSERT(bits_ != 0);
        return *begin();
    }
    Iterator begin() const { return Iterator(bits_); }
    Iterator end() const { return Iterator(0); }

private:
    std::uint64_t bits_ = 0;
};

// Whether `a` has more in flight by capacity than `b`.
inline bool busier(const Candidate& a, const Candidate& b) {
    return a.in_flight * b.capacity() > b.in_flight * a.capacity();
}

// Those of the set that are equally the least busy.
CandidateSet least_busy_of(Candidates candidates, CandidateSet set);
// The next one of the set in its rotation.
std::size_t rotate(Candidates candidates, CandidateSet set);
// The rule for KV caches.
std::size_t choose_by_prefix(Candidates candidates, CandidateSet set, const PrefixMatch& match);

}  // namespace sluice::policy
