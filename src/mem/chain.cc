#include "sluice/mem/chain.h"

#include <algorithm>

namespace sluice::mem {

// --- NodePool -------------------------------------------------------------------------------

NodePool::Node* NodePool::take() {
    if (free_ == nullptr) {
        blocks_.push_back(std::make_unique<Node[]>(nodes_a_block));
        for (std::size_t i = 0; i < nodes_a_block; ++i) {
            Node& node = blocks_.back()[i];
            node.next = free_;
            free_ = &node;
        }
    }
    Node* node = free_;
    free_ = node->next;
    node->next = nullptr;
    ++in_use_;
    return node;
}

void NodePool::give_back(Node* node) {
    SLUICE_ASSERT(in_use_ > 0);
    node->slice.reset();
    node->next = free_;
    free_ = node;
    --in_use_;
}

// --- Chain ----------------------------------------------------------------------------------

void Chain::append(Slice slice) {
    if (slice.empty()) return;
    size_ += slice.size();
    if (last_ != nullptr && last_->slice.extend(slice)) return;
    auto* node = nodes_->take();
    ++count_;
    node->slice = std::move(slice);
    (last_ != nullptr ? last_->next : first_) = node;
    last_ = node;
}

void Chain::append(Chain&& other) {
    SLUICE_ASSERT(nodes_ == other.nodes_);
    SLUICE_ASSERT(this != &other);
    if (!empty() && !other.empty()) append(other.pop_front());  // they may be adjacent
    if (other.empty()) return;
    (last_ != nullptr ? last_->next : first_) = other.first_;
    last_ = other.last_;
    size_ += other.size_;
    count_ += other.count_;
    other.first_ = other.last_ = nullptr;
    other.size_ = other.count_ = 0;
}

void Chain::prepend(Slice slice) {
    if (slice.empty()) return;
    auto* node = nodes_->take();
    size_ += slice.size();
    ++count_;
    node->slice = std::move(slice);
    node->next = first_;
    first_ = node;
    if (last_ == nullptr) last_ = node;
}

void Chain::append_compact(BufferPool& pool, Chain&& other) {
    while (!other.empty()) {
        Slice slice = other.pop_front();
        const bool sparse = slice.pooled() && slice.size() < pool.buffer_bytes() / 4 * 3;
        if (!sparse || !append_copy(pool, slice.text())) append(std::move(slice));
    }
}

bool Chain::append_copy(BufferPool& pool, std::string_view text) {
    Chain copied(*nodes_);
    while (!text.empty()) {
        const auto part = text.substr(0, pool.buffer_bytes());
        Slice slice = pool.write(part);
        if (slice.empty()) return false;
        copied.append(std::move(slice));
        text.remove_prefix(part.size());
    }
    append(std::move(copied));
    return true;
}

Slice Chain::pop_front() {
    SLUICE_ASSERT(first_ != nullptr);
    auto* node = first_;
    Slice slice = std::move(node->slice);
    first_ = node->next;
    if (first_ == nullptr) last_ = nullptr;
    size_ -= slice.size();
    --count_;
    nodes_->give_back(node);
    return slice;
}

void Chain::consume(std::size_t n) {
    SLUICE_ASSERT(n <= size_);
    while (n > 0) {
        Slice& slice = first_->slice;
        if (slice.size() > n) {
            slice.drop_front(n);
            size_ -= n;
            return;
        }
        n -= slice.size();
        pop_front();
    }
}

Chain Chain::split_front(std::size_t n) {
    SLUICE_ASSERT(n <= size_);
    Chain head(*nodes_);
    while (n > 0) {
        const Slice& slice = first_->slice;
        if (slice.size() > n) {
            head.append(slice.share(0, n));
            consume(n);
            break;
        }
        n -= slice.size();
        head.append(pop_front());
    }
    return head;
}

Chain Chain::share() const {
    Chain other(*nodes_);
    for (const auto* node = first_; node != nullptr; node = node->next)
        other.append(node->slice.share());
    return other;
}

void Chain::clear() {
    while (first_ != nullptr) pop_front();
    SLUICE_ASSERT(size_ == 0);
    SLUICE_ASSERT(count_ == 0);
}

std::string Chain::to_string() const {
    std::string text;
    text.reserve(size_);
    for (const auto* node = first_; node != nullptr; node = node->next) text += node->slice.text();
    return text;
}

void Chain::take_over(Chain& other) {
    first_ = std::exchange(other.first_, nullptr);
    last_ = std::exchange(other.last_, nullptr);
    size_ = std::exchange(other.size_, 0);
    count_ = std::exchange(other.count_, 0);
}

}  // namespace sluice::mem
