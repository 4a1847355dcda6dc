#include "sluice/cache/packed_answer.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::cache;

namespace {

std::shared_ptr<const Answer> stream() {
    const AnswerFacts facts{
        .status = 203,
        .form = Form::events,
        .content_type = "text/event-stream",
        .model = "qwen",
        .scope = {ScopeKind::group, "friends"},
        .consumer = "anna",
        .usage = {.prompt = 1ull << 40, .completion = 7, .cached = 3, .cached_known = true},
        .created = {1'700'000'000'000'000},
    };
    const std::vector<AnswerEvent> events{{8, 0}, {16, 4'000'000'000}};
    return Answer::make(facts, "data: 1\ndata: 2\ntail", events);
}

}  // namespace

TEST_CASE("an answer is the same after it was packed") {
    const auto before = stream();
    const auto after = unpack_answer(pack_answer(*before));
    REQUIRE(after != nullptr);
    CHECK(after->status() == 203);
    CHECK(after->form() == Form::events);
    CHECK(after->content_type() == "text/event-stream");
    CHECK(after->model() == "qwen");
    CHECK(after->scope().kind == ScopeKind::group);
    CHECK(after->scope().name == "friends");
    CHECK(after->consumer() == "anna");
    CHECK(after->body() == before->body());
    CHECK(after->usage().prompt == 1ull << 40);
    CHECK(after->usage().completion == 7);
    CHECK(after->usage().cached == 3);
    CHECK(after->usage().cached_known);
    CHECK(!after->usage().known);
    CHECK(!after->usage().completion_known);
    CHECK(after->created().us == 1'700'000'000'000'000);
    REQUIRE(after->events().size() == 2);
    CHECK(after->events()[1].end == 16);
    CHECK(after->events()[1].us == 4'000'000'000);
    CHECK(after->bytes() == before->bytes());
    const auto empty = unpack_answer(pack_answer(*Answer::make({}, "")));
    REQUIRE(empty != nullptr);
    CHECK(empty->body().empty());
    CHECK(empty->status() == 200);
}

TEST_CASE("bytes of no answer are none") {
    const std::string packed = pack_answer(*stream());
    for (std::size_t bytes = 0; bytes < packed.size(); ++bytes)
        CHECK(unpack_answer(packed.substr(0, bytes)) == nullptr);
    CHECK(unpack_answer(packed + "x") == nullptr);
    const auto with = [&packed](std::size_t at, char byte) {
        std::string changed = packed;
        changed[at] = byte;
        return unpack_answer(changed);
    };
    CHECK(with(0, 2) == nullptr);        // another format
    CHECK(with(1, 3) == nullptr);        // a form that there is not
    CHECK(with(3, 3) == nullptr);        // status 971
    CHECK(with(4, 3) == nullptr);        // a scope that there is not
    CHECK(with(41, '\x7F') == nullptr);  // a text that goes beyond the end
}
