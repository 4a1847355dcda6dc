#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
// What the shards tell each other of their counters, and what they come to.
#include "sluice/shard/totals.h"

#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <string_view>

using namespace sluice;
using namespace sluice::shard;
using proxy::End;

namespace {

// A shard as it counts: a copy of it is what its peers get.
struct CountingShard {
    explicit CountingShard(std::size_t index) { now.shard = index; }

    void request(std::string_view model, std::string_view backend, End end = End::ok) {
        const auto at = static_cast<std::size_t>(end);
        ++now.statistics.exchanges_begun;
        ++now.statistics.exchanges_ended[at];
        auto& row = now.statistics.row("", model, backend);
        ++row.requests[2][at];
        row.prompt_tokens += 10;
        row.completion_tokens += 3;
        row.cached_tokens += 1;
    }
    std::shared_ptr<const Snapshot> snapshot() const { return std::make_shared<Snapshot>(now); }

    Snapshot now;
};

// The sum over all that was heard of, as a reader makes it.
proxy::Statistics sum_of(const Totals& totals) {
    proxy::Statistics sum;
    for (const auto& snapshot : totals.by_shard())
        if (snapshot != nullptr) sum.add(snapshot->statistics);
    return sum;
}

}  // namespace

TEST_CASE("nothing is known before anything was heard") {
    const Totals totals;
    CHECK(totals.by_shard().empty());
}

TEST_CASE("a snapshot stands at its shard's place, whichever shard is heard first") {
    CountingShard last(2);
    CountingShard first(0);
    last.now.connections_open = 7;
    Totals totals;
    totals.learn(last.snapshot());
    REQUIRE(totals.by_shard().size() == 3);
    CHECK(totals.by_shard()[0] == nullptr);
    CHECK(totals.by_shard()[1] == nullptr);
    CHECK(totals.by_shard()[2]->connections_open == 7);
    totals.learn(first.snapshot());
    REQUIRE(totals.by_shard().size() == 3);
    CHECK(totals.by_shard()[0]->shard == 0);
    CHECK(totals.by_shard()[1] == nullptr);
    CHECK(totals.by_shard()[2]->connections_open == 7);
}

TEST_CASE("a newer snapshot takes the older one's place, and none is counted twice") {
    CountingShard zero(0);
    CountingShard one(1);
    Totals totals;
    zero.now.statistics.connections = 5;
    one.now.statistics.connections = 40;
    totals.learn(zero.snapshot());
    totals.learn(one.snapshot());
    totals.learn(one.snapshot());  // the same again
    CHECK(sum_of(totals).connections == 45);
    zero.now.statistics.connections = 6;
    totals.learn(zero.snapshot());
    CHECK(totals.by_shard().size() == 2);
    CHECK(sum_of(totals).connections == 46);
}

TEST_CASE("a snapshot is a moment: what its shard counts later is not in it") {
    CountingShard shard(0);
    Totals totals;
    shard.request("m", "http://a");
    totals.learn(shard.snapshot());
    shard.request("m", "http://a");
    CHECK(sum_of(totals).settled() == 1);
}

TEST_CASE("an old snapshot is let go when a newer one comes") {
    CountingShard shard(0);
    Totals totals;
    const auto old = shard.snapshot();
    totals.learn(old);
    CHECK(old.use_count() == 2);
    totals.learn(shard.snapshot());
    CHECK(old.use_count() == 1);
}

TEST_CASE("rows of the same model and backend are added, others stand beside them") {
    CountingShard zero(0);
    CountingShard one(1);
    CountingShard two(2);
    zero.request("m", "http://a");
    zero.request("m", "http://a", End::timeout);
    one.request("m", "http://a");
    one.request("m", "http://b");
    two.request("n", "http://a");
    two.request("m", "http://a");
    Totals totals;
    for (const auto* shard : {&zero, &one, &two})
        totals.learn(shard->snapshot());
    const auto served = sum_of(totals).served;
    REQUIRE(served.size() == 3);
    const auto& shared = served.at({"", "m", "http://a"});
    CHECK(shared.requests[2][static_cast<std::size_t>(End::ok)] == 3);
    CHECK(shared.requests[2][static_cast<std::size_t>(End::timeout)] == 1);
    CHECK(shared.prompt_tokens == 40);
    CHECK(shared.completion_tokens == 12);
    CHECK(shared.cached_tokens == 4);
    CHECK(served.at({"", "m", "http://b"}).prompt_tokens == 10);
    CHECK(served.at({"", "n", "http://a"}).completion_tokens == 3);
}

TEST_CASE("the sum never goes down while snapshots come, and is exact once all have come") {
    constexpr std::size_t shards = 4;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        std::array<CountingShard, shards> all{CountingShard(0), CountingShard(1), CountingShard(2),
                                              CountingShard(3)};
        Totals totals;
        std::uint64_t counted = 0;
        std::uint64_t before = 0;
        for (int step = 0; step < 200; ++step) {
            CountingShard& shard = all[prng.below(shards)];
            if (prng.chance(1, 3)) {
                totals.learn(shard.snapshot());
                const std::uint64_t now = sum_of(totals).settled();
                REQUIRE(now >= before);
                REQUIRE(now <= counted);
                before = now;
            } else {
                shard.request("m", "http://a", static_cast<End>(prng.below(proxy::ends)));
                ++counted;
            }
        }
        for (const auto& shard : all)
            totals.learn(shard.snapshot());
        CHECK(sum_of(totals).settled() == counted);
        std::uint64_t in_rows = 0;
        const auto sum = sum_of(totals);
        for (const auto n : sum.served.at({"", "m", "http://a"}).requests[2])
            in_rows += n;
        CHECK(in_rows == counted);
    }
}

TEST_CASE("what the peers have sent to a server is summed; what a shard knows of itself is not") {
    Totals totals;
    CHECK(totals.traffic_of_peers(0, 0).placed == 0);
    CountingShard first(0);
    CountingShard second(1);
    CountingShard last(2);
    first.now.traffic = {{.placed = 100, .in_flight = 50}};
    second.now.traffic = {{.placed = 3, .in_flight = 1}, {.placed = 7, .in_flight = 0}};
    last.now.traffic = {{.placed = 20, .in_flight = 2}};
    totals.learn(last.snapshot());  // nothing was heard of the second
    CHECK(totals.traffic_of_peers(0, 0).placed == 20);
    for (const auto* shard : {&first, &second})
        totals.learn(shard->snapshot());
    CHECK(totals.traffic_of_peers(0, 0).placed == 23);
    CHECK(totals.traffic_of_peers(0, 0).in_flight == 3);
    CHECK(totals.traffic_of_peers(0, 1).placed == 7);
    CHECK(totals.traffic_of_peers(0, 2).placed == 0);
    CHECK(totals.traffic_of_peers(2, 0).placed == 103);
}
