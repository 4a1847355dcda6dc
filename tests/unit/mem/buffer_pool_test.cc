#include "sluice/mem/buffer_pool.h"

#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

using sluice::mem::BufferPool;
using sluice::mem::Slice;

namespace {

Slice filled_with(BufferPool& pool, std::string_view text) {
    const auto lent = pool.lend();
    std::memcpy(lent.data, text.data(), text.size());
    return pool.filled(lent.id, text.size());
}

}  // namespace

TEST_CASE("a lent buffer comes back as a slice of what was written into it") {
    BufferPool pool(64, 4);
    {
        const Slice slice = filled_with(pool, "data: x");
        CHECK(slice.text() == "data: x");
        CHECK(slice.size() == 7);
        CHECK(pool.in_use() == 1);
        CHECK(pool.available() == 3);
    }
    CHECK(pool.in_use() == 0);
}

TEST_CASE("a lent buffer that was not used goes back at once") {
    BufferPool pool(64, 1);
    pool.give_back(pool.lend().id);
    CHECK(pool.in_use() == 0);
    pool.give_back(pool.lend().id);
    CHECK(pool.available() == 1);
}

TEST_CASE("every buffer of a pool can be in use at once, each with memory of its own") {
    BufferPool pool(64, 100);
    std::vector<Slice> slices;
    std::set<const char*> places;
    for (int i = 0; i < 100; ++i)
        slices.push_back(filled_with(pool, std::string(64, 'a')));
    CHECK(pool.available() == 0);
    for (const Slice& slice : slices)
        places.insert(slice.data());
    CHECK(places.size() == 100);
}

TEST_CASE("fault 51: bursts get less and less of what is left, and never the reserve") {
    BufferPool pool(64, 160);  // ten of them are kept
    CHECK(pool.lendable(0) == 38);
    std::vector<Slice> kept;
    std::size_t lent = 0;
    for (int burst = 0; burst < 100 && !pool.exhausted(); ++burst) {
        for (lent = pool.lendable(0); lent > 0; --lent)
            kept.push_back(filled_with(pool, "x"));
        CHECK(pool.lendable(0) <= (pool.available() - 10 + 3) / 4);
    }
    CHECK(pool.exhausted());
    CHECK(pool.available() == 10);
    CHECK(pool.lendable(0) == 0);
    kept.resize(kept.size() - 8);
    CHECK(pool.lendable(0) == 2);
    CHECK(pool.lendable(1) == 2);  // one of nine is lent already
    CHECK(pool.lendable(5) == 0);
}

TEST_CASE("the buffer that came back last is taken first") {
    BufferPool pool(64, 8);
    Slice first = filled_with(pool, "1");
    Slice second = filled_with(pool, "2");
    const char* warm = first.data();
    first.reset();
    const Slice third = filled_with(pool, "3");
    CHECK(third.data() == warm);
    CHECK(second.text() == "2");
}

TEST_CASE("a buffer goes back only with the last slice of it") {
    BufferPool pool(64, 2);
    Slice whole = filled_with(pool, "0123456789");
    Slice part = whole.share(2, 5);
    Slice again = part.share();
    CHECK(part.text() == "234");
    whole.reset();
    part.reset();
    CHECK(pool.in_use() == 1);
    CHECK(again.text() == "234");
    again.reset();
    CHECK(pool.in_use() == 0);
}

TEST_CASE("a moved slice leaves nothing behind and counts once") {
    BufferPool pool(64, 2);
    Slice slice = filled_with(pool, "abc");
    Slice moved = std::move(slice);
    CHECK(slice.empty());  // NOLINT: what a move leaves behind is part of the contract
    CHECK(moved.text() == "abc");
    moved = filled_with(pool, "xyz");
    CHECK(moved.text() == "xyz");
    CHECK(pool.in_use() == 1);
    Slice& itself = moved;
    moved = std::move(itself);
    CHECK(moved.text() == "xyz");
}

TEST_CASE("a slice takes over what lies right behind it in its buffer, and nothing else") {
    BufferPool pool(64, 2);
    const Slice whole = filled_with(pool, "0123456789");
    Slice front = whole.share(0, 4);
    Slice behind = whole.share(4, 6);
    Slice apart = whole.share(7, 9);
    Slice foreign = filled_with(pool, "x");
    Slice fixed = Slice::of_static("y");
    CHECK(front.extend(behind));
    CHECK(front.text() == "012345");
    CHECK(behind.empty());
    CHECK_FALSE(front.extend(apart));
    CHECK_FALSE(front.extend(foreign));
    CHECK_FALSE(front.extend(fixed));
    CHECK_FALSE(fixed.extend(front));
    CHECK(front.text() == "012345");
    CHECK(apart.text() == "78");
}

TEST_CASE("bytes can be dropped from both ends of a slice, down to nothing") {
    BufferPool pool(64, 1);
    Slice slice = filled_with(pool, "0123456789");
    slice.drop_front(3);
    slice.drop_back(4);
    CHECK(slice.text() == "345");
    slice.drop_front(3);
    CHECK(slice.empty());
    CHECK(pool.in_use() == 1);
}

TEST_CASE("static bytes need no buffer") {
    const Slice slice = Slice::of_static("data: [DONE]\n\n");
    const Slice part = slice.share(6, 12);
    CHECK(part.text() == "[DONE]");
}

TEST_CASE("small texts share one buffer, and a text never crosses its end") {
    BufferPool pool(64, 2);
    std::vector<Slice> texts;
    for (int i = 0; i < 6; ++i)
        texts.push_back(pool.write("0123456789"));
    CHECK(pool.in_use() == 1);
    texts.push_back(pool.write("abcdefghij"));  // six tens leave four bytes
    CHECK(pool.in_use() == 2);
    for (std::size_t i = 0; i < 6; ++i)
        CHECK(texts[i].text() == "0123456789");
    CHECK(texts[6].text() == "abcdefghij");
    CHECK(pool.write(std::string(64, 'x')).empty());
    texts.clear();
    CHECK(pool.write(std::string(64, 'y')).text() == std::string(64, 'y'));
}

TEST_CASE("writing nothing takes nothing") {
    BufferPool pool(64, 1);
    CHECK(pool.write("").empty());
    CHECK(pool.in_use() == 0);
}

TEST_CASE("a dry pool writes nothing") {
    BufferPool pool(64, 1);
    const Slice all = filled_with(pool, "x");
    CHECK(pool.write("y").empty());
    CHECK(pool.in_use() == 1);
}
