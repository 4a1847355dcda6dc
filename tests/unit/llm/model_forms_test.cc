// The lists in each form, from entries that say much and little.
#include "sluice/llm/model_forms.h"

#include "sluice/llm/model_list.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::llm;

namespace {

ModelEntry entry(std::string_view json) {
    auto list = parse_model_list("[" + std::string(json) + "]");
    REQUIRE(list.ok());
    REQUIRE(list->size() == 1);
    return list->front();
}

bool says(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("C1: a list has the members that a server sent, and what clients read beside them") {
    CHECK(openai_list({}) == R"({"object":"list","data":[]})");
    const ModelEntry little = entry(R"({"id":"a"})");
    CHECK(openai_entry({.id = "a", .entry = &little}) ==
          R"({"id":"a","object":"model","created":0,"owned_by":"local"})");
    const ModelEntry much = entry(
        R"({"x":[1.50], "id" : "a\u0062","owned_by":"vllm","max_model_len":8,"y":{"id":"z"}})");
    const std::string said = openai_entry({.id = "new\"name", .entry = &much});
    CHECK(said == R"({"id":"new\"name","object":"model","created":0,"owned_by":"vllm","x":[1.50],)"
                  R"("max_model_len":8,"y":{"id":"z"},"context_length":8,"meta":{"n_ctx":8}})");
    const std::vector<std::string> aliases{"b"};
    CHECK(says(openai_entry({.id = "a", .entry = &little, .aliases = aliases, .context = 4}),
               R"("aliases":["b"],"context_length":4,"max_model_len":4,"meta":{"n_ctx":4}})"));
    // Parsers take what we write, twice over.
    const ModelEntry again = entry(said);
    CHECK(again.id == "new\"name");
    CHECK(openai_entry({.id = again.id, .entry = &again}) == said);
}

TEST_CASE("C1: a server's own meta is kept, and has the context where it has none") {
    for (const auto& [meta, wanted] :
         {std::pair{R"({"n_ctx":5})", R"("meta":{"n_ctx":5})"},
          std::pair{R"({"a":1})", R"("meta":{"n_ctx":9,"a":1})"},
          std::pair{R"({ })", R"("meta":{"n_ctx":9})"}, std::pair{"7", R"("meta":7)"}}) {
        const ModelEntry one = entry(R"({"id":"a","meta":)" + std::string(meta) + "}");
        CHECK(says(openai_entry({.id = "a", .entry = &one, .context = 9}), wanted));
    }
}

TEST_CASE("C1: Anthropic's form has its own type and dates, and pages") {
    const ModelEntry one = entry(R"({"id":"a","type":"llm","created":1795227815,"name":"A"})");
    CHECK(says(anthropic_entry({.id = "a", .entry = &one}),
               R"("type":"model","display_name":"A","created_at":"2026-11-21T02:23:35Z")"));
    CHECK_FALSE(says(anthropic_entry({.id = "a", .entry = &one}), "llm"));
    const ModelEntry words = entry(R"({"id":"a","capabilities":["tools"],"max_tokens":7})");
    const std::string said = anthropic_entry({.id = "a", .entry = &words, .context = 9});
    for (const std::string_view part :
         {R"("capabilities":null,"max_input_tokens":9,"lifecycle":"active","line":null)",
          R"("max_tokens":7)", R"("retires_at":null)"})
        CHECK(says(said, part));
    const ModelEntry theirs = entry(R"({"id":"a","capabilities":{"batch":{"supported":true}}})");
    CHECK(says(anthropic_entry({.id = "a", .entry = &theirs}),
               R"("capabilities":{"batch":{"supported":true}})"));
    const std::vector<ListedModel> all{
        {.id = "a", .entry = &one}, {.id = "b", .entry = &one}, {.id = "c", .entry = &one}};
    struct Row {
        AnthropicPage page;
        std::string_view end;
    };
    for (const Row& row :
         {Row{{}, R"("has_more":false,"first_id":"a","last_id":"c"})"},
          Row{{.limit = 2}, R"("has_more":true,"first_id":"a","last_id":"b"})"},
          Row{{.limit = 2, .after_id = "b"}, R"("has_more":false,"first_id":"c","last_id":"c"})"},
          Row{{.limit = 1, .before_id = "c"}, R"("has_more":true,"first_id":"b","last_id":"b"})"},
          Row{{.after_id = "c"}, R"("data":[],"has_more":false,"first_id":null,"last_id":null})"},
          Row{{.after_id = "x"}, R"("data":[],"has_more":false,"first_id":null,"last_id":null})"}})
        CHECK(anthropic_list(all, row.page).ends_with(row.end));
}

TEST_CASE("C2: Ollama's lists have every field, whatever is known") {
    const ModelEntry little = entry(R"({"id":"a"})");
    const ListedModel listed{.id = "org/a", .entry = &little};
    const std::string tags = ollama_tags({&listed, 1});
    for (const std::string_view part :
         {R"("name":"org/a:latest","model":"org/a:latest","size":0,"digest":")",
          R"("details":{"parent_model":"","format":"","family":"","families":[],)"
          R"("parameter_size":"","quantization_level":""})",
          R"("modified_at":"1970-01-01T00:00:00Z","capabilities":["completion","tools"]})"})
        CHECK(says(tags, part));
    const ListedModel tagged{.id = "host:5000/a:7b", .entry = &little};
    CHECK(says(ollama_tags({&tagged, 1}), R"("name":"host:5000/a:7b")"));
    CHECK(says(ollama_running({&listed, 1}),
               R"("expires_at":"9999-12-31T23:59:59Z","size_vram":0,"context_length":0})"));
    ListedModel away = listed;
    away.ready = false;
    CHECK(ollama_running({&away, 1}) == R"({"models":[]})");
    CHECK(says(ollama_show(listed), R"("model_info":{"general.architecture":"unknown",)"));
}

TEST_CASE("C2: an embedding model is none that chats") {
    ModelEntry one = entry(R"({"id":"a"})");
    one.family = "nomic-bert";
    CHECK(says(ollama_show({.id = "a", .entry = &one}), R"("capabilities":["embedding"])"));
    one.capabilities = {"embedding"};
    one.family = "x";
    CHECK(says(ollama_show({.id = "a", .entry = &one}), R"("capabilities":["embedding"])"));
}
