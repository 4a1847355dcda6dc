#include "sluice/proxy/event_log.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::proxy;

namespace {

struct Lines final : LineSink {
    void write(std::string_view line) override { text += line; }
    std::string text;
};

}  // namespace

TEST_CASE("an event is a line of JSON with the time, its name and its fields in order") {
    Lines log;
    write_event(log, "health",
                {{"backend", "http://127.0.0.1:8081"}, {"state", "down"}, {"cause", ""}});
    // 2025-01-02T03:04:05.000006Z
    constexpr std::string_view form = R"({"time":"dddd-dd-ddTdd:dd:dd.ddddddZ",)";
    REQUIRE(log.text.size() > form.size());
    for (std::size_t i = 0; i < form.size(); ++i) {
        const char c = log.text[i];
        CHECK((form[i] == 'd' ? c >= '0' && c <= '9' : c == form[i]));
    }
    CHECK(log.text.substr(form.size()) ==
          R"("event":"health","backend":"http://127.0.0.1:8081","state":"down","cause":""})"
          "\n");
}

TEST_CASE("an event without fields is a line too, and each is one of its own") {
    Lines log;
    write_event(log, "a", {});
    write_event(log, "b", {});
    CHECK(log.text.find("\"event\":\"a\"}\n{") != std::string::npos);
    CHECK(log.text.ends_with("\"event\":\"b\"}\n"));
}

TEST_CASE("fault 148: whatever a backend says stays within its text") {
    Lines log;
    write_event(log, "health", {{"cause", "a\"b\\c\nd\x1b[31m\x7f\xC2\x9B"}});
    CHECK(log.text.ends_with(R"("cause":"a\"b\\c\nd\u001b[31m\u007f\u009b"})"
                             "\n"));
    CHECK(log.text.find('\n') == log.text.size() - 1);
}
