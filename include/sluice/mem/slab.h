// Slab<T>: objects of one kind for one shard, in blocks that are kept; bounded.
//
// Creating and destroying reuses slots, last freed first. An object never moves. Its bound is the
// back-pressure: create() returns null when it is reached.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "sluice/base/assert.h"

namespace sluice::mem {

template <class T>
class Slab {
public:
    explicit Slab(std::size_t count_max) : count_max_(count_max) {}
    Slab(const Slab&) = delete;
    Slab& operator=(const Slab&) = delete;
    ~Slab() { SLUICE_ASSERT(in_use_ == 0); }

    template <class... Args>
    [[nodiscard]] T* create(Args&&... args) {
        if (in_use_ == count_max_) return nullptr;
        if (free_ == nullptr) grow();
        Slot* slot = free_;
        free_ = slot->next;
        ++in_use_;
        return ::new (static_cast<void*>(slot->storage)) T(std::forward<Args>(args)...);
    }

    void destroy(T& object) {
        SLUICE_ASSERT(in_use_ > 0);
        object.~T();
        auto* slot = reinterpret_cast<Slot*>(&object);
        slot->next = free_;
        free_ = slot;
        --in_use_;
    }

    std::size_t in_use() const { return in_use_; }
    std::size_t count_max() const { return count_max_; }

private:
    union Slot {
        Slot() {}
        Slot* next;
        alignas(T) std::byte storage[sizeof(T)];
    };
    static constexpr std::size_t slots_a_block = 64;

    void grow() {
        blocks_.push_back(std::make_unique<Slot[]>(slots_a_block));
        for (std::size_t i = slots_a_block; i-- > 0;) {
            blocks_.back()[i].next = free_;
            free_ = &blocks_.back()[i];
        }
    }

    std::size_t count_max_;
    std::size_t in_use_ = 0;
    Slot* free_ = nullptr;
    std::vector<std::unique_ptr<Slot[]>> blocks_;
};

}  // namespace sluice::mem
