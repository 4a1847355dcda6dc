#include "sluice/mem/chain.h"

#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

using sluice::Prng;
using sluice::mem::BufferPool;
using sluice::mem::Chain;
using sluice::mem::NodePool;
using sluice::mem::Slice;

namespace {

constexpr std::size_t buffer_bytes = 64;

// A chain and the text that it should be.
struct Pair {
    Chain chain;
    std::string text;
};

// Two chains under random operations, beside two strings under the same ones.
class Model {
public:
    Model(std::uint64_t seed, BufferPool& pool, NodePool& nodes)
        : prng_(seed),
          pool_(pool),
          nodes_(nodes),
          pairs_{Pair{Chain(nodes), ""}, Pair{Chain(nodes), ""}} {}

    void step() {
        Pair& pair = pairs_[prng_.below(2)];
        switch (prng_.below(11)) {
            case 0:
                return append_received(pair);
            case 1:
                return append_written(pair);
            case 2:
                return append_static(pair);
            case 3:
                return consume(pair);
            case 4:
                return split_and_append(pair, pairs_[prng_.below(2)]);
            case 5:
                return share(pair);
            case 6:
                return pop(pair);
            case 7:
                return replace(pair);
            case 8:
                return give_back_front(pair);
            case 9:
                return append_compact(pair, pairs_[prng_.below(2)]);
            default:
                return prng_.chance(1, 8) ? clear(pair) : consume(pair);
        }
    }

    void check() const {
        for (const Pair& pair : pairs_) {
            REQUIRE(pair.chain.to_string() == pair.text);
            REQUIRE(pair.chain.size() == pair.text.size());
            REQUIRE(pair.chain.empty() == pair.text.empty());
            std::size_t slices = 0;
            pair.chain.for_each([&slices](const Slice& slice) {
                REQUIRE_FALSE(slice.empty());
                ++slices;
                return true;
            });
            REQUIRE(pair.chain.slices() == slices);
        }
        REQUIRE(nodes_.in_use() == pairs_[0].chain.slices() + pairs_[1].chain.slices());
    }

private:
    std::string some_text(std::size_t size_max) {
        std::string text(prng_.below(size_max + 1), ' ');
        for (char& c : text)
            c = static_cast<char>(prng_.between('a', 'z'));
        return text;
    }

    void append_received(Pair& pair) {
        if (pool_.available() == 0) return clear(pair);
        const std::string text = some_text(buffer_bytes);
        const auto lent = pool_.lend();
        std::memcpy(lent.data, text.data(), text.size());
        pair.chain.append(pool_.filled(lent.id, text.size()));
        pair.text += text;
    }
    void append_written(Pair& pair) {
        const std::string text = some_text(3 * buffer_bytes);
        const std::size_t slices = pair.chain.slices();
        if (pair.chain.append_copy(pool_, text))
            pair.text += text;
        else
            REQUIRE(pair.chain.slices() == slices);
    }
    void append_static(Pair& pair) {
        constexpr std::string_view text = "data: [DONE]\n\n";
        pair.chain.append(Slice::of_static(text));
        pair.text += text;
    }
    void consume(Pair& pair) {
        const std::size_t n = prng_.below(pair.text.size() + 1);
        pair.chain.consume(n);
        pair.text.erase(0, n);
    }
    void split_and_append(Pair& from, Pair& to) {
        const std::size_t n = prng_.below(from.text.size() + 1);
        Chain head = from.chain.split_front(n);
        const std::string text = from.text.substr(0, n);
        REQUIRE(head.to_string() == text);
        from.text.erase(0, n);
        to.chain.append(std::move(head));
        to.text += text;
    }
    // What was taken too much of goes back to the front.
    void give_back_front(Pair& pair) {
        if (pair.chain.empty()) return;
        Slice slice = pair.chain.pop_front();
        slice.drop_front(prng_.below(slice.size()));
        pair.text.erase(0, pair.text.size() - pair.chain.size() - slice.size());
        pair.chain.prepend(std::move(slice));
    }
    void append_compact(Pair& from, Pair& to) {
        Chain other = from.chain.empty_like();
        other.append(std::move(from.chain));
        to.chain.append_compact(pool_, std::move(other));
        if (&from == &to) return;
        to.text += from.text;
        from.text.clear();
    }
    void share(Pair& pair) {
        const Chain other = pair.chain.share();
        REQUIRE(other.to_string() == pair.text);
    }
    void pop(Pair& pair) {
        if (pair.chain.empty()) return;
        const Slice slice = pair.chain.pop_front();
        REQUIRE(slice.text() == pair.text.substr(0, slice.size()));
        pair.text.erase(0, slice.size());
    }
    void replace(Pair& pair) {
        Chain moved = std::move(pair.chain);
        pair.chain = Chain(nodes_);
        REQUIRE(pair.chain.empty());
        pair.chain = std::move(moved);
    }
    void clear(Pair& pair) {
        pair.chain.clear();
        pair.text.clear();
    }

    Prng prng_;
    BufferPool& pool_;
    NodePool& nodes_;
    std::array<Pair, 2> pairs_;
};

}  // namespace

TEST_CASE("a chain reads as one text whatever is done to it") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        BufferPool pool(buffer_bytes, 64);
        NodePool nodes;
        {
            Model model(seed, pool, nodes);
            for (int step = 0; step < 2000; ++step) {
                model.step();
                model.check();
            }
        }
        CHECK(nodes.in_use() == 0);
        CHECK(pool.in_use() <= 1);  // the buffer that write() keeps
    }
}

TEST_CASE("a generated text longer than a buffer goes into several") {
    BufferPool pool(buffer_bytes, 4);
    NodePool nodes;
    Chain chain(nodes);
    const std::string text(3 * buffer_bytes + 5, 'x');
    REQUIRE(chain.append_copy(pool, text));
    CHECK(chain.to_string() == text);
    CHECK(chain.slices() == 4);
}

TEST_CASE("when the pool runs dry in the middle of a text, nothing of it is appended") {
    BufferPool pool(buffer_bytes, 2);
    NodePool nodes;
    Chain chain(nodes);
    REQUIRE(chain.append_copy(pool, "before"));
    CHECK_FALSE(chain.append_copy(pool, std::string(3 * buffer_bytes, 'x')));
    CHECK(chain.to_string() == "before");
    CHECK(pool.in_use() == 1);
    CHECK(nodes.in_use() == 1);
}

TEST_CASE("splitting inside a slice shares its buffer instead of copying") {
    BufferPool pool(buffer_bytes, 4);
    NodePool nodes;
    Chain chain(nodes);
    REQUIRE(chain.append_copy(pool, "0123456789"));
    const char* start = chain.front().data();
    const Chain head = chain.split_front(4);
    CHECK(head.front().data() == start);
    CHECK(chain.front().data() == start + 4);
    CHECK(pool.in_use() == 1);
}

TEST_CASE("slices that lie behind each other in one buffer become one") {
    BufferPool pool(buffer_bytes, 4);
    NodePool nodes;
    Chain chain(nodes);
    for (int i = 0; i < 10; ++i)
        REQUIRE(chain.append_copy(pool, "12345"));
    CHECK(chain.slices() == 1);
    CHECK(chain.size() == 50);
    Chain tail = chain.share();
    Chain head = tail.split_front(20);
    head.append(std::move(tail));
    CHECK(head.slices() == 1);
    CHECK(head.to_string() == chain.to_string());
    CHECK(pool.in_use() == 1);
}

TEST_CASE("what waits is packed: many buffers of a few bytes become few") {
    BufferPool pool(buffer_bytes, 64);
    NodePool nodes;
    Chain received(nodes);
    std::string text;
    for (int i = 0; i < 40; ++i) {
        const auto lent = pool.lend();
        std::memcpy(lent.data, "ab", 2);
        received.append(pool.filled(lent.id, 2));
        text += "ab";
    }
    CHECK(pool.in_use() == 40);
    Chain waiting(nodes);
    waiting.append_compact(pool, std::move(received));
    CHECK(waiting.to_string() == text);
    CHECK(pool.in_use() == 2);
}

TEST_CASE("full and static slices are not copied when a chain is packed") {
    BufferPool pool(buffer_bytes, 4);
    NodePool nodes;
    const auto lent = pool.lend();
    std::memset(lent.data, 'x', buffer_bytes);
    Chain chain(nodes);
    chain.append(pool.filled(lent.id, buffer_bytes));
    chain.append(Slice::of_static("short"));
    Chain packed(nodes);
    packed.append_compact(pool, std::move(chain));
    CHECK(packed.front().data() == lent.data);
    CHECK(pool.in_use() == 1);
}

TEST_CASE("nodes are reused") {
    BufferPool pool(buffer_bytes, 4);
    NodePool nodes;
    for (int round = 0; round < 3; ++round) {
        Chain chain(nodes);
        for (int i = 0; i < 1000; ++i)
            chain.append(Slice::of_static("x"));
        CHECK(nodes.in_use() == 1000);
        chain.clear();
        CHECK(nodes.in_use() == 0);
    }
}
