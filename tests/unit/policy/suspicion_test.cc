#include "sluice/policy/suspicion.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::policy;

namespace {

constexpr Instant start{5'000'000'000};
constexpr std::uint32_t server_a = 0;
constexpr std::uint32_t server_b = 3;
constexpr std::uint32_t server_c = 1;

Instant at(std::int64_t micros) {
    return start + Duration::micros(micros);
}

// A request: when it comes to the first server; it moves on to the next one as that ends.
struct Arrival {
    const char* name;
    std::int64_t micros;
    bool moves_along = true;  // to the same server as the one that did it
};

// The first server ends at `first_end`, and the next one `second_age` behind that. What becomes of
// each that moved along.
std::vector<Fate> two_deaths(Suspicion& suspicion, std::deque<Suspect>& all,
                             const std::vector<Arrival>& arrivals, std::int64_t first_end,
                             std::int64_t second_age) {
    for (const Arrival& each : arrivals)
        suspicion.sent(all.emplace_back(), server_a, at(each.micros));
    for (auto& each : all) {
        suspicion.over(each);
        suspicion.broke(each, at(first_end));
        Suspicion::ended(each, server_a);
        CHECK(Suspicion::fate(each, false) == Fate::moves);
    }
    std::vector<Suspect*> moved;
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
        if (!arrivals[i].moves_along) continue;
        suspicion.sent(all[i], server_b, at(first_end));
        moved.push_back(&all[i]);
    }
    std::vector<Fate> fates;
    for (auto* each : moved) {
        suspicion.broke(*each, at(first_end + second_age));
        Suspicion::ended(*each, server_b);
        fates.push_back(Suspicion::fate(*each, false));
    }
    return fates;
}

}  // namespace

TEST_CASE("R3: the table of deaths") {
    struct Row {
        int deaths;    // with the last break
        bool decided;  // what became of the last server
        bool alone;    // else another one is as likely
        bool known;
        Fate fate;
    };
    constexpr Row rows[] = {
        {1, true, true, false, Fate::moves},  {1, true, true, true, Fate::stops},
        {1, false, true, false, Fate::moves}, {1, false, true, true, Fate::waits},
        {2, true, true, false, Fate::stops},  {2, true, false, false, Fate::moves},
        {2, false, true, false, Fate::waits}, {2, false, false, false, Fate::moves},
        {2, true, false, true, Fate::stops},  {3, true, true, false, Fate::stops},
        {3, true, false, false, Fate::stops}, {3, false, false, false, Fate::waits},
    };
    for (const Row& row : rows) {
        CAPTURE(&row - rows);
        Suspicion suspicion;
        // One that is no more likely than two others cannot be told from them.
        std::deque<Suspect> all(row.alone ? 1 : 3);
        for (int death = 1; death <= row.deaths; ++death) {
            const auto server = static_cast<std::uint32_t>(death);
            const Instant now = start + Duration::seconds(death);
            for (auto& each : all)
                suspicion.sent(each, server, now);
            for (auto& each : all) {
                suspicion.broke(each, now + Duration::millis(5));
                CHECK(each.undecided_on(server));
                if (death < row.deaths || row.decided) Suspicion::ended(each, server);
            }
        }
        for (auto& each : all) {
            CHECK(Suspicion::fate(each, row.known) == row.fate);
            CHECK(each.undecided() != row.decided);
            CHECK(each.deaths() == static_cast<unsigned>(row.deaths - !row.decided));
        }
    }
}

TEST_CASE("R3: the one that did it is told from those that stood beside it") {
    struct Row {
        const char* what;
        std::vector<Arrival> arrivals;
        std::int64_t first_end;
        std::int64_t second_age;
        std::string stops;
    };
    const Row rows[] = {
        {"alone", {{"k", 0}}, 700, 900, "k"},
        {"alone, and slow", {{"k", 0}}, 30'000'000, 7'000'000, "k"},
        {"the last of many, at once",
         {{"a", 0}, {"b", 100'000}, {"c", 250'000}, {"k", 400'000}},
         400'600,
         900,
         "k"},
        {"after a while, and others came behind it",
         {{"a", 0}, {"k", 900'000}, {"b", 1'150'000}},
         1'200'000,
         290'000,
         "k"},
        {"those that came behind it went elsewhere",
         {{"a", 0}, {"k", 100'000}, {"b", 100'500, false}},
         101'000,
         1'100,
         "k"},
        {"two that cannot be told apart", {{"a", 0}, {"k", 0}}, 1'000, 1'000, ""},
        // Nobody is sure enough; the third death is the last.
        {"together", {{"a", 0}, {"k", 100}, {"b", 200}, {"c", 300}}, 1'000, 1'000, ""},
        // Somebody ends servers: those that were there came at any time.
        {"kill -9, twice",
         {{"a", 0}, {"b", 100'000}, {"c", 200'000}, {"d", 300'000}, {"e", 380'000}, {"f", 50'000}},
         400'000,
         300'000,
         ""},
    };
    for (const Row& row : rows) {
        CAPTURE(row.what);
        Suspicion suspicion;
        std::deque<Suspect> all;
        const auto fates = two_deaths(suspicion, all, row.arrivals, row.first_end, row.second_age);
        std::string stopped;
        std::size_t next = 0;
        for (const Arrival& each : row.arrivals)
            if (each.moves_along && fates[next++] == Fate::stops) stopped += each.name;
        CHECK(stopped == row.stops);
    }
}

TEST_CASE("R3: of those that stood there at two deaths one at most is stopped, all at a third") {
    for (int count = 1; count <= 64; ++count) {
        CAPTURE(count);
        Suspicion suspicion;
        std::deque<Suspect> all;
        std::vector<Arrival> arrivals;
        for (int i = 0; i < count; ++i)
            arrivals.push_back({"", std::int64_t{i} * i * 977});
        const auto fates = two_deaths(suspicion, all, arrivals, 64 * 64 * 977, 12'345);
        int stopped = 0;
        for (const Fate fate : fates)
            stopped += fate == Fate::stops ? 1 : 0;
        CHECK(stopped <= 1);
        if (count == 1) CHECK(stopped == 1);
        const Instant later = at(20'000'000);
        for (auto& each : all)
            suspicion.sent(each, server_c, later);
        for (auto& each : all) {
            suspicion.broke(each, later);
            Suspicion::ended(each, server_c);
            CHECK(Suspicion::fate(each, false) == Fate::stops);
        }
    }
}

TEST_CASE("R3: a server that still listens has not ended") {
    Suspicion suspicion;
    Suspect one;
    for (std::uint32_t server = 0; server < 8; ++server) {
        const Instant now = start + Duration::seconds(server);
        suspicion.sent(one, server, now);
        suspicion.broke(one, now);
        CHECK(Suspicion::fate(one, false) == Fate::moves);
        Suspicion::survived(one, server);
        CHECK(one.deaths() == 0);
    }
}

TEST_CASE("R3: sent to the same server again, one end of it is one death") {
    Suspicion suspicion;
    Suspect one;
    for (int i = 0; i < 3; ++i) {
        suspicion.sent(one, server_a, at(i));
        suspicion.broke(one, at(i + 1));
    }
    Suspicion::ended(one, server_a);
    CHECK(one.deaths() == 1);
    CHECK(Suspicion::fate(one, false) == Fate::moves);
}

TEST_CASE("R3: who came to a server that was already about to end did not end it") {
    Suspicion suspicion;
    Suspect beside;
    Suspect late;
    suspicion.sent(late, server_a, at(0));
    suspicion.broke(late, at(10));
    Suspicion::ended(late, server_a);
    suspicion.sent(beside, server_b, at(20));
    suspicion.broke(beside, at(2'000));
    suspicion.sent(late, server_b, at(2'500));
    suspicion.broke(late, at(3'000));
    Suspicion::ended(late, server_b);
    CHECK(late.deaths() == 2);
    CHECK(Suspicion::fate(late, false) == Fate::moves);
}

TEST_CASE("R3: servers that are seen to have ended after the next one has") {
    Suspicion suspicion;
    Suspect one;
    const auto breaks = [&](std::uint32_t server, std::int64_t micros) {
        suspicion.sent(one, server, at(micros));
        suspicion.broke(one, at(micros + 700));
    };
    breaks(server_a, 0);
    CHECK(Suspicion::fate(one, false) == Fate::moves);
    breaks(server_b, 1'000);
    CHECK(Suspicion::fate(one, false) == Fate::waits);
    SUBCASE("both") {
        Suspicion::ended(one, server_a);
        CHECK(Suspicion::fate(one, false) == Fate::waits);
        Suspicion::ended(one, server_b);
        CHECK(Suspicion::fate(one, false) == Fate::stops);
    }
    SUBCASE("both, the other way round") {
        Suspicion::ended(one, server_b);
        CHECK(Suspicion::fate(one, false) == Fate::waits);
        Suspicion::ended(one, server_a);
        CHECK(Suspicion::fate(one, false) == Fate::stops);
    }
    SUBCASE("the first one has not") {
        Suspicion::survived(one, server_a);
        CHECK(Suspicion::fate(one, false) == Fate::moves);
        Suspicion::ended(one, server_b);
        CHECK(Suspicion::fate(one, false) == Fate::moves);
        breaks(server_c, 3'000);
        CHECK(Suspicion::fate(one, false) == Fate::waits);
    }
    SUBCASE("the second one has not") {
        Suspicion::survived(one, server_b);
        CHECK(Suspicion::fate(one, false) == Fate::moves);
        breaks(server_c, 3'000);
        CHECK(Suspicion::fate(one, false) == Fate::waits);
        Suspicion::ended(one, server_c);
        Suspicion::ended(one, server_a);
        CHECK(Suspicion::fate(one, false) == Fate::stops);
    }
}
