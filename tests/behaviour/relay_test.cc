// Every body through every lane of the relay, however it is cut and wherever it breaks.
#include "relay_rig.h"
#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <span>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::answer;
using namespace sluice::answer::test;

namespace {

constexpr Chunking few_chunkings[] = {Chunking::event, Chunking::odd_lines};

// f(body, wire, lane) for every body on every lane, in these chunkings where there are chunks.
template <class F>
void for_each_way(const std::vector<Body>& bodies, std::span<const Chunking> chunkings, F&& f) {
    for (const Body& body : bodies) {
        for (const Lane& lane : every_lane(body.is_stream())) {
            for (const Chunking chunking : chunkings) {
                if (lane.in != Framing::chunked && chunking != Chunking::event) continue;
                CAPTURE(body.name);
                CAPTURE(lane.name());
                CAPTURE(static_cast<int>(chunking));
                f(body, encode(body, lane.in, chunking), lane);
            }
        }
    }
}

void expect_fine(const std::string& problem) {
    REQUIRE(problem == "");
}

}  // namespace

TEST_CASE("a body passes whole, in halves and byte by byte") {
    Memory memory;
    for (const auto& bodies : {streams(), other_bodies()}) {
        for_each_way(bodies, every_chunking,
                     [&](const Body& body, const Wire& wire, const Lane& lane) {
                         expect_fine(relay_whole(memory, body, wire, lane, {}));
                         expect_fine(relay_whole(memory, body, wire, lane, halves(wire)));
                         expect_fine(relay_whole(memory, body, wire, lane, byte_by_byte(wire)));
                     });
    }
}

TEST_CASE("faults 96, 97: a body that is split at any offset is the same body") {
    Memory memory;
    for (const auto& bodies : {streams(), other_bodies()}) {
        for_each_way(bodies, few_chunkings,
                     [&](const Body& body, const Wire& wire, const Lane& lane) {
                         for (std::size_t cut = 1; cut < wire.bytes.size(); ++cut) {
                             CAPTURE(cut);
                             expect_fine(relay_whole(memory, body, wire, lane, {cut}));
                         }
                     });
    }
}

TEST_CASE("faults 96, 98: many cuts at once, by seed") {
    Memory memory;
    std::uint64_t seed = 0;
    for_each_way(streams(), every_chunking,
                 [&](const Body& body, const Wire& wire, const Lane& lane) {
                     for (int i = 0; i < 12; ++i) {
                         CAPTURE(++seed);
                         Prng prng(seed);
                         std::vector<std::size_t> cuts;
                         for (std::size_t at = prng.between(1, 40); at < wire.bytes.size();
                              at += prng.between(1, 40))
                             cuts.push_back(at);
                         expect_fine(relay_whole(memory, body, wire, lane, cuts));
                     }
                 });
}

TEST_CASE("fault 70: a stream that breaks at any byte ends with an error event, and is not whole") {
    Memory memory;
    for_each_way(streams(), few_chunkings,
                 [&](const Body& body, const Wire& wire, const Lane& lane) {
                     for (std::size_t end = 0; end < wire.bytes.size(); ++end) {
                         CAPTURE(end);
                         expect_fine(relay_broken(memory, body, wire, lane, {}, end));
                     }
                 });
}

TEST_CASE("fault 70: so does one that came in small pieces") {
    Memory memory;
    for_each_way(streams(), few_chunkings,
                 [&](const Body& body, const Wire& wire, const Lane& lane) {
                     const auto cuts = byte_by_byte(wire);
                     for (std::size_t end = 0; end < wire.bytes.size(); end += 29) {
                         CAPTURE(end);
                         expect_fine(relay_broken(memory, body, wire, lane, cuts, end));
                     }
                 });
}

TEST_CASE("fault 69: any other body that breaks just stops, without the end of its framing") {
    Memory memory;
    for_each_way(other_bodies(), every_chunking,
                 [&](const Body& body, const Wire& wire, const Lane& lane) {
                     for (std::size_t end = 0; end < wire.bytes.size(); ++end) {
                         CAPTURE(end);
                         expect_fine(relay_broken(memory, body, wire, lane, {}, end));
                     }
                 });
}
