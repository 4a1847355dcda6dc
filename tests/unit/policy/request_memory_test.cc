#include "sluice/policy/request_memory.h"

#include "sluice/base/prng.h"
#include "sluice/policy/request_digest.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::policy;

namespace {

constexpr Instant start{5'000'000'000};

std::uint64_t digest(const std::vector<std::string_view>& parts, std::uint64_t seed = 1) {
    RequestDigest made(seed);
    for (const std::string_view part : parts) {
        made.feed(part);
        made.end_part();
    }
    return made.value();
}

}  // namespace

TEST_CASE("request digest: every split is the same, every other request is another") {
    Prng prng(7);
    std::set<std::uint64_t> seen;
    for (std::size_t bytes = 0; bytes < 200; ++bytes) {
        // Also such as differ in nothing but the number of their zeros.
        for (const char filling : {'\0', 'x'}) {
            const std::string text(bytes, filling);
            const std::uint64_t whole = digest({"POST", "/v1/x", text});
            CHECK(seen.insert(whole).second == (bytes > 0 || filling == '\0'));
            for (int i = 0; i < 10; ++i) {
                RequestDigest split(1);
                split.feed("POST");
                split.end_part();
                split.feed("/v1/x");
                split.end_part();
                for (std::string_view rest = text; !rest.empty();) {
                    const auto run = rest.substr(0, prng.between(0, 40));
                    split.feed(run);
                    rest.remove_prefix(run.size());
                }
                split.end_part();
                CHECK(split.value() == whole);
            }
            if (bytes == 0) continue;
            std::string other = text;
            other[prng.below(bytes)] ^= 1;
            CHECK(seen.insert(digest({"POST", "/v1/x", other})).second);
        }
    }
    CHECK(digest({"ab", "c"}) != digest({"a", "bc"}));
    CHECK(digest({"ab"}) != digest({"ab", ""}));
    CHECK(digest({"ab"}, 1) != digest({"ab"}, 2));
}

TEST_CASE("R3: what a request is known for is kept for a minute, and of each kind") {
    RequestMemory memory;
    CHECK_FALSE(memory.any(start));
    memory.note({.digest = 10, .what = KnownFor::ending_servers}, start);
    CHECK(memory.any(start));
    CHECK(memory.knows(10, KnownFor::ending_servers, start));
    CHECK_FALSE(memory.knows(10, KnownFor::failing, start));
    CHECK_FALSE(memory.knows(11, KnownFor::ending_servers, start));
    const Instant later = start + Duration::seconds(40);
    memory.note({.digest = 10, .what = KnownFor::failing}, later);
    CHECK(memory.knows(10, KnownFor::failing, later));
    CHECK(memory.knows(10, KnownFor::ending_servers, later));
    const Instant end = later + RequestMemory::kept;
    CHECK(memory.any(later + (RequestMemory::kept - Duration{1})));
    CHECK(memory.knows(10, KnownFor::failing, later + (RequestMemory::kept - Duration{1})));
    CHECK_FALSE(memory.any(end));
    CHECK_FALSE(memory.knows(10, KnownFor::failing, end));
    // What was forgotten does not come back with something else.
    memory.note({.digest = 10, .what = KnownFor::failing}, end);
    CHECK_FALSE(memory.knows(10, KnownFor::ending_servers, end));
}

TEST_CASE("R3: as many requests as there is room for, and the newest of more") {
    RequestMemory memory;
    Instant now = start;
    constexpr std::uint64_t many = 4 * RequestMemory::requests_max;
    for (std::uint64_t each = 1; each <= many; ++each) {
        now = now + Duration::millis(1);
        memory.note({.digest = each, .what = KnownFor::failing}, now);
    }
    std::size_t known = 0;
    for (std::uint64_t each = 1; each <= many; ++each)
        known += memory.knows(each, KnownFor::failing, now) ? 1 : 0;
    CHECK(known == RequestMemory::requests_max);
    for (std::uint64_t each = many - RequestMemory::requests_max + 1; each <= many; ++each)
        CHECK(memory.knows(each, KnownFor::failing, now));
}

TEST_CASE("R3: deaths that it met are the most that one sending has, until it is served") {
    RequestMemory memory;
    const auto met = [](std::uint8_t count) {
        return RequestNote{.digest = 5,
                           .what = KnownFor::being_there,
                           .deaths = {.count = count, .first_age = Duration::millis(count)}};
    };
    CHECK(memory.deaths_of(5, start).count == 0);
    memory.note(met(2), start);
    memory.note(met(1), start);
    CHECK(memory.deaths_of(5, start).count == 2);
    CHECK(memory.deaths_of(5, start).first_age == Duration::millis(2));
    CHECK(memory.deaths_of(6, start).count == 0);
    CHECK_FALSE(memory.knows(5, KnownFor::ending_servers, start));
    memory.note({.digest = 5, .what = KnownFor::ending_servers}, start);
    memory.note({.digest = 5, .what = KnownFor::failing}, start);
    memory.note({.digest = 5, .acquits = true}, start);
    memory.note({.digest = 6, .acquits = true}, start);
    CHECK(memory.deaths_of(5, start).count == 0);
    CHECK_FALSE(memory.knows(5, KnownFor::ending_servers, start));
    CHECK(memory.knows(5, KnownFor::failing, start));
    memory.note(met(1), start);
    CHECK(memory.deaths_of(5, start).count == 1);
    CHECK(memory.deaths_of(5, start + RequestMemory::kept).count == 0);
}

TEST_CASE("R3: one that ends servers makes room last") {
    RequestMemory memory;
    memory.note({.digest = 1, .what = KnownFor::ending_servers}, start);
    Instant now = start;
    for (std::uint64_t each = 2; each <= 4 * RequestMemory::requests_max; ++each) {
        now = now + Duration::micros(1);
        memory.note({.digest = each, .what = KnownFor::failing}, now);
    }
    CHECK(memory.knows(1, KnownFor::ending_servers, now));
}
