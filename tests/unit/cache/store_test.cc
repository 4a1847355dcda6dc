#include "sluice/cache/store.h"

#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace sluice;
using namespace sluice::cache;

namespace {

constexpr StoreBounds one_mib{.bytes = 1 << 20};
constexpr Duration hour = Duration::seconds(3600);

Key key_of(std::uint64_t number) {
    return {sha256({reinterpret_cast<const char*>(&number), sizeof number})};
}

std::shared_ptr<const Answer> answer_of(std::string_view body, std::string_view model = "m",
                                        Scope scope = {}, std::string_view consumer = "") {
    return Answer::make({.model = model, .scope = scope, .consumer = consumer}, body);
}

Instant at(std::int64_t seconds) {
    return Instant{} + Duration::seconds(seconds);
}

}  // namespace

TEST_CASE("what was put is found, with its age") {
    Store store(one_mib, 1);
    CHECK(!store.find(key_of(1), at(0)));
    CHECK(store.insert(key_of(1), answer_of("one"), at(10), hour) == Stored::stored);
    CHECK(store.insert(key_of(2), answer_of("two"), at(10), hour) == Stored::stored);
    const Found found = store.find(key_of(1), at(15));
    REQUIRE(found);
    CHECK(found.answer->body() == "one");
    CHECK(found.age == Duration::seconds(5));
    CHECK(store.find(key_of(1), at(9)).age == Duration{});
    CHECK(store.insert(key_of(1), answer_of("uno"), at(20), hour) == Stored::replaced);
    CHECK(found.answer->body() == "one");
    CHECK(store.find(key_of(1), at(20)).answer->body() == "uno");
    CHECK(store.entries() == 2);
    CHECK(store.holds(key_of(1)));
    CHECK(!store.holds(key_of(3)));
    CHECK(store.counters().hits == 3);
    CHECK(store.counters().misses == 1);
    CHECK(store.counters().inserts == 3);
    CHECK(store.counters().replaced == 1);
    CHECK(store.recount() == store.bytes());
}

TEST_CASE("stale answers are for those who take them") {
    Store store({.bytes = 1 << 20, .stale = Duration::seconds(50)}, 1);
    REQUIRE(store.insert(key_of(1), answer_of("one"), at(0), Duration::seconds(100)) ==
            Stored::stored);
    const auto find = [&store](std::int64_t seconds, std::string_view cache_control) {
        Directives directives;
        add_directives(cache_control, directives);
        return store.find(key_of(1), at(seconds), directives);
    };
    CHECK(store.find(key_of(1), at(99)));
    CHECK(!store.find(key_of(1), at(100)));
    CHECK(find(99, "").ttl == Duration::seconds(100));
    CHECK(!find(100, ""));
    CHECK(find(120, "max-stale").age == Duration::seconds(120));
    CHECK(find(120, "max-stale=20"));
    CHECK(!find(121, "max-stale=20"));
    CHECK(!find(50, "max-age=49"));
    CHECK(find(50, "min-fresh=50"));
    CHECK(!find(51, "min-fresh=50"));
    CHECK(!find(50, "no-cache"));
    CHECK(!find(50, "no-store"));
    CHECK(find(149, "max-stale"));
    CHECK(store.counters().hits == 6);
    CHECK(store.counters().misses == 7);
    CHECK(store.entries() == 1);
    CHECK(!find(150, "max-stale"));
    CHECK(store.counters().expired == 1);
    CHECK(store.entries() == 0);
}

TEST_CASE("times") {
    Store store(one_mib, 1);
    store.insert(key_of(1), answer_of("x"), at(100), Duration::seconds(60));
    CHECK(store.find(key_of(1), at(159)));
    CHECK(!store.find(key_of(1), at(130), Duration::seconds(29)));
    CHECK(store.find(key_of(1), at(130), Duration::seconds(30)));
    CHECK(!store.find(key_of(1), at(101), Duration{}));
    CHECK(store.find(key_of(1), at(100), Duration{}));
    CHECK(store.counters().expired == 0);
    CHECK(!store.find(key_of(1), at(160)));
    CHECK(store.counters().expired == 1);
    CHECK(store.entries() == 0);
    CHECK(!store.find(key_of(1), at(100)));

    // One that comes from elsewhere with an age.
    store.insert(key_of(2), answer_of("x"), at(200), Duration::seconds(60), Duration::seconds(50));
    CHECK(store.find(key_of(2), at(205)).age == Duration::seconds(55));
    CHECK(!store.find(key_of(2), at(210)));
    CHECK(store.insert(key_of(3), answer_of("x"), at(1), hour, hour) == Stored::outdated);
    CHECK(store.insert(key_of(3), answer_of("x"), at(1), Duration{}) == Stored::outdated);
    CHECK(store.insert(key_of(4), answer_of("x"), at(1), Duration{INT64_MAX}) == Stored::stored);
    CHECK(store.find(key_of(4), at(1'000'000'000)));
}

TEST_CASE("a sweep is bounded and comes round") {
    Store store(one_mib, 1);
    for (std::uint64_t i = 0; i < 100; ++i)
        store.insert(key_of(i), answer_of("x"), at(0), Duration::seconds(i < 50 ? 10 : 100));
    CHECK(store.sweep(at(9), 1000) == 0);
    std::size_t gone = 0;
    for (int i = 0; i < 10; ++i) {
        const std::size_t now_gone = store.sweep(at(10), 10);
        CHECK(now_gone <= 10);
        gone += now_gone;
    }
    CHECK(gone == 50);
    CHECK(store.counters().expired == 50);
    CHECK(store.entries() == 50);
    CHECK(store.sweep(at(100), 1000) == 50);
    CHECK(store.recount() == store.bytes());
}

TEST_CASE("purges") {
    Store store(one_mib, 1);
    const Scope anna{ScopeKind::consumer, "anna"};
    const Scope group{ScopeKind::group, "anna"};
    store.insert(key_of(1), answer_of("1", "m", anna, "anna"), at(0), hour);
    store.insert(key_of(2), answer_of("2", "n", anna, "anna"), at(0), hour);
    store.insert(key_of(3), answer_of("3", "m", group, "anna"), at(0), hour);
    store.insert(key_of(4), answer_of("4", "m", group, "bert"), at(0), hour);
    store.insert(key_of(5), answer_of("5", "o", {}, ""), at(0), hour);
    CHECK(store.purge_model("") == 0);
    CHECK(store.purge_model("n") == 1);
    CHECK(!store.find(key_of(2), at(0)));
    CHECK(store.purge_scope(anna) == 1);
    CHECK(store.find(key_of(3), at(0)));
    CHECK(store.purge_consumer("anna") == 1);
    CHECK(!store.find(key_of(3), at(0)));
    CHECK(store.find(key_of(4), at(0)));
    CHECK(store.purge(key_of(4)) == 1);
    CHECK(store.purge(key_of(4)) == 0);
    CHECK(store.purge_all() == 1);
    CHECK(store.entries() == 0);
    CHECK(store.counters().purged == 5);
    CHECK(store.recount() == store.bytes());
}

TEST_CASE("what takes more than its share is refused, and nothing goes for it") {
    Store store({.bytes = 1 << 20, .answer_share = 8}, 1);
    store.insert(key_of(1), answer_of("x"), at(0), hour);
    const std::size_t bare = Answer::bytes_of({.model = "m"}, 0, 0);
    const std::string most(store.answer_bytes_max() - bare, 'x');
    CHECK(store.answer_bytes_max() == (1 << 20) / 8);
    CHECK(store.insert(key_of(2), answer_of(most + "x"), at(0), hour) == Stored::too_large);
    CHECK(store.insert(key_of(2), answer_of(most), at(0), hour) == Stored::stored);
    CHECK(store.entries() == 2);
    CHECK(store.counters().refused == 1);
}

TEST_CASE("a bound that holds no tables: it is off") {
    for (const std::uint64_t bytes : {0, 1, 1000}) {
        Store store({.bytes = bytes}, 1);
        CHECK(store.bytes() == 0);
        CHECK(store.insert(key_of(1), answer_of("x"), at(0), hour) == Stored::off);
        CHECK(!store.find(key_of(1), at(0)));
        CHECK(store.purge_all() == 0);
        CHECK(store.sweep(at(0), 10) == 0);
        CHECK(store.recount() == 0);
    }
}

TEST_CASE("no more entries than there is room in the tables") {
    Store store({.bytes = 1 << 20, .entries = 20}, 1);
    for (std::uint64_t i = 0; i < 100; ++i)
        store.insert(key_of(i), answer_of("x"), at(0), hour);
    CHECK(store.entries() == 20);
    CHECK(store.counters().evictions == 80);
    CHECK(store.recount() == store.bytes());
}

TEST_CASE("what comes again soon after it was evicted stays longer") {
    Store store({.bytes = 1 << 20, .entries = 40}, 1);
    std::uint64_t next = 1000;
    const auto scan = [&](int count) {
        for (int i = 0; i < count; ++i)
            store.insert(key_of(next++), answer_of("x"), at(0), hour);
    };
    scan(40);
    store.insert(key_of(1), answer_of("x"), at(0), hour);
    scan(40);
    REQUIRE(!store.find(key_of(1), at(0)));
    store.insert(key_of(1), answer_of("x"), at(0), hour);  // its ghost was there
    scan(200);
    CHECK(store.find(key_of(1), at(0)));
}

TEST_CASE("a scan of what nobody asks for again leaves what is in use") {
    Store store({.bytes = 2 << 20}, 7);
    const std::string body(2000, 'x');
    constexpr std::uint64_t hot = 400;  // two fifths of what it holds
    Prng prng(1);
    const auto ask = [&](std::uint64_t number) {
        if (store.find(key_of(number), at(0))) return true;
        store.insert(key_of(number), answer_of(body), at(0), hour);
        return false;
    };
    for (int i = 0; i < 20'000; ++i)
        ask(prng.below(hot));
    const auto ratio = [&](std::uint64_t scanned_for_each) {
        std::uint64_t hits = 0;
        std::uint64_t next = 1'000'000 * (scanned_for_each + 1);
        for (int i = 0; i < 10'000; ++i) {
            hits += ask(prng.below(hot)) ? 1 : 0;
            for (std::uint64_t k = 0; k < scanned_for_each; ++k)
                ask(next++);
        }
        return hits;
    };
    CHECK(ratio(0) == 10'000);
    CHECK(ratio(1) >= 9'900);
    CHECK(ratio(5) >= 9'900);
    // A pass of a hundred times what it holds, in one go.
    for (std::uint64_t i = 0; i < 100'000; ++i)
        ask(50'000'000 + i);
    std::uint64_t kept = 0;
    for (std::uint64_t i = 0; i < hot; ++i)
        kept += store.find(key_of(i), at(0)) ? 1 : 0;
    CHECK(kept >= hot * 95 / 100);
    CHECK(store.recount() == store.bytes());
}
