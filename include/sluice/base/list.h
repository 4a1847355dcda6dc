// List<T>: a doubly linked list through a hook that is a member of T; nothing is allocated.
//
// An element is in at most one list per hook, and must leave it before it dies (asserted).
//     struct Waiter { ListHook hook; };
//     List<Waiter, &Waiter::hook> waiters;
#pragma once

#include <cstddef>

#include "sluice/base/assert.h"

namespace sluice {

class ListHook {
public:
    ListHook() = default;
    ListHook(const ListHook&) = delete;
    ListHook& operator=(const ListHook&) = delete;
    ~ListHook() { SLUICE_ASSERT(!linked()); }

    bool linked() const { return next_ != nullptr; }
    void unlink() {
        SLUICE_ASSERT(linked());
        prev_->next_ = next_;
        next_->prev_ = prev_;
        prev_ = next_ = nullptr;
    }

private:
    template <class T, ListHook T::*hook>
    friend class List;

    ListHook* prev_ = nullptr;
    ListHook* next_ = nullptr;
};

template <class T, ListHook T::*hook>
class List {
public:
    List() { root_.prev_ = root_.next_ = &root_; }
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    ~List() {
        SLUICE_ASSERT(empty());
        root_.prev_ = root_.next_ = nullptr;
    }

    bool empty() const { return root_.next_ == &root_; }

    void push_back(T& element) { insert_before(root_, element.*hook); }
    void push_front(T& element) { insert_before(*root_.next_, element.*hook); }

    T& front() {
        SLUICE_ASSERT(!empty());
        return owner(*root_.next_);
    }
    T& back() {
        SLUICE_ASSERT(!empty());
        return owner(*root_.prev_);
    }
    T& pop_front() {
        T& element = front();
        (element.*hook).unlink();
        return element;
    }

    // Moves all elements of `other` behind ours.
    void splice_back(List& other) {
        while (!other.empty()) push_back(other.pop_front());
    }

    // Calls f(element) for each; f may unlink the element it is given.
    template <class F>
    void for_each(F&& f) {
        for (ListHook* at = root_.next_; at != &root_;) {
            ListHook* next = at->next_;
            f(owner(*at));
            at = next;
        }
    }

private:
    static void insert_before(ListHook& at, ListHook& inserted) {
        SLUICE_ASSERT(!inserted.linked());
        inserted.prev_ = at.prev_;
        inserted.next_ = &at;
        at.prev_->next_ = &inserted;
        at.prev_ = &inserted;
    }

    // The element whose member the hook is.
    static T& owner(ListHook& h) {
        alignas(T) static char probe[sizeof(T)];
        const auto* base = reinterpret_cast<T*>(probe);
        const auto offset = reinterpret_cast<const char*>(&(base->*hook)) - probe;
        return *reinterpret_cast<T*>(reinterpret_cast<char*>(&h) - offset);
    }

    ListHook root_;
};

}  // namespace sluice
