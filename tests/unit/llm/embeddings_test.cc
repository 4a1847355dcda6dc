// Requests for embeddings that ask for fewer items, and answers taken apart and put together.
#include "sluice/llm/embeddings.h"

#include "answers.h"

#include <doctest/doctest.h>

#include <numeric>
#include <string>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

constexpr auto openai = EmbeddingsForm::openai;
constexpr auto ollama = EmbeddingsForm::ollama;

// The items with '|' between them; "-" where it is not taken apart.
std::string items_of(EmbeddingsForm form, std::string_view body) {
    const auto input = read_embeddings_input(form, body);
    if (!input) return "-";
    std::string out;
    for (const Span item : input->items)
        out.append(out.empty() ? "" : "|").append(body.substr(item.begin, item.end - item.begin));
    return out;
}

std::string asked(std::string_view body, std::vector<std::uint32_t> wanted) {
    const auto input = read_embeddings_input(openai, body);
    REQUIRE(input.has_value());
    const Edit edit = ask_for_items(body, *input, wanted);
    return apply_edits(body, {&edit, 1});
}

std::string again(EmbeddingsForm form, std::string_view document, std::size_t items) {
    const auto answer = split_embeddings(form, document, items);
    if (!answer) return "-";
    const std::vector<std::string_view> elements(answer->elements.begin(), answer->elements.end());
    return join_embeddings(form, answer->frame, elements, answer->tokens);
}

}  // namespace

TEST_CASE("where a request's items stand") {
    struct Case {
        EmbeddingsForm form;
        std::string_view body;
        std::string_view items;
    };
    const Case cases[] = {
        {openai, R"({"input":"a"})", R"("a")"},
        {openai, R"({"model":"m", "input" : [ "a" , "b\"]," ] ,"user":"u"})", R"("a"|"b\"],")"},
        {openai, R"({"input":[1,2,3]})", "[1,2,3]"},
        {openai, R"({"input":[[1,2],[3]]})", "[1,2]|[3]"},
        {openai, R"({"input":["a",[1, 2]]})", R"("a"|[1, 2])"},
        {openai, R"({"input":[[]]})", "[]"},
        {openai, R"({"x":{"input":["no"]},"input":["a"]})", R"("a")"},
        {openai, R"({"input":[]})", "-"},
        {openai, R"({"input":[1,"a"]})", "-"},
        {openai, R"({"input":["a",1]})", "-"},
        {openai, R"({"input":[["a"]]})", "-"},
        {openai, R"({"input":[[1,[2]]]})", "-"},
        {openai, R"({"input":[[1,null]]})", "-"},
        {openai, R"({"input":[{"text":"a"}]})", "-"},
        {openai, R"({"input":{"text":"a"}})", "-"},
        {openai, R"({"input":null})", "-"},
        {openai, R"({"input":5})", "-"},
        {openai, R"({"in\u0070ut":"a"})", "-"},
        {openai, R"({"content":"a"})", "-"},
        {openai, R"(["a"])", "-"},
        {ollama, R"({"input":"a"})", R"("a")"},
        {ollama, R"({"input":["a","b"]})", R"("a"|"b")"},
        {ollama, R"({"input":[1,2]})", "-"},
        {ollama, R"({"input":[[1]]})", "-"},
    };
    for (const Case& each : cases) {
        INFO(each.body);
        CHECK(items_of(each.form, each.body) == each.items);
    }
}

TEST_CASE("which endpoints have items") {
    CHECK(embeddings_form_of(*find_endpoint("/v1/embeddings")) == openai);
    CHECK(embeddings_form_of(*find_endpoint("/api/embed")) == ollama);
    for (const std::string_view path : {"/api/embeddings", "/embedding", "/v1/rerank"})
        CHECK(!embeddings_form_of(*find_endpoint(path)));
}

TEST_CASE("a body that asks for fewer keeps all its other bytes") {
    const std::string_view body = R"({ "model":"m","input":["a", "b","c"],"dimensions": 8 })";
    CHECK(asked(body, {0, 2}) == R"({ "model":"m","input":["a","c"],"dimensions": 8 })");
    CHECK(asked(body, {1}) == R"({ "model":"m","input":["b"],"dimensions": 8 })");
    CHECK(asked(R"({"input":"a"})", {0}) == R"({"input":["a"]})");
    CHECK(asked(R"({"input":[1,2]})", {0}) == R"({"input":[[1,2]]})");
}

TEST_CASE("an answer is the same again") {
    const std::string_view document =
        R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-3]},)"
        R"({"embedding":"AAAA","index":1,"encoding_format":"base64"}],"model":"m",)"
        R"("usage":{"prompt_tokens":7,"total_tokens":7}})";
    CHECK(same_json(again(openai, document, 2), document));
    const std::string_view lines =
        R"({"model":"m","embeddings":[[0.5,1],[ 2 ]],"total_duration":5,"load_duration":1,)"
        R"("prompt_eval_count":9})";
    CHECK(same_json(again(ollama, lines, 2), lines));
    const auto answer = split_embeddings(ollama, lines, 2);
    REQUIRE(answer.has_value());
    CHECK(answer->elements == std::vector<std::string>{"[0.5,1]", "[ 2 ]"});
    CHECK(answer->lasting_frame == R"("model":"m")");
    CHECK(answer->tokens == 9u);
    // Without an index, or in another order.
    CHECK(again(openai, R"({"data":[{"embedding":[1]},{"embedding":[2]}]})", 2) ==
          R"({"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[2]}]})");
    CHECK(again(openai, R"({"data":[{"embedding":[1],"index":1},{"index":0,"embedding":[2]}]})",
                2) == R"({"data":[{"index":0,"embedding":[2]},{"index":1,"embedding":[1]}]})");
}

TEST_CASE("answers that are not taken apart") {
    const std::string_view documents[] = {
        "",
        "[]",
        "{}",
        R"({"data":{}})",
        R"({"data":[]})",
        R"({"data":[{"embedding":[1],"index":0},{"embedding":[1],"index":1}]})",
        R"({"data":[{"embedding":[1],"index":1}]})",
        R"({"data":[{"embedding":[1],"index":-1}]})",
        R"({"data":[{"embedding":[1],"index":0.0}]})",
        R"({"data":[{"embedding":null,"index":0}]})",
        R"({"data":[{"index":0}]})",
        R"({"data":[[1]]})",
        R"({"data":["a"]})",
        R"({"data":[{"embedding":[1],"embedding":[2]}]})",
        R"({"data":[{"embedding":[1],"in\u0064ex":0}]})",
        R"({"data":[{"embedding":[1]}],"data":[{"embedding":[1]}]})",
        R"({"data":[{"embedding":[1]}],"error":{}})",
        R"({"data":[{"embedding":[1]}])",
        R"({"data":[{"embedding":[1]}]}x)",
        R"({"data":[{"embedding":[1]}],"d\u0061ta":1})",
    };
    for (const std::string_view each : documents) {
        INFO(each);
        CHECK(!split_embeddings(openai, each, 1));
    }
    CHECK(split_embeddings(openai, R"({"data":[{"embedding":[1]}]})", 1).has_value());
    for (const std::string_view each :
         {R"({"embeddings":[1]})", R"({"embeddings":["a"]})", R"({"embeddings":[["a"]]})",
          R"({"embeddings":[[[1]]]})", R"({"embeddings":[[1],[2]]})", R"({"error":"x"})"}) {
        INFO(each);
        CHECK(!split_embeddings(ollama, each, 1));
    }
}

TEST_CASE("usage is told as far as it is known") {
    const auto tokens = [](std::string_view usage) {
        const std::string document =
            R"({"data":[{"embedding":[1]}],"usage":)" + std::string(usage) + "}";
        const auto answer = split_embeddings(openai, document, 1);
        REQUIRE(answer.has_value());
        return answer->tokens;
    };
    CHECK(tokens(R"({"total_tokens":5,"prompt_tokens":5})") == 5u);
    CHECK(!tokens("null"));
    CHECK(!tokens("{}"));
    CHECK(!tokens(R"({"prompt_tokens":-1})"));
    CHECK(!tokens(R"({"prompt_tokens":1.5})"));
    CHECK(!tokens(R"({"prompt_tokens":99999999999999999999})"));
}

TEST_CASE("the shares of tokens are all of them") {
    const std::vector<std::size_t> bytes{3, 0, 100, 7, 7};
    for (const std::uint64_t tokens : {0ull, 1ull, 2ull, 39ull, 1ull << 60}) {
        const auto shares = share_tokens(tokens, bytes);
        CHECK(shares.size() == bytes.size());
        CHECK(std::accumulate(shares.begin(), shares.end(), std::uint64_t{0}) == tokens);
        CHECK(shares[1] == 0);
    }
    CHECK(share_tokens(8, std::vector<std::size_t>{4}) == std::vector<std::uint64_t>{8});
    CHECK(share_tokens(117, bytes) == std::vector<std::uint64_t>{3, 0, 100, 7, 7});
}
