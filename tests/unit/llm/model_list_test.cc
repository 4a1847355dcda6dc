#include "sluice/llm/model_list.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::llm;

namespace {

std::vector<ModelEntry> parse(std::string_view body) {
    Result<std::vector<ModelEntry>> list = parse_model_list(body);
    REQUIRE_MESSAGE(list.ok(), body.substr(0, 200));
    return std::move(list).value();
}

std::string value_of(const ModelEntry& entry, std::string_view name) {
    for (const auto& member : entry.members)
        if (member.name == name) return member.value;
    return {};
}

std::string ids(std::string_view body) {
    std::string text;
    for (const ModelEntry& entry : parse(body))
        text.append(entry.id).append("|");
    return text;
}

}  // namespace

TEST_CASE("OpenAI's list is read, the members of each entry as they were sent") {
    const std::vector<ModelEntry> list = parse(
        R"({"object":"list", "data":[ {"id":"a/b:c", "object":"model","created":17,)"
        R"("owned_by":"vllm","n":1.50e1, "o\u0070":[ 1 ], "p":{"id":"x"},"permission":[{}]} ,)"
        R"({"owned_by":"x","id":"d"}]})");
    REQUIRE(list.size() == 2);
    CHECK(list[0].id == "a/b:c");
    CHECK(list[0].owned_by == "vllm");
    CHECK(list[0].created == 17);
    CHECK(value_of(list[0], "n") == "1.50e1");
    CHECK(value_of(list[0], "op") == "[ 1 ]");
    CHECK(value_of(list[0], "p") == R"({"id":"x"})");
    CHECK(value_of(list[0], "permission").empty());
    CHECK(list[0].members[4].key == R"("o\u0070")");
    CHECK(list[1].id == "d");
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

TEST_CASE("C1: what servers say of a model in their words is known in one form") {
    const auto llama = parse(
        R"({"models":[{"model":"tiny","capabilities":["completion","multimodal"],"digest":"",)"
        R"("details":{"format":"gguf","family":""}}],"data":[{"id":"tiny","owned_by":"llamacpp",)"
        R"("created":1795227815,"architecture":{"input_modalities":["text","image"]},)"
        R"("meta":{"n_ctx":4096,"n_ctx_train":8192,"n_params":1540000000,"size":9,)"
        R"("ftype":"Q8_0"}}]})")[0];
    CHECK(llama.context == 4096);
    CHECK(llama.created == 1795227815);
    CHECK(llama.input_modalities == std::vector<std::string>{"text", "image"});
    CHECK(llama.capabilities == std::vector<std::string>{"completion", "vision"});
    CHECK(llama.parameters == 1540000000);
    CHECK(llama.parameter_size == "1.5B");
    CHECK(llama.quantization == "Q8_0");
    CHECK(llama.size == 9);
    CHECK(llama.format == "gguf");
    CHECK_FALSE(llama.loaded.has_value());

    const auto vllm = parse(R"({"data":[{"id":"a","max_model_len":32768,"parent":null}]})")[0];
    CHECK(vllm.context == 32768);

    const auto studio = parse(
        R"({"data":[{"id":"a","type":"vlm","publisher":"p","arch":"qwen2_vl","quantization":"Q4",)"
        R"("state":"not-loaded","max_context_length":128000},{"id":"b","type":"embeddings",)"
        R"("state":"loaded","loaded_context_length":512,"max_context_length":2048}]})");
    CHECK(studio[0].context == 128000);
    CHECK(studio[0].family == "qwen2_vl");
    CHECK(studio[0].owned_by == "p");
    CHECK(studio[0].loaded == false);
    CHECK(studio[0].input_modalities == std::vector<std::string>{"text", "image"});
    CHECK(studio[1].context == 512);
    CHECK(studio[1].capabilities == std::vector<std::string>{"embedding"});
    CHECK(studio[1].loaded == true);

    const auto ollama = parse(
        R"({"models":[{"name":"t:latest","model":"t:latest","size":7,"digest":"d",)"
        R"("modified_at":"2026-11-20T10:11:12Z","expires_at":"2026-12-01T00:00:00Z","size_vram":5,)"
        R"("details":{"family":"llama","parameter_size":"1B","quantization_level":"F16",)"
        R"("context_length":2048},"capabilities":["tools","thinking","unheard-of"]}]})")[0];
    CHECK(ollama.family == "llama");
    CHECK(ollama.size_vram == 5);
    CHECK(ollama.expires_at == "2026-12-01T00:00:00Z");
    CHECK(ollama.loaded == true);
    CHECK(ollama.context == 2048);
    CHECK(ollama.capabilities == std::vector<std::string>{"tools", "thinking"});

    const auto mistral = parse(
        R"([{"id":"a","name":"A Model","capabilities":{"vision":true,"function_calling":true,)"
        R"("completion_fim":false},"max_context_length":131072}])")[0];
    CHECK(mistral.display_name == "A Model");
    CHECK(mistral.capabilities == std::vector<std::string>{"vision", "tools"});
}

TEST_CASE("C1: what is of no type that it could have is not known") {
    const auto odd = parse(
        R"([{"id":"a","created":"now","owned_by":7,"meta":[],"architecture":"x","capabilities":7,)"
        R"("max_model_len":-1,"context_length":"8k","size":1.5,"details":null,"type":{},)"
        R"("modified_at":"","status":{"value":7},"aliases":{}}])")[0];
    ModelEntry known = odd;
    known.members.clear();
    ModelEntry nothing;
    nothing.id = "a";
    CHECK(known == nothing);
    CHECK(parse(R"([{"id":"a","context_length":99999999999999}])")[0].context == 0);
}

TEST_CASE("C1: entries that differ in the time that they were asked say the same") {
    auto one = parse(R"([{"id":"a","created":5,"x":1}])")[0];
    auto two = parse(R"([{"id":"a","created":6,"x":1}])")[0];
    CHECK(says_the_same(one, two));
    CHECK_FALSE(says_the_same(one, parse(R"([{"id":"a","created":5,"x":2}])")[0]));
    ModelEntry more;
    more.family = "llama";
    more.created = 9;
    describe(one, more);
    CHECK(one.family == "llama");
    CHECK(one.created == 5);
}

TEST_CASE("C2: an old name and a version are texts of some length, or none") {
    CHECK(parse_old_model_name(R"({"name":"tiny"})") == "tiny");
    CHECK(parse_version(R"({"version":"0.17.4"})") == "0.17.4");
    for (const std::string_view body : {"", "{}", "[]", R"({"name":7,"version":[]})", "{"}) {
        CHECK(parse_old_model_name(body).empty());
        CHECK(parse_version(body).empty());
    }
    CHECK(parse_version("{\"version\":\"" + std::string(65, '1') + "\"}").empty());
}
