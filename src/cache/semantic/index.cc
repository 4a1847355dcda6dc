#include "sluice/cache/semantic/index.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace sluice::cache::semantic {

namespace {

// The compiler's own vectors: two of SSE2's, or one of AVX2's where the machine has them.
using Eight = float __attribute__((vector_size(32)));
static_assert(sizeof(Eight) == 32);

// Four sums at a time, for each waits some cycles for itself.
[[gnu::always_inline]] inline float dot_of(const float* a, const float* b, std::size_t lanes) {
    Eight sums[4] = {};
    const auto add = [&](std::size_t lane, Eight& sum) {
        Eight left;
        Eight right;
        std::memcpy(&left, a + 8 * lane, sizeof left);
        std::memcpy(&right, b + 8 * lane, sizeof right);
        sum += left * right;
    };
    std::size_t lane = 0;
    for (; lane + 4 <= lanes; lane += 4) {
        add(lane, sums[0]);
        add(lane + 1, sums[1]);
        add(lane + 2, sums[2]);
        add(lane + 3, sums[3]);
    }
    for (; lane < lanes; ++lane)
        add(lane, sums[0]);
    const Eight sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    float all = 0;
    for (std::size_t i = 0; i < 8; ++i)
        all += sum[i];
    return all;
}

float dot_plain(const float* a, const float* b, std::size_t lanes) {
    return dot_of(a, b, lanes);
}

#if defined(__x86_64__)
[[gnu::target("avx2,fma")]] float dot_avx2(const float* a, const float* b, std::size_t lanes) {
    return dot_of(a, b, lanes);
}

using Dot = float (*)(const float*, const float*, std::size_t);
Dot choose_dot() {
    __builtin_cpu_init();
    const bool has_avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
    return has_avx2 ? dot_avx2 : dot_plain;
}
const Dot best_dot = choose_dot();
#else
constexpr auto best_dot = dot_plain;
#endif

}  // namespace

// --- the index ---

Index::Index(std::size_t dimensions, IndexBounds bounds)
    : dimensions_(dimensions), lanes_((dimensions + 7) / 8) {
    SLUICE_ASSERT(dimensions > 0 && dimensions <= dimensions_max);
    // The table of blocks is taken at once, and counts.
    const std::uint64_t blocks = bounds.bytes / (block_bytes() + sizeof(Block));
    entries_max_ =
        static_cast<std::size_t>(std::min<std::uint64_t>(bounds.entries, blocks * block_entries));
    blocks_.reserve((entries_max_ + block_entries - 1) / block_entries);
}

std::uint64_t Index::block_bytes() const {
    return block_entries * (lanes_ * sizeof(Lane) + sizeof(Entry) + sizeof(std::uint64_t));
}

std::uint64_t Index::bytes() const {
    return blocks_.capacity() * sizeof(Block) + blocks_.size() * block_bytes();
}

std::span<Index::Lane> Index::vector_at(std::size_t place) const {
    Lane* const first = blocks_[place / block_entries].vectors.get();
    return {first + place % block_entries * lanes_, lanes_};
}

bool Index::make_unit(std::span<const float> vector, std::span<Lane> to) {
    double square = 0;
    for (const float number : vector)
        square += double{number} * double{number};
    // Also where one of them is no number, or none that is finite.
    if (!std::isfinite(square) || square < 1e-20) return false;
    const double scale = 1 / std::sqrt(square);
    for (std::size_t i = 0; i < to.size() * 8; ++i) {
        const double number = i < vector.size() ? double{vector[i]} * scale : 0;
        to[i / 8].numbers[i % 8] = static_cast<float>(number);
    }
    return true;
}

float Index::dot(const Lane* a, const Lane* b, std::size_t lanes) {
    return best_dot(a->numbers, b->numbers, lanes);
}

bool Index::add(std::span<const float> vector, const Key& context, const Key& answer, Instant now) {
    if (vector.size() != dimensions_ || entries_max_ == 0) return false;
    const std::size_t place = place_of(next_);
    if (place / block_entries == blocks_.size()) {
        SLUICE_ASSERT(blocks_.size() < blocks_.capacity());
        blocks_.push_back({std::make_unique_for_overwrite<Lane[]>(block_entries * lanes_),
                           std::make_unique<Entry[]>(block_entries),
                           std::make_unique<std::uint64_t[]>(block_entries)});
    }
    // One that has no direction leaves the oldest where it is.
    std::vector<Lane> unit(lanes_);
    if (!make_unit(vector, unit)) return false;
    std::ranges::copy(unit, vector_at(place).begin());
    entry_at(place) = {context, answer, now};
    blocks_[place / block_entries].hashes[place % block_entries] = context.hash();
    ++next_;
    return true;
}

void Index::clear() {
    blocks_.clear();
    next_ = 0;
}

// --- a search ---

Search::Search(const Index& index, const Key& context, float threshold, Duration max_age)
    : index_(index),
      context_(context),
      threshold_(threshold),
      max_age_(max_age),
      question_(std::make_unique<Index::Lane[]>(index.lanes_)),
      behind_(index.next_) {}

bool Search::set_question(std::span<const float> vector) {
    return vector.size() == index_.dimensions_ &&
           Index::make_unit(vector, {question_.get(), index_.lanes_});
}

bool Search::step(std::size_t compared, std::size_t passed, Instant now) {
    // What was there when the search began; after a clear() there is nothing of it.
    behind_ = std::min(behind_, index_.next_);
    if (behind_ <= index_.oldest()) return false;
    // Entries lie in the order of their times, the newest one before the place of the next.
    std::size_t place = index_.place_of(behind_ - 1);
    const std::uint64_t hash = context_.hash();
    for (const std::uint64_t oldest = index_.oldest(); behind_ > oldest; --behind_) {
        const Index::Block& block = index_.blocks_[place / Index::block_entries];
        const std::size_t in_block = place % Index::block_entries;
        const bool is_of_context =
            block.hashes[in_block] == hash && block.entries[in_block].context == context_;
        std::size_t& left = is_of_context ? compared : passed;
        if (left == 0) return true;
        --left;
        if (is_of_context && !compare(place, block.entries[in_block], now)) {
            behind_ = 0;
            return false;
        }
        place = (place == 0 ? index_.entries_max_ : place) - 1;
    }
    return false;
}

// False: it is too old, and so are all before it.
bool Search::compare(std::size_t place, const Index::Entry& entry, Instant now) {
    const Duration age = now - entry.created;
    if (age > max_age_) return false;
    const float similarity =
        Index::dot(question_.get(), index_.vector_at(place).data(), index_.lanes_);
    // Of two that are as near the newer one stays.
    if (similarity >= threshold_ && (!best_ || similarity > best_->similarity))
        best_ = Match{entry.answer, similarity, age};
    return true;
}

}  // namespace sluice::cache::semantic
