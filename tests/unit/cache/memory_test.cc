// That the bytes which the store counts are those that it asked for: every allocation of this
// program is counted.
#include "sluice/cache/store.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

namespace {

// In front of what is handed out stands its size.
constexpr std::size_t head_bytes = 16;
std::atomic<std::size_t> live{0};
std::atomic<std::size_t> allocations{0};

}  // namespace

void* operator new(std::size_t size) {
    void* const block = std::malloc(size + head_bytes);
    if (block == nullptr) throw std::bad_alloc();
    *static_cast<std::size_t*>(block) = size;
    live += size;
    ++allocations;
    return static_cast<char*>(block) + head_bytes;
}

void operator delete(void* pointer) noexcept {
    if (pointer == nullptr) return;
    void* const block = static_cast<char*>(pointer) - head_bytes;
    live -= *static_cast<std::size_t*>(block);
    std::free(block);
}

void operator delete(void* pointer, std::size_t) noexcept {
    operator delete(pointer);
}

// The standard library's call those above, but a sanitizer's do not.
void* operator new[](std::size_t size) {
    return operator new(size);
}
void operator delete[](void* pointer) noexcept {
    operator delete(pointer);
}
void operator delete[](void* pointer, std::size_t) noexcept {
    operator delete(pointer);
}

using namespace sluice;
using namespace sluice::cache;

namespace {

Key key_of(std::uint64_t number) {
    return {sha256({reinterpret_cast<const char*>(&number), sizeof number})};
}

}  // namespace

TEST_CASE("what is counted is what was asked of the allocator, and below the bound") {
    constexpr std::uint64_t bound = 1 << 20;
    const std::string body(5000, 'x');
    const AnswerEvent events[] = {{100, 1}, {4000, 2}};
    const std::size_t before = live;
    bool same = true;
    bool below = true;
    {
        Store store({.bytes = bound}, 1);
        same &= live - before == store.bytes();
        for (std::uint64_t i = 0; i < 2000; ++i) {
            store.insert(key_of(i % 700),
                         Answer::make({.content_type = "application/json", .model = "m"},
                                      std::string_view(body).substr(0, 100 + i * 37 % 4900),
                                      {events, i % 2 == 0 ? 0u : 1u}),
                         {}, Duration::seconds(1));
            if (i % 5 == 0) store.find(key_of(i / 5), {});
            if (i % 97 == 0) store.purge(key_of(i));
            same &= live - before == store.bytes();
            below &= live - before <= bound;
        }
        store.purge_all();
        same &= live - before == store.bytes();
    }
    CHECK(same);
    CHECK(below);
    CHECK(live == before);
}

TEST_CASE("a key is made without an allocation once another one of its size was") {
    const std::string body =
        R"({"model":"m","messages":[{"role":"user","content":"\u00e9 H\/i"}],"b":10,"a":0.5})";
    const llm::Endpoint& chat = *llm::find_endpoint("/v1/chat/completions");
    KeyMaker maker;
    CHECK(maker.read(chat, body) == Bypass::none);
    const std::size_t before = allocations;
    const bool read = maker.read(chat, body) == Bypass::none;
    const Key key = maker.key({.model = "m"});
    const std::size_t after = allocations;
    CHECK(read);
    CHECK(after == before);
    CHECK(key == maker.key({.model = "m"}));
}
