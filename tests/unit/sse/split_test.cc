// The behaviour suite of the scanner: every stream of the corpus, whole, byte by byte and
// split at every offset, gives the same events and the same bytes.
#include "streams.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace sluice::sse;
using namespace sluice::sse::test;

namespace {

// The streams that have been split once at every offset, and at every pair of close offsets.
template <class Check>
void for_each_split(std::string_view stream, Check&& check) {
    check(std::vector<std::size_t>{});
    check(every_offset(stream));
    for (std::size_t a = 1; a < stream.size(); ++a) {
        check(std::vector{a});
        for (std::size_t b = a + 1; b < std::min(a + 3, stream.size()); ++b) {
            check(std::vector{a, b});
        }
    }
}

// What an event source would dispatch: everything but comments.
std::vector<Seen> without_comments(std::vector<Seen> events) {
    std::erase_if(events, [](const Seen& event) { return event.comment_only; });
    return events;
}

}  // namespace

TEST_CASE("fault 96: every stream gives the same events in every split") {
    for (const std::string& name : stream_names) {
        CAPTURE(name);
        const std::string stream = read_stream("sse_scanner/" + name + ".sse");
        const std::vector<Seen> expected = read_by_reference(stream);
        CHECK(expected.size() > 0);
        bool same = true;
        for_each_split(stream, [&](const std::vector<std::size_t>& cuts) {
            same = same && scan(stream, cuts) == expected;
        });
        CHECK(same);
    }
}

TEST_CASE("JSON lines give the same events in every split, the last one without its end too") {
    const std::string stream =
        "{\"a\":1}\n\n{\"b\":\"\xE2\x80\xA8\\n\"}\r\ndata: no\n: nor\n\r\n{\"c\":3}";
    const auto expected = read_lines_by_reference(stream);
    REQUIRE(expected.size() == 7);
    CHECK(expected.back() == Seen{.data = "{\"c\":3}"});
    bool same = true;
    for_each_split(stream, [&](const std::vector<std::size_t>& cuts) {
        same = same && scan(stream, cuts, Form::json_lines) == expected;
    });
    CHECK(same);
}

TEST_CASE("fault 97: bytes are passed on unchanged in every split") {
    for (const std::string& name : stream_names) {
        CAPTURE(name);
        const std::string stream = read_stream("sse_scanner/" + name + ".sse");
        bool same = true;
        for_each_split(stream, [&](const std::vector<std::size_t>& cuts) {
            same = same && relay(stream, cuts, [](const Event&) { return true; }) == stream;
        });
        CHECK(same);
    }
}

TEST_CASE("fault 103: an event can be cut out at its ends in every split") {
    for (const std::string& name : stream_names) {
        CAPTURE(name);
        const std::string stream = read_stream("sse_scanner/" + name + ".sse");
        std::vector<Seen> events = without_comments(read_by_reference(stream));
        if (events.empty()) continue;
        const Seen victim = events[events.size() / 2];
        std::erase(events, victim);
        bool same = true;
        for_each_split(stream, [&](const std::vector<std::size_t>& cuts) {
            const std::string rest = relay(stream, cuts, [&](const Event& event) {
                return event.comment_only || event.data != victim.data || event.name != victim.name;
            });
            same = same && without_comments(read_by_reference(rest)) == events;
        });
        CHECK(same);
    }
}

TEST_CASE("fault 70: an event can be put in at every end in every split") {
    for (const std::string& name : stream_names) {
        CAPTURE(name);
        const std::string stream = read_stream("sse_scanner/" + name + ".sse");
        const std::vector<Seen> events = without_comments(read_by_reference(stream));
        bool same = true;
        for_each_split(stream, [&](const std::vector<std::size_t>& cuts) {
            std::vector<Seen> seen = without_comments(read_by_reference(
                relay(stream, cuts, [](const Event&) { return true; }, "data: put in\n\n")));
            std::erase(seen, Seen{.data = "put in"});
            same = same && seen == events;
        });
        CHECK(same);
    }
}
