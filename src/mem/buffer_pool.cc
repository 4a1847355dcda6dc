#include "sluice/mem/buffer_pool.h"

#include <sys/mman.h>

#include <bit>
#include <cstring>
#include <limits>

#include "sluice/base/limits.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_POISONS 1
#endif
#endif

#if defined(SLUICE_POISONS)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) (static_cast<void>(0))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) (static_cast<void>(0))
#endif

namespace sluice::mem {
namespace {

// Address space only: pages are committed when they are first written.
void* reserve(std::size_t bytes) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    SLUICE_ASSERT(at != MAP_FAILED);
    return at;
}

}  // namespace

// --- Slice ----------------------------------------------------------------------------------

Slice Slice::of_static(std::string_view text) {
    SLUICE_ASSERT(text.size() <= std::numeric_limits<std::uint32_t>::max());
    Slice slice;
    slice.data_ = text.data();
    slice.size_ = static_cast<std::uint32_t>(text.size());
    return slice;
}

Slice Slice::share(std::size_t begin, std::size_t end) const {
    SLUICE_ASSERT(begin <= end);
    SLUICE_ASSERT(end <= size_);
    Slice slice;
    if (pool_ != nullptr) pool_->add_reference(id_);
    slice.pool_ = pool_;
    slice.id_ = id_;
    slice.data_ = data_ + begin;
    slice.size_ = static_cast<std::uint32_t>(end - begin);
    return slice;
}

bool Slice::extend(Slice& next) {
    if (pool_ == nullptr || pool_ != next.pool_ || id_ != next.id_) return false;
    if (data_ + size_ != next.data_) return false;
    size_ += next.size_;
    next.reset();
    return true;
}

void Slice::drop_front(std::size_t n) {
    SLUICE_ASSERT(n <= size_);
    data_ += n;
    size_ -= static_cast<std::uint32_t>(n);
}

void Slice::drop_back(std::size_t n) {
    SLUICE_ASSERT(n <= size_);
    size_ -= static_cast<std::uint32_t>(n);
}

void Slice::reset() {
    if (pool_ != nullptr) pool_->drop_reference(id_);
    pool_ = nullptr;
    data_ = nullptr;
    size_ = 0;
}

void Slice::swap(Slice& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(id_, other.id_);
}

// --- BufferPool -----------------------------------------------------------------------------

BufferPool::BufferPool(std::size_t buffer_bytes, std::size_t count)
    : buffer_bytes_(buffer_bytes), count_(count) {
    SLUICE_ASSERT(std::has_single_bit(buffer_bytes));
    SLUICE_ASSERT(count > 0 && count <= limits::buffers_max);
    region_ = static_cast<char*>(reserve(count * buffer_bytes));
    references_ = static_cast<std::uint16_t*>(reserve(count * sizeof(std::uint16_t)));
    free_ = static_cast<std::uint16_t*>(reserve(count * sizeof(std::uint16_t)));
    ASAN_POISON_MEMORY_REGION(region_, count * buffer_bytes);
}

BufferPool::~BufferPool() {
    scratch_.reset();
    SLUICE_ASSERT(in_use_ == 0);
    ASAN_UNPOISON_MEMORY_REGION(region_, count_ * buffer_bytes_);
    ::munmap(region_, count_ * buffer_bytes_);
    ::munmap(references_, count_ * sizeof(std::uint16_t));
    ::munmap(free_, count_ * sizeof(std::uint16_t));
}

std::uint16_t BufferPool::take() {
    SLUICE_ASSERT(available() > 0);
    const auto id = free_count_ > 0 ? free_[--free_count_] : static_cast<std::uint16_t>(fresh_++);
    SLUICE_ASSERT(references_[id] == 0);
    references_[id] = 1;
    ++in_use_;
    ASAN_UNPOISON_MEMORY_REGION(at(id), buffer_bytes_);
    return id;
}

void BufferPool::add_reference(std::uint16_t id) {
    SLUICE_ASSERT(references_[id] > 0);
    SLUICE_ASSERT(references_[id] < std::numeric_limits<std::uint16_t>::max());
    ++references_[id];
}

void BufferPool::drop_reference(std::uint16_t id) {
    SLUICE_ASSERT(references_[id] > 0);
    if (--references_[id] > 0) return;
    ASAN_POISON_MEMORY_REGION(at(id), buffer_bytes_);
    free_[free_count_++] = id;
    --in_use_;
}

BufferPool::Lent BufferPool::lend() {
    const auto id = take();
    return {id, at(id)};
}

Slice BufferPool::filled(std::uint16_t id, std::size_t size) {
    SLUICE_ASSERT(references_[id] == 1);
    SLUICE_ASSERT(size <= buffer_bytes_);
    Slice slice;
    slice.pool_ = this;
    slice.id_ = id;
    slice.data_ = at(id);
    slice.size_ = static_cast<std::uint32_t>(size);
    return slice;
}

void BufferPool::give_back(std::uint16_t id) {
    SLUICE_ASSERT(references_[id] == 1);
    drop_reference(id);
}

Slice BufferPool::write(std::string_view text) {
    SLUICE_ASSERT(text.size() <= buffer_bytes_);
    if (text.empty()) return {};
    if (scratch_.empty() || buffer_bytes_ - scratch_used_ < text.size()) {
        scratch_.reset();
        if (available() == 0) return {};
        scratch_ = filled(take(), buffer_bytes_);
        scratch_used_ = 0;
    }
    std::memcpy(at(scratch_.id_) + scratch_used_, text.data(), text.size());
    Slice slice = scratch_.share(scratch_used_, scratch_used_ + text.size());
    scratch_used_ += text.size();
    return slice;
}

}  // namespace sluice::mem
