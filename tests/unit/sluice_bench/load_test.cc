// Whole loads over loopback against the bench's own backend.
#include "run.h"
#include "sluice/io/socket.h"

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

using namespace sluice;
using namespace sluice::bench;

namespace {

// A worker with an origin on a free port, and a load for it.
struct Bench {
    std::unique_ptr<Worker> worker;
    Load load;
    Window window{.warmup = Duration{}, .length = Duration::seconds(30)};

    explicit Bench(OriginScript script, RequestKind kind = {}) {
        auto created = Worker::create();
        REQUIRE(created.ok());
        worker = std::move(created).value();
        load.address = free_address();
        REQUIRE(worker->open_origin(load.address, script).ok());
        load.requests = make_requests({kind}, {.host = load.address.to_string()});
        load.requests[0].expectation.stamped = kind.stream;
    }

    // Some port that nobody listens on: it was given out, and is free again.
    static net::Address free_address() {
        const auto any = net::Address::parse("127.0.0.1:0");
        REQUIRE(any.ok());
        const auto fd = io::open_listener(any.value().raw(), any.value().size(), {});
        REQUIRE(fd.ok());
        sockaddr_storage name{};
        socklen_t size = 0;
        REQUIRE(io::local_name(fd.value(), name, size) == 0);
        io::close_socket(fd.value());
        return {name, size};
    }

    Tally go() {
        auto measured = run(*worker, load, window, {});
        REQUIRE(measured.ok());
        return measured.value().tally;
    }
};

}  // namespace

TEST_CASE("closed loop: every request of a given number is answered once") {
    Bench bench({.answer_bytes = 600});
    bench.load.connections = 8;
    bench.load.requests_max = 500;
    const Tally tally = bench.go();
    CHECK(tally.requests == 500);
    CHECK(tally.failed() == 0);
    CHECK(tally.connections == 8);
    CHECK(tally.latency.count() == 500);
    CHECK(tally.tokens == 500 * 64);
    CHECK(tally.bytes_in > 500 * 600);
}

TEST_CASE("without keep-alive each request has its own connection") {
    Bench bench({});
    bench.load.requests =
        make_requests({{}}, {.host = "h", .path_prefix = {}, .fields = {}, .keep_alive = false});
    bench.load.keep_alive = false;
    bench.load.connections = 4;
    bench.load.requests_max = 40;
    const Tally tally = bench.go();
    CHECK(tally.requests == 40);
    CHECK(tally.connections == 40);
}

TEST_CASE("streams: paced and in lock-step, all events in order") {
    for (const bool lock_step : {false, true}) {
        Bench bench({.events = 25, .period = Duration::micros(100), .lock_step = lock_step},
                    {.stream = true});
        bench.load.connections = 5;
        bench.load.requests_max = 20;
        const Tally tally = bench.go();
        CHECK(tally.first_failure == "");
        CHECK(tally.requests == 20);
        // The finish reason is an event of its own.
        CHECK(tally.events == 20 * 26);
        CHECK(tally.delay.count() == 20 * 25);
        CHECK(tally.first_token.count() == 20);
    }
}

TEST_CASE("streams without end are cut when the time is over, which is no failure") {
    Bench bench({.period = Duration::micros(500)}, {.stream = true});
    bench.load.connections = 3;
    bench.window.length = Duration::millis(100);
    const Tally tally = bench.go();
    CHECK(tally.failed() == 0);
    CHECK(tally.cut == 3);
    CHECK(tally.events > 3);
}

TEST_CASE("open loop: latency counts from when a request was due") {
    // The first event comes at once, the second after some part of the period and the third and
    // last one a period later: each request takes 5 ms at least on the one connection there is, but
    // one is due every millisecond. So request k ends at 5 k ms at the earliest and was due at k
    // ms: the last one is late by 160 ms at least.
    Bench bench({.events = 3, .period = Duration::millis(5)}, {.stream = true});
    bench.load.connections = 1;
    bench.load.rate = 1000;
    bench.load.requests_max = 40;
    const Tally tally = bench.go();
    CHECK(tally.requests == 40);
    CHECK(tally.connections == 1);
    CHECK(tally.lag.count() == 40);
    CHECK(tally.latency.max() > 150'000'000);
}

TEST_CASE("open loop: what is due and not answered at the end counts with the time it has waited") {
    // Nothing is ever answered. One request is due every 10 ms of 300: 30 of them, of which as many
    // run as there are connections, and the others are never sent.
    for (const std::uint32_t threads : {1U, 2U}) {
        for (const std::uint32_t connections : {2U, 50U}) {
            CAPTURE(threads);
            CAPTURE(connections);
            Bench bench({});
            bench.load.requests[0].body.pop_back();  // no request is ever whole
            bench.load.connections = connections;
            bench.load.rate = 100;
            bench.window.length = Duration::millis(300);
            bench.window.threads = threads;
            const Tally tally = bench.go();
            CHECK(tally.requests == 0);
            CHECK(tally.failed() == 0);
            // Each further thread begins a little before the window.
            CHECK(tally.due <= 30);
            CHECK(tally.due >= (threads == 1 ? 30 : 15));
            CHECK(tally.due_unanswered == tally.due);
            CHECK(tally.latency.count() == tally.due);
            CHECK(tally.rate_missed());
            if (threads > 1) continue;
            CHECK(tally.connections == std::min(connections, 30U));
            // The k-th has waited 300 - 10 k ms.
            CHECK(tally.latency.min() == 0);
            CHECK(tally.latency.max() == 290'000'000);
            CHECK(tally.latency.mean() == doctest::Approx(145e6).epsilon(0.001));
        }
    }
}

TEST_CASE("open loop: with a warm-up only what is due within the window is counted") {
    Bench bench({.events = 2, .period = Duration::seconds(60)}, {.stream = true});
    bench.load.connections = 1;
    bench.load.rate = 100;
    bench.window.warmup = Duration::millis(200);
    bench.window.length = Duration::millis(100);
    const Tally tally = bench.go();
    CHECK(tally.due >= 9);
    CHECK(tally.due <= 11);
    CHECK(tally.due_unanswered == tally.due);
    CHECK(tally.latency.max() <= 100'000'000);
}

TEST_CASE("open loop: a server that keeps up leaves nothing unanswered") {
    Bench bench({});
    bench.load.connections = 4;
    bench.load.rate = 1000;
    bench.load.requests_max = 50;
    const Tally tally = bench.go();
    CHECK(tally.due == 50);
    CHECK(tally.due_unanswered == 0);
    CHECK_FALSE(tally.rate_missed());
    CHECK(tally.latency.count() == 50);
}

TEST_CASE("stalled clients are beside the load and not in its figures") {
    Bench bench({});
    bench.load.connections = 3;
    bench.load.requests_max = 200;
    bench.load.stalled = {.count = 20,
                          .text = bench.load.requests[0].text_with("x-bench-flood: 1"),
                          .fill = Duration::millis(300)};
    const auto measured = run(*bench.worker, bench.load, bench.window, {});
    REQUIRE(measured.ok());
    const Tally& tally = measured.value().tally;
    CHECK(tally.requests == 200);
    CHECK(tally.failed() == 0);
    CHECK(tally.connections == 3);
    REQUIRE(measured.value().stalled.has_value());
    const StalledCount& stalled = *measured.value().stalled;
    CHECK(stalled.asked == 20);
    CHECK(stalled.at_begin == 20);
    CHECK(stalled.at_end == 20);
    CHECK(stalled.answered == 20);
    CHECK(stalled.refused == 0);
    // As much as each one's kernel takes, and the origin sends without end.
    CHECK(stalled.unread > 20 * 1000);
    CHECK(stalled.unread < 20 * 65536);
}

TEST_CASE("a server that is not there is a failure by kind") {
    Bench bench({});
    bench.load.address = Bench::free_address();
    bench.load.connections = 2;
    bench.load.requests_max = 4;
    const Tally tally = bench.go();
    CHECK(tally.requests == 0);
    CHECK(tally.failures[static_cast<std::size_t>(Failure::connect)] == 4);
    CHECK(tally.first_failure == "Connection refused");
}

TEST_CASE("a request that is not answered in time is a failure by kind") {
    Bench bench({.events = 2, .period = Duration::seconds(60)}, {.stream = true});
    bench.load.requests_max = 1;
    bench.load.timeout = Duration::millis(20);
    const Tally tally = bench.go();
    CHECK(tally.failures[static_cast<std::size_t>(Failure::timeout)] == 1);
    CHECK(tally.cut == 0);
}

TEST_CASE("threads share connections and requests") {
    Bench bench({});
    bench.load.connections = 7;
    bench.load.requests_max = 300;
    bench.window.threads = 3;
    const Tally tally = bench.go();
    CHECK(tally.requests == 300);
    CHECK(tally.failed() == 0);
    CHECK(tally.connections == 7);
}

TEST_CASE("the processor time of a process is known to the nanosecond") {
    const auto before = usage_of(::getpid());
    REQUIRE(before.has_value());
    CHECK(before->cpu_ns > 0);
    CHECK(before->rss_bytes > 100'000);
    volatile std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < 1'000'000; ++i)
        sum = sum + i;
    CHECK(usage_of(::getpid())->cpu_ns > before->cpu_ns);
    CHECK_FALSE(usage_of(0).has_value());
}

TEST_CASE("a process that ends, or whose id another one has, used nothing that is known") {
    const ProcessUsage before{.cpu_ns = 100, .rss_bytes = 1, .switches = 50, .started = 7};
    const ProcessUsage after{.cpu_ns = 300, .rss_bytes = 2, .switches = 60, .started = 7};
    const auto used = used_between(before, after);
    REQUIRE(used.has_value());
    CHECK(used->cpu_ns == 200);
    CHECK(used->rss_bytes == 2);
    CHECK(used->switches == 10U);
    CHECK_FALSE(used_between(before, std::nullopt).has_value());
    CHECK_FALSE(used_between(std::nullopt, after).has_value());
    ProcessUsage other = after;
    other.started = 8;
    CHECK_FALSE(used_between(before, other).has_value());
    // Threads that ended took their switches with them: that figure alone is not known.
    ProcessUsage fewer = after;
    fewer.switches = 49;
    REQUIRE(used_between(before, fewer).has_value());
    CHECK_FALSE(used_between(before, fewer)->switches.has_value());
}

TEST_CASE("a process that has ended and was not waited for yet is none") {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) ::_exit(0);
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
    CHECK_FALSE(usage_of(child).has_value());
    CHECK(::waitpid(child, nullptr, 0) == child);
    CHECK_FALSE(usage_of(child).has_value());
    CHECK(usage_of(::getpid())->started > 0);
}

TEST_CASE("a gateway that is not there at the end has no figures, and the reports say so") {
    Bench bench({});
    bench.load.requests_max = 10;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) ::_exit(0);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    bench.window.pid = child;
    const auto measured = run(*bench.worker, bench.load, bench.window, {});
    REQUIRE(measured.ok());
    CHECK(measured.value().process_ended);
    CHECK_FALSE(measured.value().used.has_value());
}
