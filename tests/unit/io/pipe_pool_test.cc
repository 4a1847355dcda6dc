#include "sluice/io/pipe_pool.h"

#include "loopback.h"
#include "sluice/base/limits.h"

#include <doctest/doctest.h>

#include <fcntl.h>

#include <cerrno>
#include <string>

using namespace sluice;
using namespace sluice::test;
using io::Pipe;
using io::PipePool;

namespace {

// Two connections: bytes come in by the one and leave by the other.
struct Way {
    Way() : from(connected()), to(connected()) {
        for (const Fd* fd : {&from.first, &to.first})
            ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
    }
    int in() const { return from.first.get(); }
    int out() const { return to.first.get(); }
    void send(std::string_view text) const { write_all(from.second, text); }
    std::string heard(std::size_t bytes) const {
        std::string text(bytes, '\0');
        std::size_t got = 0;
        while (got < bytes) {
            const auto n = ::recv(to.second.get(), text.data() + got, bytes - got, 0);
            REQUIRE(n > 0);
            got += static_cast<std::size_t>(n);
        }
        return text;
    }
    std::pair<Fd, Fd> from;
    std::pair<Fd, Fd> to;
};

std::string noise(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i)
        text[i] = static_cast<char>('a' + (i ^ i >> 4 ^ i >> 9) % 26);
    return text;
}

std::string read_all(Pipe& pipe, std::size_t at_a_time) {
    std::string text;
    std::string part(at_a_time, '\0');
    while (!pipe.empty())
        text.append(part, 0, pipe.read(part.data(), part.size()));
    return text;
}

// Takes what has arrived, however much that is.
void fill(Pipe& pipe, const Way& way) {
    std::ptrdiff_t came = -EAGAIN;
    while (came == -EAGAIN)
        came = pipe.fill(way.in(), 1 << 20);
    REQUIRE(came > 0);
    REQUIRE(pipe.size() == static_cast<std::size_t>(came));
}

}  // namespace

TEST_CASE("what comes into a pipe leaves it as it was, and a copy of it stays to be read") {
    for (const std::size_t size : {1UL, 200UL, 4096UL, 30'000UL}) {
        for (const std::size_t most : {std::size_t{1}, std::size_t{1000}, SIZE_MAX}) {
            CAPTURE(size);
            CAPTURE(most);
            if (size / most > 300) continue;
            const Way way;
            PipePool pool(2);
            Pipe* main = pool.lease();
            Pipe* side = pool.lease();
            REQUIRE(main != nullptr);
            REQUIRE(side != nullptr);
            const std::string text = noise(size);
            way.send(text);
            std::string copied;
            std::string heard;
            while (heard.size() < size) {
                fill(*main, way);
                const std::size_t held = main->size();
                CHECK(side->copy(*main) == static_cast<std::ptrdiff_t>(held));
                CHECK(main->size() == held);
                while (!main->empty()) {
                    const auto left = main->drain(way.out(), most);
                    REQUIRE(left > 0);
                    REQUIRE(static_cast<std::size_t>(left) <= most);
                }
                heard += way.heard(held);
                copied += read_all(*side, 777);
            }
            CHECK(heard == text);
            CHECK(copied == text);
            pool.give_back(*main);
            pool.give_back(*side);
        }
    }
}

TEST_CASE("what is in a pipe can be taken back, behind what was copied of it") {
    const Way way;
    PipePool pool(2);
    Pipe* main = pool.lease();
    Pipe* side = pool.lease();
    way.send("abcdef");
    while (main->empty() || main->size() < 6) {
        if (!main->empty()) read_all(*main, 10);
        fill(*main, way);
    }
    REQUIRE(side->copy(*main) == 6);
    REQUIRE(main->drain(way.out(), 2) == 2);
    CHECK(read_all(*main, 3) == "cdef");
    CHECK(read_all(*side, 4) == "abcdef");
    CHECK(way.heard(2) == "ab");
    pool.give_back(*main);
    pool.give_back(*side);
}

TEST_CASE("nothing to take, the end of a stream, and a peer that takes no more") {
    Way way;
    PipePool pool(1);
    Pipe* pipe = pool.lease();
    CHECK(pipe->fill(way.in(), 100) == -EAGAIN);
    CHECK(pipe->empty());
    way.send(noise(100));
    // As long as the peer reads nothing, there is an end to what it is sent.
    std::ptrdiff_t left = 1;
    while (left > 0) {
        if (pipe->empty()) {
            way.send(noise(30'000));
            fill(*pipe, way);
        }
        left = pipe->drain(way.out());
    }
    CHECK(left == -EAGAIN);
    CHECK_FALSE(pipe->empty());
    pool.give_back(*pipe);
    pipe = pool.lease();
    CHECK(pipe->empty());
    way.from.second.close();
    while (pipe->fill(way.in(), 1 << 20) > 0)
        read_all(*pipe, 4096);
    CHECK(pipe->fill(way.in(), 100) == 0);
    pool.give_back(*pipe);
}

TEST_CASE("a pool lends so many pipes and no more, and lends them again") {
    PipePool pool(2);
    Pipe* one = pool.lease();
    Pipe* two = pool.lease();
    CHECK(pool.lent() == 2);
    CHECK(pool.lease() == nullptr);
    pool.give_back(*one);
    CHECK(pool.lease() == one);
    pool.give_back(*one);
    pool.give_back(*two);
    CHECK(pool.lent() == 0);
}
