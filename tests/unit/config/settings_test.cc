#include "sluice/config/settings.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::config;

TEST_CASE("durations are whole numbers with a unit; zero needs none") {
    struct Row {
        std::string text;
        std::int64_t ns;
    };
    for (const Row& row :
         {Row{"0", 0}, Row{"0s", 0}, Row{"00", 0}, Row{"1us", 1'000}, Row{"250ms", 250'000'000},
          Row{"10s", 10'000'000'000}, Row{"5m", 300'000'000'000}, Row{"1h", 3'600'000'000'000},
          Row{"1d", 86'400'000'000'000}, Row{"007s", 7'000'000'000},
          Row{"876000h", 876'000LL * 3'600'000'000'000}}) {
        CAPTURE(row.text);
        const auto duration = parse_duration(row.text);
        REQUIRE(duration.ok());
        CHECK(duration.value().ns == row.ns);
    }
    for (const std::string text : {"",
                                   "s",
                                   "10",
                                   "10 s",
                                   " 10s",
                                   "10s ",
                                   "10S",
                                   "10sec",
                                   "-1s",
                                   "+1s",
                                   "1.5s",
                                   "1e3s",
                                   "0x10s",
                                   "1D",
                                   "1w",
                                   "1s1s",
                                   "2562048h",
                                   "9223372036854775808us",
                                   "99999999999999999999s",
                                   "١s"}) {
        CAPTURE(text);
        const auto duration = parse_duration(text);
        REQUIRE_FALSE(duration.ok());
        CHECK(duration.error().message ==
              "'" + text + "' is no duration: write it like 250ms, 10s or 5m");
    }
    // What is longer could not be added to the time of the clock.
    CHECK_FALSE(parse_duration("876001h").ok());
    CHECK_FALSE(parse_duration("2562047h").ok());
}

TEST_CASE("sizes are bytes, or powers of 1024 with their unit") {
    struct Row {
        std::string text;
        std::size_t bytes;
    };
    for (const Row& row : {Row{"0", 0}, Row{"512B", 512}, Row{"64KiB", 65'536},
                           Row{"16MiB", 16'777'216}, Row{"1GiB", 1'073'741'824}}) {
        CAPTURE(row.text);
        const auto size = parse_size(row.text);
        REQUIRE(size.ok());
        CHECK(size.value() == row.bytes);
    }
    for (const std::string text : {"", "16", "512", "KiB", "64KB", "64kib", "64 KiB", "-1",
                                   "1.5MiB", "1TiB", "8589934592GiB", "18446744073709551616"}) {
        CAPTURE(text);
        const auto size = parse_size(text);
        REQUIRE_FALSE(size.ok());
        CHECK(size.error().message ==
              "'" + text + "' is no size: write it like 512B, 64KiB or 16MiB, with its unit");
    }
}

TEST_CASE("a model is a name, where it is served, and what it is called there") {
    const auto plain = parse_model("qwen=http://127.0.0.1:8080");
    REQUIRE(plain.ok());
    CHECK(plain.value().name == "qwen");
    REQUIRE(plain.value().backends.size() == 1);
    CHECK(plain.value().backends[0].url == "http://127.0.0.1:8080");
    CHECK(plain.value().backends[0].model.empty());

    const auto renamed = parse_model("org/m:1=unix:/run/a=b.sock#their model#1");
    REQUIRE(renamed.ok());
    CHECK(renamed.value().name == "org/m:1");
    CHECK(renamed.value().backends[0].url == "unix:/run/a=b.sock");
    CHECK(renamed.value().backends[0].model == "their model#1");

    for (const std::string text : {"", "=", "qwen", "qwen=", "=http://127.0.0.1"}) {
        CAPTURE(text);
        REQUIRE_FALSE(parse_model(text).ok());
        CHECK(parse_model(text).error().message.find("NAME=") != std::string::npos);
    }
}

TEST_CASE("a model's names are ones that a request may carry") {
    const std::string longest(limits::model_name_bytes_max, 'a');
    CHECK(parse_model(longest + "=http://127.0.0.1").ok());
    CHECK_FALSE(parse_model(longest + "a=http://127.0.0.1").ok());
    CHECK_FALSE(parse_model("m=http://127.0.0.1#" + longest + "a").ok());
    // An empty name behind the '#' is a mistake and not "the same".
    CHECK_FALSE(parse_model("m=http://127.0.0.1#").ok());
    CHECK_FALSE(parse_model("m=#x").ok());
    // A line end in a name would end a part of a form, or a line of the log.
    CHECK_FALSE(parse_model("a\nb=http://127.0.0.1").ok());
    CHECK_FALSE(parse_model("m=http://127.0.0.1#a\r\nb").ok());
    CHECK_FALSE(parse_model("m=http://127.0.0.1#a\x7f").ok());
}

TEST_CASE("an alias is a name for another one") {
    const auto alias = parse_alias("gpt-4o-mini=qwen=small");
    REQUIRE(alias.ok());
    CHECK(alias.value().alias == "gpt-4o-mini");
    CHECK(alias.value().model == "qwen=small");
    for (const std::string text : {"", "=", "a", "a=", "=b", "a\nb=c"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_alias(text).ok());
    }
    CHECK_FALSE(parse_alias(std::string(300, 'a') + "=b").ok());
}

TEST_CASE("the defaults are those of the documentation") {
    const Settings settings;
    CHECK(settings.listen == std::vector<ListenSetting>{{"127.0.0.1:8642"}});
    CHECK(settings.shards == 1);
    CHECK(settings.body_bytes_max == 64 * limits::MiB);
    CHECK(settings.connections_max == 20'000);
    CHECK(settings.connections_per_client_max == 10'000);
    CHECK(settings.buffer_memory == 256 * limits::MiB);
    CHECK(settings.discover);
    CHECK_FALSE(settings.half_close_tolerated);
    CHECK_FALSE(settings.insecure_listen);
    CHECK(settings.access_log == "stderr");
    // Below the time after which llama-server closes a connection that is idle.
    CHECK(settings.pool_idle < Duration::seconds(5));
    CHECK(settings.timeouts.head == Duration::seconds(10));
    CHECK(settings.timeouts.drain == Duration::seconds(30));
    CHECK(settings.model_timeouts.connect == Duration::seconds(1));
    CHECK(settings.model_timeouts.queue == Duration::seconds(60));
    CHECK(settings.model_timeouts.load == Duration::seconds(300));
    CHECK(settings.model_timeouts.first_byte == Duration::seconds(900));
    CHECK(settings.model_timeouts.gap == Duration::seconds(900));
    CHECK(settings.model_timeouts.silence == Duration::seconds(60));
    CHECK(settings.model_timeouts.total == Duration{});
    CHECK(settings.model_breaker.failures == 3);
    CHECK(settings.model_breaker.hard_open == Duration::seconds(1800));
    CHECK(settings.model_health.interval == Duration::seconds(2));
    CHECK(settings.model_queue.length == 128);
    CHECK(settings.default_model.empty());
}
