// What Cache-Control says in all its spellings, and what becomes of a request by it.
#include "sluice/cache/directives.h"

#include "heads.h"

#include <doctest/doctest.h>

#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>

using namespace sluice;
using namespace sluice::cache;

namespace {

Directives read(std::string_view value) {
    Directives directives;
    add_directives(value, directives);
    return directives;
}

constexpr Duration seconds(std::int64_t n) {
    return Duration::seconds(n);
}
constexpr std::int64_t most = std::int64_t{1} << 32;

}  // namespace

TEST_CASE("Cache-Control of a request") {
    struct Case {
        std::string_view value;
        Directives directives;
    };
    const Case cases[] = {
        {"", {}},
        {" , ,, ", {}},
        {"no-store", {.no_store = true}},
        {"NO-Store", {.no_store = true}},
        {"no-cache", {.no_cache = true}},
        {"no-cache=\"set-cookie\"", {.no_cache = true}},
        {"no-store=yes", {.no_store = true}},
        {"no-storey", {}},
        {"xno-store", {}},
        {"no store", {}},
        {"only-if-cached", {.only_if_cached = true}},
        {"\tno-cache ,\t no-store", {.no_store = true, .no_cache = true}},
        {"max-age=0", {.max_age = seconds(0)}},
        {"Max-Age=60", {.max_age = seconds(60)}},
        {"max-age=\"60\"", {.max_age = seconds(60)}},
        {"max-age = 60", {.max_age = seconds(60)}},
        {"max-age=0060", {.max_age = seconds(60)}},
        {"max-age=60, max-age=30", {.max_age = seconds(30)}},
        {"max-age=30, max-age=60", {.max_age = seconds(30)}},
        {"max-age", {.max_age = seconds(0)}},
        {"max-age=", {.max_age = seconds(0)}},
        {"max-age=-1", {.max_age = seconds(0)}},
        {"max-age=+60", {.max_age = seconds(0)}},
        {"max-age=6e1", {.max_age = seconds(0)}},
        {"max-age=60s", {.max_age = seconds(0)}},
        {"max-age=\"60", {.max_age = seconds(0)}},
        {"max-age=4294967296", {.max_age = seconds(most)}},
        {"max-age=99999999999999999999999999", {.max_age = seconds(most)}},
        {"max-stale", {.max_stale = seconds(most)}},
        {"max-stale=10", {.max_stale = seconds(10)}},
        {"max-stale=10, max-stale", {.max_stale = seconds(10)}},
        {"max-stale, max-stale=10", {.max_stale = seconds(10)}},
        {"max-stale=much", {.max_stale = seconds(0)}},
        {"min-fresh=5, min-fresh=7", {.min_fresh = seconds(7)}},
        {"min-fresh", {.min_fresh = seconds(most)}},
        {"min-fresh=x", {.min_fresh = seconds(most)}},
        {"no-transform, stale-if-error=60, public", {}},
        {"x=\"a, no-store\", max-age=1", {.max_age = seconds(1)}},
        {"x=\"a\\\", no-store\", max-age=1", {.max_age = seconds(1)}},
        {"x=\"a, no-store", {}},
        {"x=\"\\", {}},
        {"x=y=no-store,no-cache", {.no_cache = true}},
        {"=no-store", {}},
    };
    for (const Case& each : cases) {
        INFO(each.value);
        CHECK(read(each.value) == each.directives);
    }
}

TEST_CASE("several fields are one list, and no other field is read") {
    const auto head = test::head_of({{"Cache-Control", "max-age=60"},
                                     {"Pragma", "no-cache"},
                                     {"X-Cache-Control", "no-store"},
                                     {"cache-control", "only-if-cached, max-age=90"}});
    CHECK(read_directives(*head) ==
          Directives{.only_if_cached = true, .max_age = Duration::seconds(60)});
    CHECK(read_directives(*test::head_of({})) == Directives{});
}

TEST_CASE("what becomes of a request") {
    struct Case {
        std::string_view asked;
        std::int64_t age;  // of what is stored, whose time to live is 100 s; -1: nothing is
        Use use;
        Use only_if_cached;
    };
    const Case cases[] = {
        {"", -1, Use::miss, Use::refuse},
        {"", 0, Use::hit, Use::hit},
        {"", 99, Use::hit, Use::hit},
        {"", 100, Use::miss, Use::refuse},
        {"no-store", -1, Use::bypass, Use::refuse},
        {"no-store", 1, Use::bypass, Use::refuse},
        {"no-store, no-cache", 1, Use::bypass, Use::refuse},
        {"no-cache", 1, Use::miss, Use::refuse},
        {"max-age=10", 10, Use::hit, Use::hit},
        {"max-age=10", 11, Use::miss, Use::refuse},
        {"max-age=0", 0, Use::hit, Use::hit},
        {"max-age=0", 1, Use::miss, Use::refuse},
        {"min-fresh=10", 90, Use::hit, Use::hit},
        {"min-fresh=10", 91, Use::miss, Use::refuse},
        {"min-fresh=101", 0, Use::miss, Use::refuse},
        {"max-stale=10", 50, Use::hit, Use::hit},
        {"max-stale=10", 100, Use::stale, Use::stale},
        {"max-stale=10", 110, Use::stale, Use::stale},
        {"max-stale=10", 111, Use::miss, Use::refuse},
        {"max-stale", 1'000'000, Use::stale, Use::stale},
        {"max-stale", -1, Use::miss, Use::refuse},
        {"max-stale, max-age=105", 105, Use::stale, Use::stale},
        {"max-stale, max-age=105", 106, Use::miss, Use::refuse},
        {"max-stale, min-fresh=1", 100, Use::miss, Use::refuse},
    };
    for (const Case& each : cases) {
        INFO(each.asked, " at ", each.age);
        std::optional<StoredAge> stored;
        if (each.age >= 0) stored = StoredAge{seconds(each.age), seconds(100)};
        CHECK(use(stored, read(each.asked)) == each.use);
        const std::string only = std::string(each.asked) + ", only-if-cached";
        CHECK(use(stored, read(only)) == each.only_if_cached);
    }
}

TEST_CASE("words for people") {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < outcome_count; ++i)
        names.insert(name_of(static_cast<Outcome>(i)));
    CHECK(names ==
          std::set<std::string_view>{"hit", "miss", "bypass", "joined", "stale", "partial"});
    CHECK(name_of(Outcome::stale) == "stale");
    CHECK(age_seconds({}) == 0);
    CHECK(age_seconds(Duration::millis(1999)) == 1);
    CHECK(age_seconds(Duration::millis(-5)) == 0);
    CHECK(age_seconds({std::numeric_limits<std::int64_t>::max()}) == 9'223'372'036);
}
