#include "sluice/policy/timeouts.h"

#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::policy;

namespace {

constexpr Duration second = Duration::seconds(1);
constexpr Instant received{(second * 100).ns};

constexpr Phase phases[] = {Phase::connect, Phase::queue, Phase::load, Phase::first_byte,
                            Phase::gap};

ClientTimeouts read(std::string_view name, std::string_view value) {
    http::Head head;
    const http::FieldId id = http::field_id(name);
    head.storage[head.count++] = {name, value, id};
    head.present.add(id);
    return read_client_timeouts(head);
}

// The name, and seconds since the request.
std::string text(const Deadline& deadline) {
    if (!deadline) return "none";
    const Duration since = deadline.at - received;
    REQUIRE(since.ns % second.ns == 0);
    return std::string(name_of(deadline.name)) + " " + std::to_string(since.ns / second.ns);
}

}  // namespace

TEST_CASE("a client's timeouts are seconds, decimals allowed") {
    struct Row {
        std::string_view value;
        std::int64_t millis;  // 0: none
    };
    const Row rows[] = {{"600", 600'000},
                        {"600.0", 600'000},
                        {"0.25", 250},
                        {"1.5", 1'500},
                        {"86401", 86'400'000},
                        {"999999999999999", 86'400'000},
                        {"0", 0},
                        {"0.0", 0},
                        {"", 0},
                        {"-1", 0},
                        {"NaN", 0},
                        {"None", 0},
                        {"1e3", 0},
                        {"10s", 0},
                        {"1,5", 0},
                        {"inf", 0},
                        {"not-given", 0}};
    for (const Row& row : rows) {
        CAPTURE(row.value);
        const ClientTimeouts reads = read("X-Stainless-Read-Timeout", row.value);
        CHECK(reads.read.value_or(Duration{}) == Duration::millis(row.millis));
        CHECK(reads.read.has_value() == (row.millis != 0));
        CHECK_FALSE(reads.total.has_value());
        const ClientTimeouts totals = read("x-request-timeout", row.value);
        CHECK(totals.total.value_or(Duration{}) == Duration::millis(row.millis));
        CHECK_FALSE(totals.read.has_value());
    }
}

TEST_CASE("each phase has its own limit, from its begin") {
    const PhaseTimeouts timeouts;
    const PhaseTimes times{received, received + second * 7, received, received + second * 7};
    const char* const expected[] = {"connect 8", "queue 67", "load 307", "first_byte 907",
                                    "gap 907"};
    for (std::size_t i = 0; i < std::size(phases); ++i)
        CHECK(text(next_deadline(timeouts, {}, phases[i], times)) == expected[i]);
    for (const Phase phase : phases)
        CHECK(text(next_deadline({{}, {}, {}, {}, {}, {}, {}}, {}, phase, times)) == "none");
}

TEST_CASE("what fires first") {
    struct Row {
        Phase phase;
        std::int64_t total;         // 0: off
        std::int64_t client_read;   // 0: none
        std::int64_t client_total;  // 0: none
        std::int64_t began;         // since the request
        std::int64_t last_sent;     // since the request
        std::string_view expected;
    };
    const Row rows[] = {
        {Phase::first_byte, 0, 0, 0, 2, 0, "first_byte 302"},
        {Phase::first_byte, 0, 600, 0, 2, 0, "first_byte 302"},
        {Phase::first_byte, 0, 30, 0, 2, 0, "x-stainless-read-timeout 30"},
        {Phase::first_byte, 0, 0, 30, 2, 0, "x-request-timeout 30"},
        {Phase::first_byte, 0, 20, 30, 2, 0, "x-stainless-read-timeout 20"},
        // Comments were sent meanwhile: the client is not waiting for its first byte any more.
        {Phase::first_byte, 0, 20, 30, 2, 15, "x-request-timeout 30"},
        {Phase::first_byte, 0, 20, 0, 2, 290, "first_byte 302"},
        {Phase::queue, 0, 10, 0, 0, 0, "x-stainless-read-timeout 10"},
        {Phase::load, 0, 0, 10, 0, 0, "x-request-timeout 10"},
        {Phase::connect, 0, 0, 10, 3, 0, "connect 4"},
        {Phase::gap, 0, 0, 0, 100, 100, "gap 160"},
        {Phase::gap, 0, 5, 0, 100, 100, "x-stainless-read-timeout 105"},
        {Phase::gap, 0, 5, 0, 100, 158, "gap 160"},
        {Phase::gap, 120, 0, 0, 100, 100, "total 120"},
        {Phase::gap, 120, 0, 110, 100, 100, "x-request-timeout 110"},
        {Phase::gap, 400, 0, 0, 100, 100, "gap 160"},
        // Of the same instant: the phase's, then the whole's, then the client's.
        {Phase::queue, 60, 60, 60, 0, 0, "queue 60"},
        {Phase::first_byte, 60, 60, 60, 0, 0, "total 60"},
        {Phase::first_byte, 0, 60, 60, 0, 0, "x-stainless-read-timeout 60"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.expected);
        PhaseTimeouts timeouts;
        timeouts.first_byte = second * 300;
        timeouts.gap = second * 60;
        timeouts.total = second * row.total;
        ClientTimeouts client;
        if (row.client_read != 0) client.read = second * row.client_read;
        if (row.client_total != 0) client.total = second * row.client_total;
        const PhaseTimes times{received, received + second * row.began,
                               received + second * row.last_sent, received + second * row.began};
        const Deadline deadline = next_deadline(timeouts, client, row.phase, times);
        CHECK(text(deadline) == row.expected);
        CHECK(deadline.is_clients() == row.expected.starts_with("x-"));
    }
}

TEST_CASE("R5: what shows signs of life is waited for, and what shows none is not") {
    struct Row {
        Phase phase;
        std::int64_t began;
        std::int64_t heard;
        std::int64_t alive;  // 0: nobody asks
        std::string_view expected;
    };
    const Row rows[] = {
        {Phase::first_byte, 2, 2, 0, "first_byte 902"},
        {Phase::first_byte, 2, 2, 2, "silence 62"},
        {Phase::first_byte, 2, 2, 500, "silence 560"},
        {Phase::first_byte, 2, 2, 850, "first_byte 902"},
        {Phase::gap, 10, 10, 10, "silence 70"},
        {Phase::gap, 10, 10, 840, "silence 900"},
        {Phase::gap, 10, 10, 860, "gap 910"},
        // A byte is as good a sign as an answered check, whatever it was.
        {Phase::gap, 10, 700, 10, "silence 760"},
        // Comments are no progress for ever.
        {Phase::gap, 10, 900, 900, "gap 910"},
        {Phase::first_byte, 10, 905, 0, "first_byte 910"},
        // Of the others it is not asked.
        {Phase::queue, 10, 10, 10, "queue 70"},
        {Phase::load, 10, 10, 10, "load 310"},
        {Phase::connect, 10, 10, 10, "connect 11"},
    };
    const auto at = [](std::int64_t seconds) { return received + second * seconds; };
    for (const Row& row : rows) {
        CAPTURE(row.expected);
        const PhaseTimes times{received, at(row.began), received, at(row.heard),
                               row.alive == 0 ? Instant{} : at(row.alive)};
        CHECK(text(next_deadline({}, {}, row.phase, times)) == row.expected);
    }
    // A limit that somebody has set means what it says; comments put it off, up to the longer one.
    PhaseTimeouts short_gap;
    short_gap.gap = second * 5;
    CHECK(text(next_deadline(short_gap, {}, Phase::gap,
                             {received, at(10), received, at(10), at(14)})) == "gap 15");
    CHECK(text(next_deadline(short_gap, {}, Phase::gap,
                             {received, at(10), received, at(800), {}})) == "gap 805");
    CHECK(text(next_deadline(short_gap, {}, Phase::gap,
                             {received, at(10), received, at(909), {}})) == "gap 910");
    PhaseTimeouts patient;
    patient.silence = {};
    CHECK(text(next_deadline(patient, {}, Phase::gap,
                             {received, at(10), received, at(10), at(10)})) == "gap 910");
}

TEST_CASE("a client can only make it shorter, and the earliest limit is never passed over") {
    Prng prng(11);
    const auto random_span = [&prng](std::uint64_t most) {
        return second * static_cast<std::int64_t>(prng.below(most));
    };
    for (int i = 0; i < 20'000; ++i) {
        PhaseTimeouts timeouts{random_span(5),  random_span(9),  random_span(9),  random_span(90),
                               random_span(90), random_span(90), random_span(200)};
        ClientTimeouts client;
        if (prng.chance(1, 2)) client.read = second + random_span(100);
        if (prng.chance(1, 2)) client.total = second + random_span(100);
        const Instant began = received + random_span(50);
        const Instant alive = prng.chance(1, 2) ? received + random_span(90) : Instant{};
        const PhaseTimes times{received, began, received + random_span(50), began + random_span(9),
                               alive};
        const Phase phase = phases[prng.below(std::size(phases))];
        const Deadline own = next_deadline(timeouts, {}, phase, times);
        const Deadline both = next_deadline(timeouts, client, phase, times);
        std::vector<Instant> candidates;
        if (own) candidates.push_back(own.at);
        if (client.read) candidates.push_back(times.last_sent + *client.read);
        if (client.total) candidates.push_back(times.received + *client.total);
        REQUIRE(static_cast<bool>(both) == !candidates.empty());
        if (!both) continue;
        REQUIRE(both.at == *std::min_element(candidates.begin(), candidates.end()));
        REQUIRE(both.is_clients() == (!own || both.at < own.at));
    }
}

TEST_CASE("R6c: the text names who, how long, and which") {
    const auto say = [](DeadlineName name, Duration limit) {
        return describe({name, received, limit}, "qwen");
    };
    CHECK(say(DeadlineName::first_byte, second * 300) ==
          "The backend sent no answer within 5m (first_byte).");
    CHECK(say(DeadlineName::connect, Duration::millis(250)) ==
          "The backend took no connection within 0.25s (connect).");
    CHECK(say(DeadlineName::gap, Duration::millis(1500)) ==
          "The backend sent nothing more for 1.5s (gap).");
    CHECK(say(DeadlineName::queue, second * 60) ==
          "The model 'qwen' had no free slot within 1m (queue).");
    CHECK(say(DeadlineName::connect, Duration::millis(20)) ==
          "The backend took no connection within 20ms (connect).");
    CHECK(say(DeadlineName::total, second * (2 * 3600 + 500)) ==
          "The answer was not complete within 2h8m20s (total).");
    // None of its figures could be a status.
    for (const std::int64_t ms : {1, 99, 100, 429, 500, 503, 4290, 5000, 50'300, 59'999, 500'000,
                                  503'000, 4'290'000, 86'400'000}) {
        const std::string sentence = say(DeadlineName::gap, Duration::millis(ms));
        CAPTURE(sentence);
        int digits = 0;
        for (const char c : sentence) {
            digits = c >= '0' && c <= '9' ? digits + 1 : 0;
            CHECK(digits < 3);
        }
    }
    std::set<std::string> texts;
    for (int i = 1; i <= static_cast<int>(DeadlineName::client_total); ++i) {
        const auto name = static_cast<DeadlineName>(i);
        const std::string sentence = say(name, second);
        CHECK(sentence.find("(" + std::string(name_of(name)) + ").") != sentence.npos);
        texts.insert(sentence);
        const bool nobody = name == DeadlineName::queue || name == DeadlineName::load;
        CHECK(status_of(name) == (nobody ? 503 : 504));
    }
    CHECK(texts.size() == 9);
}
