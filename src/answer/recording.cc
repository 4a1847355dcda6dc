#include "sluice/answer/recording.h"

#include "sluice/base/limits.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice::answer {
namespace {

// Small answers stay small, and long ones are copied once.
constexpr std::size_t first_block_bytes = 2 * limits::KiB;
constexpr std::size_t block_bytes_max = 64 * limits::KiB;

}  // namespace

Recording::Recording(std::size_t kept_max, bool shared)
    : kept_max_(kept_max),
      shared_(shared),
      last_(std::make_shared<Block>(in_memory_, 0, first_block_bytes)),
      first_(last_) {}

// Block by block: a long chain that frees itself would go as deep as it is long.
Recording::~Recording() {
    last_ = nullptr;
    while (first_ != nullptr && first_.use_count() == 1)
        first_ = std::exchange(first_->next, nullptr);
}

void Recording::stage_status(int status, std::string_view reason) {
    SLUICE_ASSERT(state() == State::waiting);
    head_.status = status;
    head_.reason = reason;
}

void Recording::stage_place(Place place) {
    SLUICE_ASSERT(state() == State::waiting);
    head_.place = std::move(place);
}

void Recording::begin(bool event_stream, sse::Form form) {
    if (state() != State::waiting) return;
    SLUICE_ASSERT(head_.status != 0);
    head_.event_stream = event_stream;
    head_.form = form;
    begun_ = true;
    state_.store(State::begun);
}

void Recording::append(std::string_view bytes) {
    SLUICE_ASSERT(state() == State::begun);
    std::uint64_t at = published_.load(std::memory_order_relaxed);
    while (!bytes.empty()) {
        if (at == last_->begin + last_->capacity) {
            const std::size_t size = std::clamp(
                bytes.size(), std::min(2 * last_->capacity, block_bytes_max), block_bytes_max);
            last_->next = std::make_shared<Block>(in_memory_, at, size);
            last_ = last_->next;
        }
        const std::size_t room = last_->begin + last_->capacity - at;
        const std::size_t taken = std::min<std::size_t>(room, bytes.size());
        std::memcpy(last_->bytes.get() + (at - last_->begin), bytes.data(), taken);
        bytes.remove_prefix(taken);
        at += taken;
    }
    published_.store(at);  // in one order with who listens, see take_untold()
    if (at <= kept_max_ || let_go_) return;
    let_go_ = true;
    first_ = nullptr;
}

void Recording::append(const mem::Chain& bytes, Instant now) {
    if (first_at_ == Instant{}) first_at_ = now;
    bytes.for_each([this](const mem::Slice& slice) {
        append(slice.text());
        return true;
    });
    if (!let_go_)
        runs_.push_back({published_.load(std::memory_order_relaxed), now - first_at_});
    else
        runs_ = {};
}

void Recording::end(Ending&& ending) {
    SLUICE_ASSERT(state() != State::ended);
    ending_ = std::move(ending);
    // Behind `begun` readers look at it.
    if (!begun_ && ending_.whole) begun_ = true;
    state_.store(State::ended);
}

std::string Recording::whole_body() const {
    std::string body;
    if (let_go_) return body;
    const std::uint64_t size = published_.load(std::memory_order_relaxed);
    body.reserve(size);
    for (const Block* block = first_.get(); block != nullptr; block = block->next.get())
        body.append(block->bytes.get(),
                    std::min<std::size_t>(block->capacity, size - block->begin));
    return body;
}

std::size_t Recording::behind() const {
    if (!let_go_) return 0;
    const std::size_t kept = in_memory_.load(std::memory_order_relaxed);
    return kept > kept_max_ ? kept : 0;
}

// --- Cursor ---------------------------------------------------------------------------------

Cursor::Cursor(std::shared_ptr<Recording> recording, Recording::Door door)
    : recording_(std::move(recording)), block_(std::move(door.block_)) {
    SLUICE_ASSERT(block_ != nullptr && block_->begin == 0);
}

Cursor::~Cursor() {
    // Where nobody else is behind, block by block. What is published beyond a block says that the
    // next one is there.
    while (block_ != nullptr && recording_->published() > block_->begin + block_->capacity &&
           block_.use_count() == 1)
        block_ = std::exchange(block_->next, nullptr);
}

std::string_view Cursor::next() {
    const std::uint64_t end = recording_->published();
    SLUICE_ASSERT(block_ != nullptr && position_ <= end);
    if (position_ == end) return {};
    if (position_ == block_->begin + block_->capacity) block_ = block_->next;
    const std::size_t at = position_ - block_->begin;
    const std::size_t there = std::min<std::uint64_t>(block_->capacity, end - block_->begin);
    return {block_->bytes.get() + at, there - at};
}

void Cursor::consume(std::size_t bytes) {
    position_ += bytes;
    SLUICE_ASSERT(block_ != nullptr && position_ <= block_->begin + block_->capacity);
}

}  // namespace sluice::answer
