#include "sluice/proxy/record.h"

#include "loop_rig.h"
#include "sluice/llm/body_reader.h"
#include "sluice/proxy/exchange.h"
#include "sluice/proxy/service.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace sluice;
using namespace sluice::proxy;
using namespace sluice::test;

namespace {

struct NoLog final : LineSink {
    void write(std::string_view) override {}
};

struct RecordRig : LoopRig {
    RecordRig() : service(loop, settings, log, 1), exchange(service) {
        exchange.id = "req_1";
        exchange.method_text = "POST";
        exchange.path = "/v1/chat/completions";
        exchange.begun = Instant{5'000'000};
        exchange.begun_wall = WallTime{1'700'000'000'000'042};
        exchange.status = 200;
        exchange.end = End::ok;
    }
    std::string line(std::string_view client = "127.0.0.1") {
        return std::string(writer.write(exchange, Instant{25'000'999}, client));
    }
    // One line, one JSON object.
    void check_form(const std::string& text) {
        CHECK(std::ranges::count(text, '\n') == 1);
        CHECK(text.back() == '\n');
        llm::BodyReader reader;
        reader.feed(text);
        const auto facts = reader.finish();
        CHECK_MESSAGE(facts.ok(), (facts.ok() ? "" : facts.error().message));
    }

    config::Settings settings;
    NoLog log;
    Service service;
    Exchange exchange;
    RecordWriter writer;
};

}  // namespace

TEST_SUITE("kernel") {
    TEST_CASE("a request that never reached a backend has a short line") {
        RecordRig rig;
        const std::string text = rig.line();
        CHECK(text == R"({"time":"2023-11-14T22:13:20.000042Z","id":"req_1","client":"127.0.0.1",)"
                      R"("method":"POST","path":"/v1/chat/completions","status":200,"bytes_in":0,)"
                      R"("bytes_out":0,"duration_us":20000,"stream":false,"end":"ok"})"
                      "\n");
        rig.check_form(text);
    }

    TEST_CASE("a line says all there is to say about a request") {
        RecordRig rig;
        upstream::Model model;
        model.name = "qwen";
        const upstream::Target target{endpoint_of("http://127.0.0.1:1"), "up", {}};
        rig.exchange.model = &model;
        rig.exchange.target = &target;
        rig.exchange.bytes_in = 10;
        rig.exchange.bytes_out = 20;
        rig.exchange.usage = {
            .prompt = 3, .completion = 2, .cached = 1, .cached_known = true, .known = true};
        rig.exchange.first_byte = Instant{6'500'000};
        rig.exchange.streamed = true;
        rig.exchange.retries = 1;
        rig.exchange.end = End::backend_error;
        rig.exchange.error = "it broke";
        const std::string text = rig.line("::1");
        CHECK(text.ends_with(
            R"("model":"qwen","backend":"http://127.0.0.1:1","status":200,"bytes_in":10,)"
            R"("bytes_out":20,"prompt_tokens":3,"completion_tokens":2,"cached_tokens":1,)"
            R"("ttft_us":1500,"duration_us":20000,"stream":true,"retries":1,)"
            R"("end":"backend_error","error":"it broke"})"
            "\n"));
        rig.check_form(text);
    }

    TEST_CASE("T3: the name that was asked for, and the labels of the backend") {
        RecordRig rig;
        upstream::Model model;
        model.name = "qwen";
        upstream::Target target{endpoint_of("http://127.0.0.1:1"), "up", {}};
        rig.exchange.asked = "gpt-4o";
        rig.exchange.model = &model;
        rig.exchange.target = &target;
        target.setting.labels = {{"a", "b\"c"}, {"d", ""}};
        CHECK(rig.line().find(R"("asked":"gpt-4o","model":"qwen","backend":"http://127.0.0.1:1",)"
                              R"("labels":{"a":"b\"c","d":""},"status":200)") != std::string::npos);
        rig.check_form(rig.line());
        // What does not fit is left out, whole labels.
        target.setting.labels = {{"a", std::string(1000, '\x01')}, {"b", std::string(100, 'x')}};
        CHECK(rig.line().find("\"b\":") == std::string::npos);
        rig.check_form(rig.line());
    }

    TEST_CASE("tokens that were estimated are marked") {
        RecordRig rig;
        rig.exchange.usage = {.prompt = 0, .completion = 2};
        CHECK(rig.line().find("tokens") == std::string::npos);
        rig.exchange.usage_estimated = true;
        // Nobody told of cached ones: that is unknown, and not 0.
        CHECK(rig.line().find(R"("completion_tokens":2,"tokens_estimated":true)") !=
              std::string::npos);
        rig.check_form(rig.line());
    }

    TEST_CASE("fault 148: what a client wrote can neither end the line nor command a terminal") {
        RecordRig rig;
        for (const std::string_view text :
             {std::string_view("a\"b\\c"), std::string_view("a\r\nb: c"),
              std::string_view("\x1b[31m"), std::string_view("a\0b", 3),
              std::string_view("\xff\xfe\xc3"), std::string_view("%s%n"),
              std::string_view("\xE2\x82\xAC")}) {
            CAPTURE(text);
            rig.exchange.path = text;
            rig.exchange.error = text;
            rig.exchange.id = text;
            const std::string line = rig.line(text);
            rig.check_form(line);
            CHECK(line.find('\x1b') == std::string::npos);
            CHECK(std::ranges::all_of(line.substr(0, line.size() - 1), [](char c) {
                return static_cast<unsigned char>(c) >= 0x20;
            }));
        }
    }

    TEST_CASE("fault 148: DEL and C1 are escaped, the letters beside them are not") {
        RecordRig rig;
        const auto path_in = [&](std::string_view path) {
            rig.exchange.path = path;
            const std::string text = rig.line();
            rig.check_form(text);
            const std::size_t begin = text.find("\"path\":\"") + 8;
            return text.substr(begin, text.find("\",\"status\"") - begin);
        };
        CHECK(path_in("a\x7f!") == "a\\u007f!");
        CHECK(path_in("\xC2\x9B[31m") == "\\u009b[31m");
        for (int c = 0x80; c < 0xA0; ++c) {
            const std::string letter{'\xC2', static_cast<char>(c)};
            constexpr std::string_view digits = "0123456789abcdef";
            CHECK(path_in(letter) == std::string("\\u00") + digits[c >> 4] + digits[c & 15]);
        }
        CHECK(path_in("~\xC2\xA0\xC3\x9B") == "~\xC2\xA0\xC3\x9B");  // U+00A0, U+00DB
        CHECK(path_in("\x9B[31m") == "\xEF\xBF\xBD[31m");            // no UTF-8 by itself
        // The cut leaves the half of one.
        const std::string long_text = std::string(1023, 'x') + "\xC2\x9B";
        CHECK(path_in(long_text) == std::string(1023, 'x') + "\xEF\xBF\xBD");
    }

    TEST_CASE("fault 148: every text of a line is escaped, and the longest line fits") {
        for (const std::string& unit :
             {std::string("\x7f"), std::string("\xC2\x9B"), std::string("\x1b")}) {
            RecordRig rig;
            std::string text;
            while (text.size() < 1024)
                text += unit;
            upstream::Model model;
            model.name = text;
            auto endpoint = std::make_shared<upstream::Endpoint>();  // shared, as targets are
            endpoint->url = text;
            const upstream::Target target{endpoint, "up", {}};
            rig.exchange.id = rig.exchange.method_text = rig.exchange.path = text;
            rig.exchange.error = text;
            rig.exchange.model = &model;
            rig.exchange.target = &target;
            rig.exchange.bytes_in = rig.exchange.bytes_out = ~std::uint64_t{0} >> 1;
            rig.exchange.usage = {.prompt = ~std::uint64_t{0} >> 1,
                                  .completion = ~std::uint64_t{0} >> 1,
                                  .cached = ~std::uint64_t{0} >> 1};
            rig.exchange.usage_estimated = true;
            rig.exchange.first_byte = Instant{6'500'000};
            rig.exchange.streamed = true;
            rig.exchange.lane = {answer::Lane::splice, "an event is taken out"};
            rig.exchange.retries = ~std::uint32_t{0};
            rig.exchange.end = End::backend_error;
            const std::string line = rig.line(text);
            CHECK(line.find(",\"lane\":\"splice\",\"lane_reason\":\"an event is taken out\",") !=
                  line.npos);
            CHECK(line.ends_with("\"}\n"));
            CHECK(line.find(unit) == std::string::npos);
            const std::string escape = unit == "\x1b"   ? "\\u001b"
                                       : unit == "\x7f" ? "\\u007f"
                                                        : "\\u009b";
            std::size_t found = 0;
            for (std::size_t at = 0; (at = line.find(escape, at)) != line.npos; ++at)
                ++found;
            CHECK(found == 7 * 1024 / unit.size());  // seven texts, none of them lost
        }
    }

    TEST_CASE("texts are cut, wherever that falls, and the longest line fits") {
        RecordRig rig;
        upstream::Model model;
        auto endpoint = std::make_shared<upstream::Endpoint>();  // shared, as targets are
        const upstream::Target target{endpoint, "up", {}};
        for (const std::string& unit : {std::string("\x01"), std::string("\xE2\x82\xAC"),
                                        std::string("x"), std::string("\"")}) {
            std::string text;
            while (text.size() < 3000)
                text += unit;
            rig.exchange.id = rig.exchange.method_text = rig.exchange.path = text;
            rig.exchange.error = endpoint->url = text;
            model.name = std::string(200, 'm');
            rig.exchange.model = &model;
            rig.exchange.target = &target;
            rig.exchange.bytes_in = rig.exchange.bytes_out = ~std::uint64_t{0} >> 1;
            const std::string line = rig.line(text);
            rig.check_form(line);
            CHECK(line.size() < 7 * 6 * 1024 + 2048);
            CHECK(line.ends_with("\"}\n"));
        }
    }

    TEST_CASE("the time follows from line to line") {
        RecordRig rig;
        const auto time_at = [&](std::int64_t us) {
            rig.exchange.begun_wall = WallTime{us};
            return rig.line().substr(9, 27);
        };
        CHECK(time_at(1'700'000'000'000'042) == "2023-11-14T22:13:20.000042Z");
        CHECK(time_at(1'700'000'000'999'999) == "2023-11-14T22:13:20.999999Z");
        CHECK(time_at(1'700'000'001'000'000) == "2023-11-14T22:13:21.000000Z");
        CHECK(time_at(1'709'164'800'000'000) == "2024-02-29T00:00:00.000000Z");
        CHECK(time_at(1'700'000'000'000'042) == "2023-11-14T22:13:20.000042Z");
        CHECK(time_at(0) == "1970-01-01T00:00:00.000000Z");
    }
}
