#include "sluice/policy/suspicion.h"

#include "sluice/policy/lesson.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <variant>
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
        CHECK(suspicion.fate(each, false, start) == Fate::moves);
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
        fates.push_back(suspicion.fate(*each, false, start));
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
            CHECK(suspicion.fate(each, row.known, start) == row.fate);
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
            CHECK(suspicion.fate(each, false, start) == Fate::stops);
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
        CHECK(suspicion.fate(one, false, start) == Fate::moves);
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
    CHECK(suspicion.fate(one, false, start) == Fate::moves);
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
    CHECK(suspicion.fate(late, false, start) == Fate::moves);
}

TEST_CASE("R3: servers that are seen to have ended after the next one has") {
    Suspicion suspicion;
    Suspect one;
    const auto breaks = [&](std::uint32_t server, std::int64_t micros) {
        suspicion.sent(one, server, at(micros));
        suspicion.broke(one, at(micros + 700));
    };
    breaks(server_a, 0);
    CHECK(suspicion.fate(one, false, start) == Fate::moves);
    breaks(server_b, 1'000);
    CHECK(suspicion.fate(one, false, start) == Fate::waits);
    SUBCASE("both") {
        Suspicion::ended(one, server_a);
        CHECK(suspicion.fate(one, false, start) == Fate::waits);
        Suspicion::ended(one, server_b);
        CHECK(suspicion.fate(one, false, start) == Fate::stops);
    }
    SUBCASE("both, the other way round") {
        Suspicion::ended(one, server_b);
        CHECK(suspicion.fate(one, false, start) == Fate::waits);
        Suspicion::ended(one, server_a);
        CHECK(suspicion.fate(one, false, start) == Fate::stops);
    }
    SUBCASE("the first one has not") {
        Suspicion::survived(one, server_a);
        CHECK(suspicion.fate(one, false, start) == Fate::moves);
        Suspicion::ended(one, server_b);
        CHECK(suspicion.fate(one, false, start) == Fate::moves);
        breaks(server_c, 3'000);
        CHECK(suspicion.fate(one, false, start) == Fate::waits);
    }
    SUBCASE("the second one has not") {
        Suspicion::survived(one, server_b);
        CHECK(suspicion.fate(one, false, start) == Fate::moves);
        breaks(server_c, 3'000);
        CHECK(suspicion.fate(one, false, start) == Fate::waits);
        Suspicion::ended(one, server_c);
        Suspicion::ended(one, server_a);
        CHECK(suspicion.fate(one, false, start) == Fate::stops);
    }
}

namespace {

// Some shards, and messages between them that are taken when the test says so.
struct Shards {
    struct One final : Teacher {
        void tell(const Lesson& lesson) override {
            ++told;
            for (auto& other : all->shards)
                if (other.get() != this) other->mail.push_back(std::get<SuspicionLook>(lesson));
        }
        void read(Instant now) {
            while (!mail.empty()) {
                const SuspicionLook look = mail.front();
                mail.pop_front();
                suspicion.learn(look, now);
            }
        }

        Shards* all = nullptr;
        Suspicion suspicion;
        std::deque<SuspicionLook> mail;
        int told = 0;
    };

    explicit Shards(unsigned count) {
        for (unsigned i = 0; i < count; ++i) {
            shards.push_back(std::make_unique<One>());
            shards.back()->all = this;
            shards.back()->suspicion.join(count - 1, shards.back().get());
        }
    }
    One& operator[](std::size_t index) { return *shards[index]; }
    // Until there are no more.
    void deliver(Instant now) {
        for (int round = 0; round < 2; ++round)
            for (auto& shard : shards)
                shard->read(now);
    }

    std::vector<std::unique_ptr<One>> shards;
};

// It was sent to a server, at that time, that ended under it.
void meets_death(Suspicion& suspicion, Suspect& suspect, std::uint32_t server, std::int64_t sent,
                 std::int64_t end) {
    suspicion.sent(suspect, server, at(sent));
    suspicion.broke(suspect, at(end));
    Suspicion::ended(suspect, server);
}

}  // namespace

TEST_CASE("R3: who stands alone on its shard is not alone") {
    Shards shards(3);
    std::deque<Suspect> all(3);
    for (std::size_t i = 0; i < 3; ++i)
        meets_death(shards[i].suspicion, all[i], server_a, static_cast<std::int64_t>(i) * 10'000,
                    200'000);
    shards.deliver(at(200'000));
    // Nobody weighs yet: there is nothing to be told.
    for (std::size_t i = 0; i < 3; ++i)
        CHECK(shards[i].told == 0);
    for (std::size_t i = 0; i < 3; ++i)
        meets_death(shards[i].suspicion, all[i], server_b, 200'000, 300'000);
    for (std::size_t i = 0; i < 3; ++i)
        CHECK(shards[i].suspicion.fate(all[i], false, at(300'000)) == Fate::waits);
    shards.deliver(at(300'100));
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(shards[i].told == 1);
        CHECK(shards[i].suspicion.fate(all[i], false, at(300'100)) == Fate::moves);
    }
}

TEST_CASE("R3: the one that did it is told from those on other shards") {
    Shards shards(3);
    Suspect killer;
    Suspect beside;
    meets_death(shards[0].suspicion, killer, server_a, 199'000, 200'000);
    meets_death(shards[1].suspicion, beside, server_a, 0, 200'000);
    shards[0].suspicion.sent(killer, server_b, at(200'000));
    shards[1].suspicion.sent(beside, server_b, at(200'000));
    shards[0].suspicion.broke(killer, at(201'000));
    // The other one hears of it before it sees it itself, and looks as it was then.
    shards[1].read(at(202'000));
    shards[1].suspicion.broke(beside, at(240'000));
    Suspicion::ended(killer, server_b);
    Suspicion::ended(beside, server_b);
    CHECK(shards[0].suspicion.fate(killer, false, at(202'000)) == Fate::waits);
    shards.deliver(at(240'000));
    CHECK(shards[0].suspicion.fate(killer, false, at(240'000)) == Fate::stops);
    CHECK(shards[1].suspicion.fate(beside, false, at(240'000)) == Fate::moves);
    CHECK(shards[2].told == 1);
}

TEST_CASE("R3: a shard that says nothing is not waited for") {
    Shards shards(2);
    Suspect killer;
    meets_death(shards[0].suspicion, killer, server_a, 0, 1'000);
    meets_death(shards[0].suspicion, killer, server_b, 1'000, 2'000);
    CHECK(shards[0].suspicion.fate(killer, false, at(3'000)) == Fate::waits);
    const Instant later = at(2'001) + Suspicion::hearing_max;
    CHECK(shards[0].suspicion.fate(killer, false, later) == Fate::stops);
    // What comes too late, or of a death before, changes nothing.
    shards[0].suspicion.learn({.server = server_b, .at = at(2'000), .weight = 1}, later);
    CHECK(shards[0].suspicion.fate(killer, false, later) == Fate::stops);
}

TEST_CASE("R3: one death that equal requests beside each other see is one for each") {
    Suspicion suspicion;
    Suspect one;
    Suspect other;
    suspicion.sent(one, server_a, at(0));
    suspicion.sent(other, server_a, at(500));
    suspicion.broke(one, at(1'000));
    Suspicion::ended(one, server_a);
    suspicion.broke(other, at(1'001));
    other.recall(one.past(), at(400));
    Suspicion::ended(other, server_a);
    CHECK(other.deaths() == 1);
    CHECK(suspicion.fate(other, false, at(1'001)) == Fate::moves);
}

TEST_CASE("R3: deaths that an earlier sending met count") {
    Suspicion suspicion;
    Suspect first;
    meets_death(suspicion, first, server_a, 0, 1'000);
    CHECK(first.past().count == 1);
    CHECK(first.past().last_at == at(1'000));
    Suspect again;
    again.recall(first.past(), at(1'001));
    CHECK(suspicion.fate(again, false, at(2'000)) == Fate::moves);
    meets_death(suspicion, again, server_a, 5'000'000, 5'001'000);
    CHECK(again.deaths() == 2);
    CHECK(suspicion.fate(again, false, at(5'001'000)) == Fate::stops);
    // No less than it has met itself.
    again.recall(first.past(), at(1'001));
    CHECK(again.deaths() == 2);
    // A copy is at no server, and has met the same.
    suspicion.sent(first, server_b, at(6'000'000));
    const Suspect copy(first);
    CHECK(copy.deaths() == 1);
    Suspicion::over(first);
}
