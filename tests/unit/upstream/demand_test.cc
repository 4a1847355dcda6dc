#include "sluice/upstream/demand.h"

#include <doctest/doctest.h>

#include <string_view>
#include <vector>

using namespace sluice;
using sluice::upstream::Demand;

namespace {

constexpr Duration window = Duration::seconds(2);

struct Row {
    std::string_view what;
    std::vector<int> noted_ms;  // when a new link was needed
    int asked_ms;
    bool steady;
};

const Row table[] = {
    {"nothing was ever needed", {}, 60'000, false},
    {"once", {1000}, 1000, false},
    {"once, a long time ago", {1000}, 60'000, false},
    {"in two windows and the one at hand", {0, 2000, 4000}, 5000, false},
    {"in three whole windows", {0, 2000, 4000}, 6000, true},
    {"the last moment of the third window", {0, 2000, 4000}, 5999, false},
    {"windows begin with the first need", {700, 2700, 4700}, 6700, true},
    {"a window may be late or early", {0, 3999, 4000}, 6000, true},
    {"still in the fourth window without need", {0, 2000, 4000}, 7999, true},
    {"a whole window without need ends it", {0, 2000, 4000}, 8000, false},
    {"a hole in the middle", {0, 4000, 6000}, 8000, false},
    {"behind the hole it takes three more", {0, 4000, 6000, 8000}, 10'000, true},
    {"many needs in one window are not steady", {0, 1, 2, 3, 4, 5, 1999}, 6000, false},
    {"a long pause forgets what was", {0, 2000, 4000, 60'000}, 60'000, false},
    {"and windows begin anew behind it", {0, 2000, 60'500, 62'500, 64'500}, 66'500, true},
    {"a burst in each window", {0, 10, 20, 2000, 2010, 4000, 4010}, 6100, true},
};

Instant at(int ms) {
    return Instant{} + Duration::seconds(1000) + Duration::millis(ms);
}

}  // namespace

TEST_CASE("demand is steady when each of the last windows needed a new link") {
    for (const Row& row : table) {
        CAPTURE(row.what);
        Demand demand;
        for (const int noted : row.noted_ms)
            demand.note(at(noted), window);
        CHECK(demand.steady(at(row.asked_ms), window) == row.steady);
        // Asking changes nothing.
        CHECK(demand.steady(at(row.asked_ms), window) == row.steady);
    }
}

TEST_CASE("asking in between does not change what comes of it") {
    for (const Row& row : table) {
        CAPTURE(row.what);
        Demand demand;
        std::size_t next = 0;
        for (int ms = 0; ms < row.asked_ms; ms += 250) {
            for (; next < row.noted_ms.size() && row.noted_ms[next] <= ms; ++next)
                demand.note(at(row.noted_ms[next]), window);
            demand.steady(at(ms), window);
        }
        for (; next < row.noted_ms.size(); ++next)
            demand.note(at(row.noted_ms[next]), window);
        CHECK(demand.steady(at(row.asked_ms), window) == row.steady);
    }
}

TEST_CASE("what is forgotten has to show itself anew") {
    Demand demand;
    for (int ms = 0; ms < 6000; ms += 2000)
        demand.note(at(ms), window);
    REQUIRE(demand.steady(at(6000), window));
    demand.forget();
    CHECK_FALSE(demand.steady(at(6000), window));
    for (int ms = 6500; ms < 12'500; ms += 2000) {
        CHECK_FALSE(demand.steady(at(ms), window));
        demand.note(at(ms), window);
    }
    CHECK(demand.steady(at(12'500), window));
}
