// Chain: a sequence of slices that reads as one text; how bodies and send queues are held.
//
// Nothing is copied when slices are appended, split, shared or cut. Nodes come from a NodePool that
// grows in blocks and reuses, so a chunk in service allocates nothing.
#pragma once

#include "sluice/mem/buffer_pool.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::mem {

// The list nodes of one shard. Must outlive every chain that uses it.
class NodePool {
public:
    struct Node {
        Slice slice;
        Node* next = nullptr;
    };

    NodePool() = default;
    NodePool(const NodePool&) = delete;
    NodePool& operator=(const NodePool&) = delete;
    ~NodePool() { SLUICE_ASSERT(in_use_ == 0); }

    Node* take();
    void give_back(Node* node);
    std::size_t in_use() const { return in_use_; }

private:
    static constexpr std::size_t nodes_a_block = 128;
    std::vector<std::unique_ptr<Node[]>> blocks_;
    Node* free_ = nullptr;
    std::size_t in_use_ = 0;
};

class Chain {
public:
    explicit Chain(NodePool& nodes) : nodes_(&nodes) {}
    Chain(Chain&& other) noexcept : nodes_(other.nodes_) { take_over(other); }
    Chain& operator=(Chain&& other) noexcept {
        if (this != &other) {
            clear();
            nodes_ = other.nodes_;
            take_over(other);
        }
        return *this;
    }
    ~Chain() { clear(); }

    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }     // bytes
    std::size_t slices() const { return count_; }  // nodes

    const Slice& front() const {
        SLUICE_ASSERT(first_ != nullptr);
        return first_->slice;
    }
    Slice pop_front();

    // An empty slice is dropped; one that continues the last one in its buffer is joined to it.
    void append(Slice slice);
    void append(Chain&& other);
    void prepend(Slice slice);  // gives back what was taken too much of
    // Appends, but copies slices that fill less than three quarters of their buffer into shared
    // ones: for bytes that will wait. What finds no buffer stays as it is.
    void append_compact(BufferPool& pool, Chain&& other);
    // Copies generated text in, over as many buffers as it takes. False: the pool ran dry, and
    // nothing was appended.
    [[nodiscard]] bool append_copy(BufferPool& pool, std::string_view text);

    // Drops n bytes from the front.
    void consume(std::size_t n);
    // Cuts the first n bytes off and returns them.
    Chain split_front(std::size_t n);
    // A chain without bytes for the same shard.
    Chain empty_like() const { return Chain(*nodes_); }
    // Another chain of the same bytes.
    Chain share() const;
    void clear();

    // f(const Slice&) for each, in order; stops when f returns false.
    template <class F>
    void for_each(F&& f) const {
        for (const auto* node = first_; node != nullptr; node = node->next)
            if (!f(node->slice)) return;
    }
    // The whole text copied into a string: for tests and cold paths.
    std::string to_string() const;

private:
    void take_over(Chain& other);

    NodePool* nodes_;
    NodePool::Node* first_ = nullptr;
    NodePool::Node* last_ = nullptr;
    std::size_t size_ = 0;
    std::size_t count_ = 0;
};

}  // namespace sluice::mem
