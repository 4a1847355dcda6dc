// BufferPool: the fixed-size buffers of one shard, counted by reference, and slices of them.
//
// One region of address space, committed by use: a buffer that was never needed costs nothing, and
// the free list is last-in first-out, so that memory follows the buffers in flight and not the
// connections. The ring lends free buffers to the kernel; what the kernel fills comes back as a
// Slice, and the same bytes are sent from there. Not thread-safe: one pool, one shard.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "sluice/base/assert.h"

namespace sluice::mem {

class BufferPool;

// A run of bytes that somebody keeps alive: part of a pooled buffer (one reference held), or
// memory that lives as long as the program. Move-only; share() makes another one.
class Slice {
public:
    Slice() = default;
    Slice(Slice&& other) noexcept { swap(other); }
    Slice& operator=(Slice&& other) noexcept {
        Slice(std::move(other)).swap(*this);
        return *this;
    }
    ~Slice() { reset(); }

    // Bytes that outlive every use, such as a literal. No reference is held.
    static Slice of_static(std::string_view text);

    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }
    const char* data() const { return data_; }
    bool pooled() const { return pool_ != nullptr; }  // else static bytes, or nothing
    std::string_view text() const { return {data_, size_}; }

    // Another slice of the same bytes, or of [begin, end) of them.
    Slice share() const { return share(0, size_); }
    Slice share(std::size_t begin, std::size_t end) const;
    // Takes over the bytes of `next` if they lie right behind ours in the same buffer.
    bool extend(Slice& next);
    void drop_front(std::size_t n);
    void drop_back(std::size_t n);
    void reset();

private:
    friend class BufferPool;
    void swap(Slice& other) noexcept;

    BufferPool* pool_ = nullptr;  // null: static bytes, or nothing
    const char* data_ = nullptr;
    std::uint32_t size_ = 0;
    std::uint16_t id_ = 0;
};

class BufferPool {
public:
    // `buffer_bytes` a power of two; at most 65536 buffers (the kernel's ids have 16 bits).
    BufferPool(std::size_t buffer_bytes, std::size_t count);
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;
    ~BufferPool();  // asserts that every buffer is back

    std::size_t buffer_bytes() const { return buffer_bytes_; }
    std::size_t count() const { return count_; }
    std::size_t in_use() const { return in_use_; }
    std::size_t available() const { return count_ - in_use_; }
    // How many the ring may lend beside the `lent` ones: at most a quarter of what is left, so that
    // one burst never takes it all; and a sixteenth of the pool stays for text of our own, so that
    // what was received can be answered.
    std::size_t lendable(std::size_t lent) const {
        const std::size_t reserve = count_ / 16;
        if (available() <= reserve) return 0;
        const std::size_t left = available() - reserve;
        const std::size_t quarter = (left + lent + 3) / 4;
        return quarter > lent ? quarter - lent : 0;
    }
    // The ring gets none any more: what is received has to wait for others.
    bool exhausted() const { return available() <= count_ / 16; }

    // --- for the ring: a buffer that is lent to the kernel ---
    struct Lent {
        std::uint16_t id;
        char* data;
    };
    // Takes a buffer out of the pool; there must be one available().
    Lent lend();
    // The kernel filled `size` bytes of it.
    Slice filled(std::uint16_t id, std::size_t size);
    // It comes back unused.
    void give_back(std::uint16_t id);

    // --- for generated text ---
    // Copies text (at most buffer_bytes) into a buffer that many small texts share.
    // An empty slice: no buffer was available.
    Slice write(std::string_view text);

private:
    friend class Slice;
    char* at(std::uint16_t id) { return region_ + std::size_t{id} * buffer_bytes_; }
    std::uint16_t take();
    void add_reference(std::uint16_t id);
    void drop_reference(std::uint16_t id);

    std::size_t buffer_bytes_;
    std::size_t count_;
    std::size_t in_use_ = 0;
    char* region_ = nullptr;              // count_ * buffer_bytes_
    std::uint16_t* references_ = nullptr;  // by id
    std::uint16_t* free_ = nullptr;        // stack of ids that were used before
    std::size_t free_count_ = 0;
    std::size_t fresh_ = 0;  // ids from here on were never used
    Slice scratch_;          // keeps the buffer that write() fills
    std::size_t scratch_used_ = 0;
};

}  // namespace sluice::mem
