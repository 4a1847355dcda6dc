#include "answer_reader.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::bench;
using State = AnswerReader::State;

namespace {

constexpr Instant asked{1'000'000};

std::string document(std::string_view body, std::string_view status = "200 OK") {
    return fmt::format(
        "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", status,
        body.size(), body);
}

std::string chunk(std::string_view data) {
    return fmt::format("{:x}\r\n{}\r\n", data.size(), data);
}

std::string event(std::string_view data) {
    return fmt::format("data: {}\n\n", data);
}

std::string text_event(std::string_view text) {
    return event(fmt::format(R"({{"choices":[{{"index":0,"delta":{{"content":"{}"}},)"
                             R"("finish_reason":null}}]}})",
                             text));
}

const std::string role_event =
    event(R"({"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]})");
const std::string stop_event =
    event(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})");
const std::string done_event = event("[DONE]");

std::string stream(const std::vector<std::string>& events) {
    std::string text =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const auto& one : events)
        text += chunk(one);
    return text + "0\r\n\r\n";
}

// Reads one answer, given in runs of `size` bytes, each a millisecond after the one before.
struct Reading {
    Tally tally;
    AnswerReader reader{tally, Duration::seconds(1)};
    State state = State::more;
    Instant now = asked;

    Reading(const std::string& text, Expectation expectation, std::size_t size = SIZE_MAX) {
        reader.begin(expectation, asked);
        for (std::size_t at = 0; at < text.size() && state == State::more; at += size) {
            now = now + Duration::millis(1);
            state = reader.read(std::string_view(text).substr(at, size), now);
        }
    }
};

Failure failure_of(const std::string& text, Expectation expectation) {
    Reading reading(text, expectation);
    if (reading.state == State::more) reading.state = reading.reader.end(reading.now);
    REQUIRE(reading.state == State::failed);
    CHECK(reading.tally.requests == 0);
    CHECK(reading.tally.latency.count() == 0);
    CHECK_FALSE(reading.reader.what().empty());
    return reading.reader.failure();
}

}  // namespace

TEST_CASE("a document is read in any split") {
    const auto text = document(R"({"usage":{"prompt_tokens":7,"completion_tokens":12}})");
    for (const std::size_t size : {1UZ, 2UZ, 7UZ, 64UZ, text.size()}) {
        CAPTURE(size);
        Reading reading(text, {}, size);
        CHECK(reading.state == State::complete);
        CHECK(reading.reader.keep_alive());
        CHECK(reading.tally.requests == 1);
        CHECK(reading.tally.tokens == 12);
        CHECK(reading.tally.statuses.at(200) == 1);
        CHECK(reading.tally.latency.count() == 1);
    }
}

TEST_CASE("the usage at the end of a long document is found") {
    const auto text = document(R"({"data":[")" + std::string(100'000, 'x') +
                               R"("],"usage":{"completion_tokens":99}})");
    for (const std::size_t size : {100UZ, 4096UZ, 200'000UZ}) {
        Reading reading(text, {}, size);
        CHECK(reading.state == State::complete);
        CHECK(reading.tally.tokens == 99);
    }
}

TEST_CASE("interim answers are passed over") {
    Reading reading("HTTP/1.1 103 Early Hints\r\n\r\n" + document("{}"), {});
    CHECK(reading.state == State::complete);
    CHECK(reading.tally.statuses.size() == 1);
}

TEST_CASE("a stream is read in any split: events, tokens, first token, gaps") {
    const auto text =
        stream({role_event, text_event("a"), text_event(" b"), stop_event, done_event});
    for (const std::size_t size : {1UZ, 3UZ, 50UZ, text.size()}) {
        CAPTURE(size);
        Reading reading(text, {.stream = true}, size);
        CHECK(reading.state == State::complete);
        CHECK(reading.tally.requests == 1);
        CHECK(reading.tally.events == 4);
        CHECK(reading.tally.tokens == 2);
        CHECK(reading.tally.gap.count() == 3);
        CHECK(reading.tally.first_token.count() == 1);
    }
}

TEST_CASE("the first token is the first event with text, counted from the request") {
    Tally tally;
    AnswerReader reader(tally, Duration::seconds(1));
    reader.begin({.stream = true}, asked);
    const auto begin = stream({role_event});
    const auto head = begin.substr(0, begin.size() - 5);
    CHECK(reader.read(head, asked + Duration::millis(5)) == State::more);
    CHECK(tally.first_token.count() == 0);
    CHECK(reader.read(chunk(text_event("a")), asked + Duration::millis(30)) == State::more);
    CHECK(tally.first_token.count() == 1);
    CHECK(tally.first_token.max() == 30'000'000);
    CHECK(tally.gap.max() == 25'000'000);
    CHECK(tally.stalls == 0);
    CHECK(reader.read(chunk(text_event("b")), asked + Duration::millis(1'100)) == State::more);
    CHECK(tally.stalls == 1);
}

TEST_CASE("the server's own count of tokens is believed") {
    const auto usage = event(R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}})");
    Reading reading(
        stream({text_event("two tokens"), text_event("three"), stop_event, usage, done_event}),
        {.stream = true});
    CHECK(reading.state == State::complete);
    CHECK(reading.tally.tokens == 5);
}

TEST_CASE("the end marks of other dialects are known") {
    const std::string messages = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    const std::string responses =
        "event: response.completed\ndata: {\"type\":\"response.completed\"}\n\n";
    for (const auto& mark : {messages, responses}) {
        Reading reading(stream({text_event("a"), mark}), {.stream = true});
        CHECK(reading.state == State::complete);
    }
}

TEST_CASE("an answer until the connection closes ends with it") {
    const std::string text =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"a\":1}";
    Reading reading(text, {});
    CHECK(reading.state == State::more);
    CHECK(reading.reader.end(reading.now) == State::complete);
    CHECK_FALSE(reading.reader.keep_alive());
    CHECK(reading.tally.requests == 1);
}

TEST_CASE("what is wrong with an answer is told apart") {
    CHECK(failure_of(document(R"({"error":{}})", "503 Busy"), {}) == Failure::status);
    CHECK(failure_of(document("{\"a\":"), {}) == Failure::bad_json);
    CHECK(failure_of(document("<html>"), {}) == Failure::bad_json);
    CHECK(failure_of("nonsense\r\n\r\n", {}) == Failure::bad_http);
    CHECK(failure_of(document("{}") + "x", {}) == Failure::bad_http);
    CHECK(failure_of(document("{}"), {.stream = true}) == Failure::bad_http);
    CHECK(failure_of(document("{}").substr(0, 70), {}) == Failure::cut_short);
    CHECK(failure_of("", {}) == Failure::cut_short);
}

TEST_CASE("what a server said is shown in part and cannot command a terminal") {
    Reading reading(document("\x1b[2J\x7f{" + std::string(5000, 'x'), "500 Broken"), {});
    CHECK(reading.state == State::failed);
    CHECK(reading.reader.what().size() < 300);
    for (const char c : reading.reader.what())
        CHECK(static_cast<unsigned char>(c) >= 0x20);
}

TEST_CASE("what is wrong with a stream is told apart") {
    const auto of = [](const std::vector<std::string>& events) {
        return failure_of(stream(events), {.stream = true});
    };
    CHECK(of({text_event("a"), stop_event}) == Failure::no_end);
    CHECK(of({text_event("a"), done_event, text_event("b")}) == Failure::bad_order);
    CHECK(of({text_event("a"), done_event, done_event}) == Failure::bad_order);
    CHECK(of({text_event("a"), stop_event, text_event("b"), done_event}) == Failure::bad_order);
    CHECK(of({event("{\"choices\":[}")}) == Failure::bad_json);
    CHECK(of({event(R"({"error":{"message":"broke off"}})")}) == Failure::error_event);
    const auto cut = stream({text_event("a")});
    CHECK(failure_of(cut.substr(0, cut.size() - 5), {.stream = true}) == Failure::cut_short);
}

TEST_CASE("stamped events must come in sequence, and tell how long they were under way") {
    const auto stamped = [](std::int64_t sent_ns, int number) {
        return event(fmt::format(R"({{"t":{},"n":{},"choices":[{{"delta":{{"content":"x"}}}}]}})",
                                 1'000'000'000'000'000'000 + sent_ns, 1'000'000 + number));
    };
    const Expectation expectation{.stream = true, .stamped = true};
    // The run arrives a millisecond after it was asked for.
    Reading good(stream({stamped(asked.ns + 400'000, 0), stamped(asked.ns + 900'000, 1), stop_event,
                         done_event}),
                 expectation);
    CHECK(good.state == State::complete);
    CHECK(good.tally.delay.count() == 2);
    CHECK(good.tally.delay.min() >= 100'000);
    CHECK(good.tally.delay.min() < 100'500);
    CHECK(good.tally.delay.max() >= 600'000);
    CHECK(good.tally.delay.max() < 602'500);

    const auto failure = [&](int first, int second) {
        return failure_of(stream({stamped(asked.ns, first), stamped(asked.ns, second)}),
                          expectation);
    };
    CHECK(failure(0, 2) == Failure::bad_order);
    CHECK(failure(1, 2) == Failure::bad_order);
    CHECK(failure(0, 0) == Failure::bad_order);
    CHECK(failure_of(stream({text_event("no stamp")}), expectation) == Failure::bad_order);
    // From the future: another clock.
    CHECK(failure_of(stream({stamped(asked.ns + 2'000'000, 0)}), expectation) ==
          Failure::bad_order);
}

TEST_CASE("a reader may read one answer after the other") {
    Tally tally;
    AnswerReader reader(tally, Duration::seconds(1));
    reader.begin({.stream = true}, asked);
    CHECK(reader.read(stream({text_event("a"), done_event}), asked) == State::complete);
    reader.begin({}, asked);
    CHECK(reader.silent());
    CHECK(reader.read(document("{}"), asked) == State::complete);
    reader.begin({.stream = true}, asked);
    CHECK(reader.read(stream({text_event("a"), done_event}), asked) == State::complete);
    CHECK(tally.requests == 3);
    CHECK(tally.failed() == 0);
}

namespace {

// The same document as json.dumps of Python writes it, and with more white space than that.
std::string spaced(std::string_view json, std::string_view colon, std::string_view comma) {
    std::string out;
    bool within = false;
    for (std::size_t i = 0; i < json.size(); ++i) {
        if (json[i] == '"' && (i == 0 || json[i - 1] != '\\')) within = !within;
        if (!within && json[i] == ':')
            out += colon;
        else if (!within && json[i] == ',')
            out += comma;
        else
            out += json[i];
    }
    return out;
}

constexpr std::pair<const char*, const char*> spellings[] = {
    {":", ","}, {": ", ", "}, {"\t:  ", " , "}};

}  // namespace

TEST_CASE("white space in a server's JSON changes nothing that is read of it") {
    for (const auto& [colon, comma] : spellings) {
        CAPTURE(colon);
        const auto data = [&](std::string_view json) { return event(spaced(json, colon, comma)); };
        const auto role = data(R"({"choices":[{"delta":{"role":"assistant","content":""}}]})");
        const auto thought =
            data(R"({"choices":[{"delta":{"content":null,"reasoning_content":"hm"}}]})");
        const auto text =
            data(R"({"choices":[{"delta":{"content":"a \"content\": b"},"finish_reason":null}]})");
        const auto stop = data(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})");
        const auto usage = data(
            R"({"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"more":{"a":1}}})");
        Reading reading(stream({role, thought, text, stop, usage, done_event}), {.stream = true},
                        200);
        CHECK(reading.reader.what() == "");
        CHECK(reading.state == State::complete);
        CHECK(reading.tally.events == 5);
        CHECK(reading.tally.tokens == 7);
        CHECK(reading.tally.first_token.count() == 1);
        CHECK(failure_of(stream({role, stop, text, done_event}), {.stream = true}) ==
              Failure::bad_order);
        CHECK(failure_of(stream({role, data(R"({"error":{"message":"no"}})"), done_event}),
                         {.stream = true}) == Failure::error_event);
        Reading whole(
            document(spaced(R"({"usage":{"input_tokens":1,"output_tokens":12}})", colon, comma)),
            {});
        CHECK(whole.tally.tokens == 12);
    }
}

TEST_CASE("a word that is no member's name, or has no text, is no token") {
    for (const char* json :
         {R"({"type":"content","x":"y"})", R"({"content":""})", R"({"content":null})",
          R"({"content":["a"]})", R"({"content":{}})", R"({"say":"\"content\":\"x\""})"}) {
        CAPTURE(json);
        Reading reading(stream({event(json), done_event}), {.stream = true});
        CHECK(reading.state == State::complete);
        CHECK(reading.tally.tokens == 0);
        CHECK(reading.tally.first_token.count() == 0);
    }
}

TEST_CASE("what a failed answer said is quoted as valid text, cut between characters") {
    // 200 bytes are quoted: the first sign fits into 198 + 2, into 199 + 2 it does not.
    Reading fits(document(std::string(198, 'x') + "\u00e9\u00e9", "500 Oops"), {});
    CHECK(fits.reader.what() == "status 500: " + std::string(198, 'x') + "\u00e9");
    Reading cut(document(std::string(199, 'x') + "\u00e9\u00e9", "500 Oops"), {});
    CHECK(cut.reader.what() == "status 500: " + std::string(199, 'x'));
    Reading raw(document("a\xff", "500 Oops"), {});
    CHECK(raw.reader.what() == "status 500: a\ufffd");
}
