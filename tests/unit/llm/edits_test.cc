#include "sluice/llm/edits.h"

#include "sluice/llm/multipart.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::llm;

namespace {

RequestFacts read(std::string_view body) {
    BodyReader reader;
    reader.feed(body);
    Result<RequestFacts> facts = reader.finish();
    REQUIRE_MESSAGE(facts.ok(), body);
    return facts.value();
}

// The body after the edits, which must be read as it was meant.
std::string edited(std::string_view body, const EditPlan& plan) {
    const EditList list = plan_edits(BodyKind::json, read(body), plan);
    const std::string result = apply_edits(body, list.edits());
    CHECK(result.size() == list.edited_size(body.size()));
    const RequestFacts facts = read(result);
    if (plan.include_usage) CHECK(asks_for_usage(facts) == can_ask_for_usage(read(body)));
    return result;
}

std::string renamed(std::string_view body, std::string_view model) {
    return edited(body, {.model = model});
}

std::string with_usage(std::string_view body) {
    return edited(body, {.include_usage = true});
}

}  // namespace

TEST_CASE("another model name replaces the value and nothing else") {
    CHECK(renamed(R"({ "model" : "a" , "x":[1] })", "qwen") == R"({ "model" : "qwen" , "x":[1] })");
    CHECK(renamed(R"({"mod\u0065l":"\u0061"})", "b") == R"({"mod\u0065l":"b"})");
    CHECK(renamed(R"({"model":"a"})", "say \"hi\"\\") == R"({"model":"say \"hi\"\\"})");
    CHECK(renamed(R"({"model":""})", "b") == R"({"model":"b"})");
}

TEST_CASE("the same name, or none, is no edit") {
    CHECK(plan_edits(BodyKind::json, read(R"({"model":"a"})"), {.model = "a"}).empty());
    CHECK(plan_edits(BodyKind::json, read(R"({"model":"\u0061"})"), {.model = "a"}).empty());
    CHECK(plan_edits(BodyKind::json, read(R"({"model":"a"})"), {}).empty());
    CHECK(plan_edits(BodyKind::json, read(R"({"x":1})"), {}).empty());
    CHECK(plan_edits(BodyKind::json, read(R"({"model":null})"), {}).empty());
}

TEST_CASE("a body that names no model gets the name put in") {
    CHECK(renamed(R"({"x":1})", "a") == R"({"model":"a","x":1})");
    CHECK(renamed(R"( { "x":{"model":"y"}})", "a") == R"( {"model":"a", "x":{"model":"y"}})");
    CHECK(renamed(R"({})", "a") == R"({"model":"a"})");
    CHECK(renamed(R"( { } )", "a") == R"( {"model":"a" } )");
    CHECK(renamed(R"({"x":1})", "say \"hi\"\\") == R"({"model":"say \"hi\"\\","x":1})");
    CHECK(renamed(R"({"model":null})", "a") == R"({"model":"a"})");
    CHECK(renamed(R"({"x":[null], "mod\u0065l" : null ,"y":null})", "a") ==
          R"({"x":[null], "mod\u0065l" : "a" ,"y":null})");
    // Beside the other edit, wherever that is.
    const EditPlan plan{.model = "a", .include_usage = true};
    CHECK(edited(R"({})", plan) == R"({"model":"a","stream_options":{"include_usage":true}})");
    CHECK(edited(R"({"x":1})", plan) ==
          R"({"model":"a","stream_options":{"include_usage":true},"x":1})");
    CHECK(edited(R"({"model":null})", plan) ==
          R"({"stream_options":{"include_usage":true},"model":"a"})");
    CHECK(edited(R"({"stream_options":null})", plan) ==
          R"({"model":"a","stream_options":{"include_usage":true}})");
    CHECK(edited(R"({"stream_options":{},"model":null})", plan) ==
          R"({"stream_options":{"include_usage":true},"model":"a"})");
    CHECK(edited(R"({"stream_options":{"include_usage":true}})", plan) ==
          R"({"model":"a","stream_options":{"include_usage":true}})");
}

TEST_CASE("what is no JSON body that was read is left alone") {
    const EditPlan plan{.model = "a", .include_usage = true};
    CHECK(plan_edits(BodyKind::json, {}, plan).empty());
    CHECK(plan_edits(BodyKind::multipart, {}, plan).empty());
}

TEST_CASE("fault 103: usage is asked for whatever stream_options said") {
    CHECK(with_usage(R"({})") == R"({"stream_options":{"include_usage":true}})");
    CHECK(with_usage(R"( { } )") == R"( {"stream_options":{"include_usage":true} } )");
    CHECK(with_usage(R"({"a":1})") == R"({"stream_options":{"include_usage":true},"a":1})");
    CHECK(with_usage(R"({ "a":1})") == R"({"stream_options":{"include_usage":true}, "a":1})");
    CHECK(with_usage(R"({"stream_options":null})") ==
          R"({"stream_options":{"include_usage":true}})");
    CHECK(with_usage(R"({"stream_options":{}})") == R"({"stream_options":{"include_usage":true}})");
    CHECK(with_usage(R"({"stream_options": { } })") ==
          R"({"stream_options": {"include_usage":true } })");
    CHECK(with_usage(R"({"stream_options":{"x":[2]}})") ==
          R"({"stream_options":{"include_usage":true,"x":[2]}})");
    CHECK(with_usage(R"({"stream_options":{"include_usage":false}})") ==
          R"({"stream_options":{"include_usage":true}})");
    CHECK(with_usage(R"({"stream_options":{"include_usage" : null ,"x":1}})") ==
          R"({"stream_options":{"include_usage" : true ,"x":1}})");
    CHECK(with_usage(R"({"stream_options":{"include_usage":{"x":1}}})") ==
          R"({"stream_options":{"include_usage":true}})");
}

TEST_CASE("fault 103: a request that asks for usage is left as it is") {
    const std::string body = R"({"stream_options":{"include_usage":true}})";
    CHECK(with_usage(body) == body);
    CHECK(asks_for_usage(read(body)));
    CHECK_FALSE(asks_for_usage(read(R"({"include_usage":true})")));
}

TEST_CASE("stream_options of a wrong type is left for the backend to refuse") {
    for (const std::string value : {"1", "true", "\"x\"", "[]", "[{\"include_usage\":false}]"}) {
        const std::string body = "{\"stream_options\":" + value + "}";
        CHECK_FALSE(can_ask_for_usage(read(body)));
        CHECK(with_usage(body) == body);
    }
}

TEST_CASE("both edits together are sorted by offset") {
    const EditPlan plan{.model = "new", .include_usage = true};
    CHECK(edited(R"({"model":"a","stream":true})", plan) ==
          R"({"stream_options":{"include_usage":true},"model":"new","stream":true})");
    CHECK(edited(R"({"model":"a","stream_options":{}})", plan) ==
          R"({"model":"new","stream_options":{"include_usage":true}})");
    CHECK(edited(R"({"stream_options":{"include_usage":false},"model":"a"})", plan) ==
          R"({"stream_options":{"include_usage":true},"model":"new"})");
    for (const std::string body : {R"({"model":"a"})", R"({"stream_options":null,"model":"a"})",
                                   R"({"model":"a","stream_options":null})"}) {
        const EditList list = plan_edits(BodyKind::json, read(body), plan);
        REQUIRE(list.edits().size() == 2);
        CHECK(list.edits()[0].offset + list.edits()[0].removed <= list.edits()[1].offset);
    }
}

TEST_CASE("a third edit finds its place") {
    for (std::size_t first = 0; first < 3; ++first) {
        EditList list;
        const std::size_t offsets[] = {1, 4, 7};
        for (std::size_t i = 0; i < 3; ++i)
            list.add({offsets[(first + i) % 3], 1, "*"});
        CHECK(apply_edits("abcdefghi", list.edits()) == "a*cd*fg*i");
        CHECK(list.edited_size(9) == 9);
    }
    EditList list;
    for (const std::size_t offset : {7, 4, 1})
        list.add({offset, 2, ""});
    CHECK(apply_edits("abcdefghi", list.edits()) == "adg");
}

TEST_CASE("in a multipart body the name is put in as it is, and usage is not asked for") {
    const std::string body =
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\na\r\n--b--\r\n";
    MultipartReader reader = MultipartReader::create("multipart/form-data; boundary=b").value();
    reader.feed(body);
    const Result<RequestFacts> facts = reader.finish();
    REQUIRE(facts.ok());
    const EditList list = plan_edits(BodyKind::multipart, facts.value(),
                                     {.model = "wh\"isper", .include_usage = true});
    CHECK(apply_edits(body, list.edits()) ==
          "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwh\"isper\r\n--b--\r\n");
}
