#include "sluice/llm/model_list.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::llm;

namespace {

std::vector<ModelEntry> parse(std::string_view body) {
    Result<std::vector<ModelEntry>> list = parse_model_list(body);
    REQUIRE_MESSAGE(list.ok(), body.substr(0, 200));
    for (const ModelEntry& entry : list.value()) {
        const std::string_view raw = entry.raw;
        const Span id = entry.id_value;
        REQUIRE(id.end <= raw.size());
        CHECK(raw[id.begin] == '"');
        CHECK(raw[id.end - 1] == '"');
    }
    return std::move(list).value();
}

std::string ids(std::string_view body) {
    std::string text;
    for (const ModelEntry& entry : parse(body))
        text.append(entry.id).append("|");
    return text;
}

std::string merged(std::string_view body, std::string_view id) {
    const std::vector<ModelEntry> entries = parse(body);
    std::vector<ListedModel> models;
    for (const ModelEntry& entry : entries)
        models.push_back({id, &entry});
    return merged_model_list(models);
}

}  // namespace

TEST_CASE("OpenAI's list is read, each entry as it was sent") {
    const std::vector<ModelEntry> list =
        parse(R"({"object":"list", "data":[ {"id":"a/b:c", "object":"model","created":1,)"
              R"("owned_by":"vllm","n":1.50e1} ,{"owned_by":"x","id":"d"}]})");
    REQUIRE(list.size() == 2);
    CHECK(list[0].id == "a/b:c");
    CHECK(list[0].raw ==
          R"({"id":"a/b:c", "object":"model","created":1,"owned_by":"vllm","n":1.50e1})");
    CHECK(list[0].owned_by == "vllm");
    CHECK(list[1].id == "d");
    CHECK(list[1].raw == R"({"owned_by":"x","id":"d"})");
}

TEST_CASE("llama-server's list is read from `data`, with its aliases") {
    const std::vector<ModelEntry> list = parse(
        R"({"models":[{"name":"other","model":"other"}],"object":"list","data":[{"id":"tiny",)"
        R"("aliases":["tiny","small","small2",7,""],"tags":[],"object":"model","meta":{"n_ctx":1,)"
        R"("id":"inner"},"owned_by":"llamacpp"}]})");
    REQUIRE(list.size() == 1);
    CHECK(list[0].id == "tiny");
    CHECK(list[0].owned_by == "llamacpp");
    CHECK(list[0].aliases == std::vector<std::string>{"small", "small2"});
}

TEST_CASE("Ollama's tags and bare arrays are read") {
    CHECK(ids(R"({"models":[{"name":"llama3:8b","model":"llama3:8b","size":1},{"name":"x"}]})") ==
          "llama3:8b|x|");
    CHECK(ids(R"([{"id":"a"},{"id":"b"}])") == "a|b|");
    const std::vector<ModelEntry> list = parse(R"({"models":[{"name":"q\"x"}]})");
    REQUIRE(list.size() == 1);
    CHECK(list[0].raw == R"({"id":"q\"x","object":"model"})");
}

TEST_CASE("entries without a usable id are left out") {
    CHECK(ids(R"({"data":[{"id":""},{"id":7},{},{"id":null},7,"x",[{"id":"no"}],null,)"
              R"({"id":"ok"}]})") == "ok|");
    CHECK(ids(R"({"data":[{"id":"a\nb"},{"id":"a\u0000"},{"id":"ok"}]})") == "ok|");
    CHECK(ids(R"({"data":[{"id":"a"},{"id":"a","x":1},{"id":"b"}]})") == "a|b|");
    CHECK(ids(R"({"data":[{"id":"a","id":"b"},{"i\u0064":"c","id":"d"},{"id":"ok"}]})") == "ok|");
    CHECK(ids("{\"data\":[{\"id\":\"" + std::string(limits::model_name_bytes_max + 1, 'x') +
              "\"},{\"id\":\"ok\"}]}") == "ok|");
    CHECK(ids(R"({"data":[]})") == "");
    CHECK(ids(R"({"data":[],"models":[{"name":"x"}]})") == "");
    CHECK(ids(R"({"x":[{"id":"no"}],"data":[{"id":"ok"}],"y":[{"id":"no"}]})") == "ok|");
}

TEST_CASE("what is no list is the backend's error") {
    for (const std::string body : {
             "",
             "<html>",
             "{}",
             "null",
             "7",
             "\"x\"",
             R"({"data":null})",
             R"({"data":{"id":"a"}})",
             R"({"error":{"message":"x"}})",
             R"({"data":[{"id":"a"})",
             R"({"data":[{"id":"a"}]}x)",
             R"({"data":[],"data":[]})",
             "{\"data\":[{\"id\":\"\xFF\"}]}",
             R"({"a":{"data":[]}})",
         }) {
        CAPTURE(body);
        const Result<std::vector<ModelEntry>> list = parse_model_list(body);
        REQUIRE_FALSE(list.ok());
        CHECK(list.error().source == Source::backend);
        CHECK(list.error().status == 502);
    }
}

TEST_CASE("fault 115: a list has limits") {
    std::string body = "{\"data\":[";
    for (std::size_t i = 0; i + 1 < model_list_entries_max; ++i) {
        body.append("{\"id\":\"m").append(std::to_string(i)).append("\"},");
    }
    CHECK(parse(body + "{}]}").size() == model_list_entries_max - 1);
    CHECK_FALSE(parse_model_list(body + "{},{}]}").ok());
    CHECK_FALSE(parse_model_list(std::string(model_list_bytes_max + 1, ' ')).ok());
    std::string aliases = R"({"data":[{"id":"m","aliases":[)";
    for (int i = 0; i < 100; ++i)
        aliases.append("\"a").append(std::to_string(i)).append("\",");
    CHECK(parse(aliases + "\"x\"]}]}")[0].aliases.size() == model_aliases_max);
}

TEST_CASE("the merged list holds the backends' entries, renamed where they differ") {
    CHECK(merged_model_list({}) == R"({"object":"list","data":[]})");
    const std::string body = R"({"data":[{"x":[1.50], "id" : "a\u0062" ,"y":{"id":"z"}}]})";
    CHECK(merged(body, "ab") ==
          R"({"object":"list","data":[{"x":[1.50], "id" : "a\u0062" ,"y":{"id":"z"}}]})");
    CHECK(merged(body, "new\"name") ==
          R"({"object":"list","data":[{"x":[1.50], "id" : "new\"name" ,"y":{"id":"z"}}]})");
    CHECK(merged(R"({"data":[{"id":"a"},{"id":"b"}]})", "n") ==
          R"({"object":"list","data":[{"id":"n"},{"id":"n"}]})");
    const ModelEntry entry = parse(R"([{"id":"a","k":1}])")[0];
    CHECK(listed_model({"a", &entry}) == R"({"id":"a","k":1})");
    CHECK(listed_model({"b", &entry}) == R"({"id":"b","k":1})");
}

TEST_CASE("the slots of a llama-server are read from its properties") {
    Result<ServerProps> props =
        parse_server_props(R"({"default_generation_settings":{"n_ctx":4096},"total_slots":4})");
    REQUIRE(props.ok());
    CHECK(props->total_slots == 4u);
    CHECK_FALSE(props->router);
    props = parse_server_props(R"({"role":"router","max_instances":2})");
    REQUIRE(props.ok());
    CHECK_FALSE(props->total_slots.has_value());
    CHECK(props->router);
    for (const std::string value : {"-1", "1.5", "\"4\"", "null", "99999999"}) {
        props = parse_server_props("{\"total_slots\":" + value + "}");
        REQUIRE(props.ok());
        CHECK_FALSE(props->total_slots.has_value());
    }
    for (const std::string body : {"", "[]", "4", "{", "<html>"}) {
        const Result<ServerProps> bad = parse_server_props(body);
        REQUIRE_FALSE(bad.ok());
        CHECK(bad.error().source == Source::backend);
    }
}

TEST_CASE("R12: slots at work are counted, and what does not tell is not zero") {
    CHECK(count_busy_slots("[]").value() == 0);
    CHECK(count_busy_slots(R"([{"id":0,"is_processing":false},{"id":1,"is_processing":true},)"
                           R"({"is_processing":true,"next_token":[{"n_remain":3}]}])")
              .value() == 2);
    for (const std::string_view body :
         {"", "{}", "[", R"([{"id":0}])", R"([{"is_processing":1}])", "[1]", "null"}) {
        CAPTURE(body);
        CHECK_FALSE(count_busy_slots(body).ok());
    }
}
