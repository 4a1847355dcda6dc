#include "sluice/cache/answer.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::cache;

TEST_CASE("an answer holds what it was made of, on its own") {
    std::string body = "data: 1\n\ndata: [DONE]\n\n";
    std::string name = "anna";
    const AnswerEvent events[] = {{9, 0}, {23, 1500}};
    const auto answer = Answer::make({.status = 200,
                                      .form = Form::events,
                                      .content_type = "text/event-stream",
                                      .model = "m",
                                      .scope = {ScopeKind::group, name},
                                      .consumer = name,
                                      .usage = {.prompt = 3, .completion = 5, .known = true},
                                      .created = {77}},
                                     body, events);
    body.assign(body.size(), 'x');
    name.assign(name.size(), 'x');
    CHECK(answer->status() == 200);
    CHECK(answer->form() == Form::events);
    CHECK(answer->content_type() == "text/event-stream");
    CHECK(answer->model() == "m");
    CHECK(answer->scope().kind == ScopeKind::group);
    CHECK(answer->scope().name == "anna");
    CHECK(answer->consumer() == "anna");
    CHECK(answer->body() == "data: 1\n\ndata: [DONE]\n\n");
    REQUIRE(answer->events().size() == 2);
    CHECK(answer->events()[1].end == 23);
    CHECK(answer->events()[1].us == 1500);
    CHECK(answer->usage().completion == 5);
    CHECK(answer->created().us == 77);
}

TEST_CASE("an answer of nothing") {
    const auto answer = Answer::make({}, "");
    CHECK(answer->body().empty());
    CHECK(answer->events().empty());
    CHECK(answer->bytes() == Answer::bytes_of({}, 0, 0));
}

TEST_CASE("its size is known before and after") {
    const AnswerEvent events[] = {{1, 0}};
    const AnswerFacts facts{.content_type = "a/b", .model = "mm", .consumer = "cccc"};
    const auto answer = Answer::make(facts, "12345", events);
    CHECK(answer->bytes() == Answer::bytes_of({}, 0, 0) + 3 + 2 + 4 + 5 + sizeof(AnswerEvent));
    CHECK(answer->bytes() == Answer::bytes_of(facts, 5, 1));
}

TEST_CASE("a recorder puts runs and events together") {
    Recorder recorder(100);
    CHECK(recorder.add("data: "));
    CHECK(recorder.add("1\n\n"));
    recorder.end_event({});
    CHECK(recorder.add("data: 2\n\n"));
    recorder.end_event(Duration::millis(2));
    const auto answer = recorder.finish({.form = Form::events});
    CHECK(answer->body() == "data: 1\n\ndata: 2\n\n");
    REQUIRE(answer->events().size() == 2);
    CHECK(answer->events()[0].end == 9);
    CHECK(answer->events()[1].end == 18);
    CHECK(answer->events()[1].us == 2000);
}

TEST_CASE("a time that 32 bits do not hold is the longest that they do") {
    Recorder recorder(10);
    CHECK(recorder.add("x"));
    recorder.end_event(Duration::seconds(100'000));
    CHECK(recorder.finish({})->events()[0].us == 0xFFFFFFFF);
}

TEST_CASE("a recorder gives up what is too long") {
    Recorder recorder(10);
    CHECK(recorder.add("1234567890"));
    CHECK(recorder.body_bytes() == 10);
    CHECK(!recorder.add("1"));
    CHECK(recorder.given_up());
    CHECK(recorder.body_bytes() == 0);
    recorder.end_event({});
    CHECK(!recorder.add(""));
    CHECK(recorder.finish({}) == nullptr);
}
