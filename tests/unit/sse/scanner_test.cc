#include "sluice/sse/scanner.h"

#include "allocations.h"
#include "streams.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::sse;
using namespace sluice::sse::test;

namespace {

Seen data(std::string text, std::string name = "") {
    return {std::move(text), std::move(name)};
}
Seen comment() {
    return {.comment_only = true};
}

std::vector<Seen> scan_whole(std::string_view stream) {
    return scan(stream, {});
}

}  // namespace

TEST_CASE("an event in one run is looked at in place") {
    Scanner scanner;
    Event event;
    const std::string_view run = "data: {\"a\":1}\n\nevent: x\ndata:2\n\n";
    REQUIRE(scanner.next(run, 0, event));
    CHECK(event.data == "{\"a\":1}");
    CHECK(event.data.data() == run.data() + 6);
    CHECK(event.end == 15);
    REQUIRE(scanner.next(run, event.end, event));
    CHECK(event.data == "2");
    CHECK(event.name == "x");
    CHECK(event.data.data() > run.data());
    CHECK(event.end == run.size());
    CHECK_FALSE(scanner.next(run, event.end, event));
    CHECK(scanner.at_boundary());
}

TEST_CASE("an event is pending until its empty line") {
    Scanner scanner;
    Event event;
    CHECK(scanner.at_boundary());
    CHECK_FALSE(scanner.next("data: a", 0, event));
    CHECK_FALSE(scanner.at_boundary());
    CHECK_FALSE(scanner.next("b\n", 0, event));
    CHECK_FALSE(scanner.at_boundary());
    REQUIRE(scanner.next("\ndata: c", 0, event));
    CHECK(event.data == "ab");
    CHECK(event.end == 1);
    CHECK_FALSE(scanner.next("\ndata: c", 1, event));
    CHECK_FALSE(scanner.at_boundary());
}

TEST_CASE("an empty run changes nothing") {
    Scanner scanner;
    Event event;
    CHECK_FALSE(scanner.next("", 0, event));
    CHECK(scanner.at_boundary());
    CHECK_FALSE(scanner.next("data: a\n", 0, event));
    CHECK_FALSE(scanner.next("", 0, event));
    CHECK_FALSE(scanner.at_boundary());
    REQUIRE(scanner.next("\n", 0, event));
    CHECK(event.data == "a");
}

TEST_CASE("fault 98: LF, CRLF, CR and any mix of them end lines") {
    const std::vector<Seen> expected{data("a"), data("b")};
    CHECK(scan_whole("data: a\n\ndata: b\n\n") == expected);
    CHECK(scan_whole("data: a\r\n\r\ndata: b\r\n\r\n") == expected);
    CHECK(scan_whole("data: a\r\rdata: b\r\r") == expected);
    CHECK(scan_whole("data: a\n\r\ndata: b\r\n\n") == expected);
    CHECK(scan_whole("data: a\r\n\rdata: b\n\r") == expected);
    // CR LF is one line end, LF CR are two.
    CHECK(scan_whole("data: a\n\rdata: b\r\n\r\n") == expected);
    CHECK(scan_whole("data: a\r\ndata: b\r\n\r\n") == std::vector{data("a\nb")});
}

TEST_CASE("fault 98: comments, id, retry and unknown fields carry no data") {
    CHECK(scan_whole(":\n\n") == std::vector{comment()});
    CHECK(scan_whole("\n") == std::vector{comment()});
    CHECK(scan_whole(": ping\n:\n\n") == std::vector{comment()});
    CHECK(scan_whole("id: 3\n\n") == std::vector{data("")});
    CHECK(scan_whole("retry: 3\n\n") == std::vector{data("")});
    CHECK(scan_whole("event: ping\n\n") == std::vector{data("", "ping")});
    CHECK(scan_whole("datax: 3\ndat: 4\n\n") == std::vector{data("")});
    CHECK(scan_whole(": c\nid: 3\ndata: x\n\n") == std::vector{data("x")});
}

TEST_CASE("R8: a field by the name of error, without data, is an event by that name") {
    const Seen error = data("{\"code\":503}", "error");
    CHECK(scan_whole("error: {\"code\":503}\n\n") == std::vector{error});
    CHECK(scan_whole("error:{\"code\":503}\r\n\r\n") == std::vector{error});
    CHECK(scan_whole("event: x\nerror: {\"code\":503}\n: c\n\n") == std::vector{error});
    CHECK(scan("error: {\"code\":503}\n\n", {3, 9, 20}) == std::vector{error});
    CHECK(scan_whole("error: 1\ndata: 2\n\n") == std::vector{data("2")});
    CHECK(scan_whole("error:\n\nerrors: 1\n\n") == std::vector{data(""), data("")});
}

TEST_CASE("fault 98: several data lines are joined, blank ones count") {
    CHECK(scan_whole("data: a\ndata:b\ndata:  c\n\n") == std::vector{data("a\nb\n c")});
    CHECK(scan_whole("data\ndata\n\n") == std::vector{data("\n")});
    CHECK(scan_whole("data:\n\n") == std::vector{data("")});
    CHECK(scan_whole("data: a\nevent: n\ndata: b\n\n") == std::vector{data("a\nb", "n")});
    CHECK(scan("data: a\nevent: n\ndata: b\n\n", {9, 14}) == std::vector{data("a\nb", "n")});
}

TEST_CASE("fault 98: a byte order mark may stand at the start, and only there") {
    CHECK(scan_whole("\xEF\xBB\xBF"
                     "data: a\n\n") == std::vector{data("a")});
    CHECK(scan_whole("\xEF\xBB\xBF\n") == std::vector{comment()});
    CHECK(scan_whole("data: a\n\n\xEF\xBB\xBF"
                     "data: b\n\n") == std::vector{data("a"), data("")});
    CHECK(scan_whole("\xEF\xBB"
                     "data: a\n\n") == std::vector{data("")});
    CHECK(scan("\xEF\xBB"
               "data: a\n\n",
               {1, 2}) == std::vector{data("")});
}

TEST_CASE("fault 99: U+2028, escaped line ends and NUL are data") {
    const std::string text =
        std::string("{\"t\":\"\\n\\n \xE2\x80\xA8 \xC2\x85") + '\0' + "\x0B\x0C\"}";
    CHECK(scan_whole("data: " + text + "\n\n") == std::vector{data(text)});
}

TEST_CASE("fault 100: an event beyond the limit is only delimited, in any split") {
    const std::string big(limits::sse_event_bytes_max, 'x');
    const std::string stream = "data: a\n\ndata: " + big + "\n\ndata: b\n\n";
    const std::vector<Seen> expected{data("a"), {.oversized = true}, data("b")};
    CHECK(scan_whole(stream) == expected);
    CHECK(scan(stream, {1, 4000, 8000, 60000}) == expected);
    CHECK(scan(stream, {stream.size() - 10}) == expected);
    std::vector<std::size_t> cuts;
    for (std::size_t at = 4096; at < stream.size(); at += 4096)
        cuts.push_back(at);
    CHECK(scan(stream, cuts) == expected);
}

TEST_CASE("fault 100: an event of just the limit is read, in any split") {
    const std::string big(limits::sse_event_bytes_max - 7, 'x');
    const std::string stream = "data: " + big + "\n\n";
    const std::vector<Seen> expected{data(big)};
    CHECK(scan_whole(stream) == expected);
    for (const std::size_t cut :
         {std::size_t{1}, stream.size() / 2, stream.size() - 2, stream.size() - 1}) {
        CHECK(scan(stream, {cut}) == expected);
    }
    CHECK(scan("data: x" + big + "\n\n", {}) == std::vector<Seen>{{.oversized = true}});
    CHECK(scan("data: x" + big + "\n\n", {stream.size()}) ==
          std::vector<Seen>{{.oversized = true}});
}

TEST_CASE("fault 100: a thousand events in one run") {
    std::string stream;
    for (int i = 0; i < 1000; ++i)
        stream += "data: " + std::to_string(i) + "\n\n";
    const std::vector<Seen> events = scan_whole(stream);
    REQUIRE(events.size() == 1000);
    CHECK(events.front() == data("0"));
    CHECK(events.back() == data("999"));
}

TEST_CASE("an empty line that ends with CR ends its event at once") {
    Scanner scanner;
    Event event;
    REQUIRE(scanner.next("data: a\r\n\r", 0, event));
    CHECK(event.data == "a");
    CHECK(event.end == 10);
    CHECK(scanner.at_boundary());
    // The other half of the CRLF is no event of its own, and nothing is pending after it.
    CHECK_FALSE(scanner.next("\n", 0, event));
    CHECK(scanner.at_boundary());
    REQUIRE(scanner.next("\n", 0, event));
    CHECK(event.comment_only);
}

TEST_CASE("the half of a CRLF at the begin of a run belongs to the next event") {
    Scanner scanner;
    Event event;
    REQUIRE(scanner.next("data: a\r\r", 0, event));
    REQUIRE(scanner.next("\ndata: b\n\n", 0, event));
    CHECK(event.data == "b");
    CHECK(event.end == 10);
}

TEST_CASE("events in one run cost no allocation") {
    Scanner scanner;
    Event event;
    const std::string run = "data: {\"a\":1}\n\nevent: x\ndata: 2\n\n: ping\n\n";
    const std::size_t before = sluice::test::allocations().count;
    std::size_t events = 0;
    for (int i = 0; i < 100; ++i) {
        for (std::size_t at = 0; scanner.next(run, at, event); at = event.end)
            ++events;
    }
    CHECK(sluice::test::allocations().count == before);
    CHECK(events == 300);
}

TEST_CASE("small events that straddle runs cost no allocation after the first ones") {
    Scanner scanner;
    Event event;
    const std::string text(200, 'x');
    const std::string runs[] = {"data: " + text, text + "\n\ndata: " + text};
    CHECK_FALSE(scanner.next(runs[0], 0, event));
    std::size_t before = 0;
    for (int i = 0; i < 100; ++i) {
        if (i == 10) before = sluice::test::allocations().count;
        REQUIRE(scanner.next(runs[1], 0, event));
        CHECK(event.data.size() == 400);
        CHECK_FALSE(scanner.next(runs[1], event.end, event));
    }
    CHECK(sluice::test::allocations().count == before);
}

TEST_CASE("R10: what has no empty line behind it is told at the end, in any split") {
    struct Case {
        std::string_view stream;
        std::string_view data;
        std::string_view name;
        bool comment_only;
    };
    const Case cases[] = {
        {"data: [DONE]", "[DONE]", "", false},
        {"data: [DONE]\n", "[DONE]", "", false},
        {"data: [DONE] \r\n", "[DONE] ", "", false},
        {"data: [DONE]\r", "[DONE]", "", false},
        {"data: a\n\nevent: x\ndata: b\ndata: c\n", "b\nc", "x", false},
        {"data: a\n\n: waits", "", "", true},
        {"da", "", "", false},
    };
    for (const Case& c : cases) {
        CAPTURE(c.stream);
        for (std::size_t cut = 0; cut <= c.stream.size(); ++cut) {
            Scanner scanner;
            Event event;
            for (const auto run : {c.stream.substr(0, cut), c.stream.substr(cut)}) {
                for (std::size_t at = 0; scanner.next(run, at, event); at = event.end) {
                }
            }
            REQUIRE(scanner.finish(event));
            CHECK(event.data == c.data);
            CHECK(event.name == c.name);
            CHECK(event.comment_only == c.comment_only);
            CHECK_FALSE(scanner.finish(event));
        }
    }
    Scanner scanner;
    Event event;
    CHECK(scanner.next("data: a\n\n", 0, event));
    CHECK_FALSE(scanner.next("data: a\n\n", event.end, event));
    CHECK_FALSE(scanner.finish(event));
}

TEST_CASE("a JSON line that is too long is only delimited, however it comes") {
    const std::string line(limits::sse_event_bytes_max + 1, 'x');
    const std::string stream = "{}\n" + line + "\n{}\n" + line;
    const auto expected = read_lines_by_reference(stream);
    REQUIRE(expected.size() == 4);
    CHECK(expected[1].oversized);
    for (const std::size_t cut : {std::size_t{1}, std::size_t{3}, std::size_t{1000}, line.size()})
        CHECK(scan(stream, {cut}, Form::json_lines) == expected);
}

TEST_CASE("fault 61: a scanner that stands between events keeps no memory to speak of") {
    static_assert(sizeof(Scanner) <= 80);
    Scanner scanner;
    Event event;
    const std::string first = "data: a\ndata: " + std::string(30'000, 'x');
    const std::size_t before = sluice::test::allocations().live_bytes;
    CHECK_FALSE(scanner.next(first, 0, event));
    REQUIRE(scanner.next("\n\n", 0, event));
    CHECK(event.data.size() == 30'002);
    CHECK_FALSE(scanner.next("\n\n", 2, event));
    CHECK(sluice::test::allocations().live_bytes - before <= 2 * 1024);
}

TEST_CASE("whether the last bytes of a stream end an event") {
    for (const std::string_view text :
         {"x\n\n", "\n\n", "x\r\n\r\n", "x\n\r\n", "x\r\r", "x\r\n\r", "x\n\r"}) {
        CAPTURE(text);
        CHECK(ends_event(text, Form::event_stream));
        CHECK(ends_event(text, Form::json_lines));
    }
    for (const std::string_view text : {"", "x", "\n", "x\n", "x\r\n", "\r\n", "x\n\nx", "\r"}) {
        CAPTURE(text);
        CHECK_FALSE(ends_event(text, Form::event_stream));
        CHECK(ends_event(text, Form::json_lines) == (text.ends_with('\n') || text.ends_with('\r')));
    }
}
