// Batches of embeddings: what is known is not asked for again.
#include "sluice/cache/embeddings.h"

#include "sluice/cache/store.h"

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::cache;

namespace {

constexpr Duration hour = Duration::seconds(3600);
const AnswerFacts facts{.content_type = "application/json", .model = "m"};

EmbeddingBatch batch_of(std::string_view body, std::string_view path = "/v1/embeddings") {
    static KeyMaker maker;
    REQUIRE(maker.read(*llm::find_endpoint(path), body) == Bypass::none);
    auto batch = EmbeddingBatch::of(maker, {.model = "m", .endpoint = path});
    REQUIRE(batch.has_value());
    return std::move(*batch);
}

std::vector<Key> keys_of(std::string_view body, std::string_view path = "/v1/embeddings") {
    const EmbeddingBatch batch = batch_of(body, path);
    std::vector<Key> keys;
    for (std::uint32_t i = 0; i < batch.size(); ++i)
        keys.push_back(batch.key(i));
    return keys;
}

// A server that gives each text a vector of its own, and ten tokens a text.
std::string answer_to(std::string_view body) {
    const auto input = llm::read_embeddings_input(llm::EmbeddingsForm::openai, body);
    REQUIRE(input.has_value());
    std::string data;
    for (const llm::Span& item : input->items) {
        const std::string_view text = body.substr(item.begin + 1, item.end - item.begin - 2);
        data += (data.empty() ? "" : ",");
        data += R"({"object":"embedding","index":)" + std::to_string(&item - &input->items[0]) +
                R"(,"embedding":[)" + std::string(text) + "]}";
    }
    const std::string tokens = std::to_string(10 * input->items.size());
    return R"({"object":"list","model":"m","data":[)" + data + R"(],"usage":{"prompt_tokens":)" +
           tokens + R"(,"total_tokens":)" + tokens + "}}";
}

// The numbers that were asked for, and the numbers that came back.
struct Served {
    std::string asked;
    std::string document;
    std::uint64_t asked_tokens = 0;
};
Served serve(Store& store, std::string_view body) {
    EmbeddingBatch batch = batch_of(body);
    for (const std::uint32_t item : batch.different()) {
        if (const Found found = store.find(batch.key(item), {})) batch.know(item, found.answer);
    }
    Served served;
    if (!batch.missing().empty()) {
        const llm::Edit edit = batch.edit(body);
        const std::string asked =
            batch.asks_for_all() ? std::string(body) : llm::apply_edits(body, {&edit, 1});
        const auto fresh = batch.take(answer_to(asked), facts);
        REQUIRE(fresh.has_value());
        for (const auto& each : *fresh)
            store.insert(each.key, each.answer, {}, hour);
        served.asked = asked;
        served.asked_tokens = batch.asked_tokens();
    }
    CHECK(batch.missing().empty());
    CHECK(batch.content_type() == "application/json");
    served.document = batch.document();
    return served;
}

std::string list(const std::vector<std::string>& numbers, std::uint64_t tokens) {
    std::string data;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        data += (data.empty() ? "" : ",");
        data += R"({"index":)" + std::to_string(i) + R"(,"object":"embedding","embedding":[)" +
                numbers[i] + "]}";
    }
    const std::string count = std::to_string(tokens);
    return R"({"object":"list","model":"m","data":[)" + data + R"(],"usage":{"prompt_tokens":)" +
           count + R"(,"total_tokens":)" + count + "}}";
}

}  // namespace

TEST_CASE("what an item's key is made of") {
    const Key a = keys_of(R"({"input":"a"})")[0];
    CHECK(keys_of(R"({"input":["a"]})")[0] == a);
    CHECK(keys_of(R"({"input":["b","\u0061"]})")[1] == a);
    CHECK(keys_of(R"({ "input" : [ "a", "a" ], "encoding_format":"float" })")[1] == a);
    CHECK(keys_of(R"({"input":"a","model":"x"})")[0] != a);
    CHECK(keys_of(R"({"input":"a","dimensions":8})")[0] != a);
    CHECK(keys_of(R"({"input":"a","encoding_format":"base64"})")[0] != a);
    CHECK(keys_of(R"({"input":"a"})", "/api/embed")[0] != a);
    CHECK(keys_of(R"({"input":[[1]]})") == keys_of(R"({"input":[1]})"));
    CHECK(keys_of(R"({"input":[[1.0]]})") == keys_of(R"({"input":[1]})"));
    CHECK(keys_of(R"({"input":["1"]})") != keys_of(R"({"input":[1]})"));
    CHECK(keys_of(R"({"input":[1,2]})") != keys_of(R"({"input":[2,1]})"));
    // Not the key of the request as a whole.
    KeyMaker maker;
    const std::string_view body = R"({"input":"a"})";
    REQUIRE(maker.read(*llm::find_endpoint("/v1/embeddings"), body) == Bypass::none);
    CHECK(maker.key({.model = "m", .endpoint = "/v1/embeddings"}) != a);
    // Scopes part items as they part requests.
    CHECK(EmbeddingBatch::of(
              maker,
              {.scope = {ScopeKind::consumer, "b"}, .model = "m", .endpoint = "/v1/embeddings"})
              ->key(0) != a);
}

TEST_CASE("what is no batch") {
    KeyMaker maker;
    REQUIRE(maker.read(*llm::find_endpoint("/embedding"), R"({"content":"a"})") == Bypass::none);
    CHECK(!EmbeddingBatch::of(maker, {}));
    REQUIRE(maker.read(*llm::find_endpoint("/v1/embeddings"), R"({"input":[{"a":1}]})") ==
            Bypass::none);
    CHECK(!EmbeddingBatch::of(maker, {}));
}

TEST_CASE("only what is not known is asked for, and each once") {
    Store store({.bytes = 1 << 20}, 1);
    const auto all = serve(store, R"({"model":"m","input":["1","2"]})");
    CHECK(all.asked == R"({"model":"m","input":["1","2"]})");
    CHECK(all.document == list({"1", "2"}, 20));
    const auto known = serve(store, R"({"input":["2","1"],"model":"m"})");
    CHECK(known.asked.empty());
    CHECK(known.document == list({"2", "1"}, 20));
    CHECK(known.asked_tokens == 0);
    const auto some = serve(store, R"({"model":"m","input":["3","1","4","3","2","4"]})");
    CHECK(some.asked == R"({"model":"m","input":["3","4"]})");
    CHECK(some.asked_tokens == 20);
    CHECK(some.document == list({"3", "1", "4", "3", "2", "4"}, 60));
    const auto one = serve(store, R"({"model":"m","input":"4"})");
    CHECK(one.asked.empty());
    CHECK(one.document == list({"4"}, 10));
}

TEST_CASE("ninety known texts of a hundred are not asked for") {
    Store store({.bytes = 4 << 20}, 1);
    const auto body_of = [](int first, int count) {
        std::string body = R"({"model":"m","input":[)";
        for (int i = first; i < first + count; ++i)
            body += (i == first ? "\"" : ",\"") + std::to_string(i) + "\"";
        return body + "]}";
    };
    serve(store, body_of(10, 90));
    const auto rest = serve(store, body_of(5, 100));
    CHECK(rest.asked ==
          R"({"model":"m","input":["5","6","7","8","9","100","101","102","103","104"]})");
    CHECK(rest.asked_tokens == 100);
    CHECK(rest.document.find(R"({"index":99,"object":"embedding","embedding":[104]})") !=
          std::string::npos);
}

TEST_CASE("an answer that is none leaves the batch as it is") {
    EmbeddingBatch batch = batch_of(R"({"input":["1","2"]})");
    CHECK(!batch.take(R"({"error":{"message":"no"}})", facts));
    CHECK(!batch.take(answer_to(R"({"input":["1"]})"), facts));
    CHECK(batch.missing().size() == 2);
    CHECK(!batch.know(0, Answer::make(facts, "{}")));
    CHECK(!batch.know(0, Answer::make(facts, std::string(12, '\xFF'))));
    CHECK(!batch.know(0, Answer::make(facts, "")));
    CHECK(batch.asks_for_all());
}

TEST_CASE("Ollama's batches, without usage where there is none") {
    const std::string_view body = R"({"model":"m","input":["a","b"],"truncate":true})";
    EmbeddingBatch first = batch_of(body, "/api/embed");
    const auto fresh = first.take(
        R"({"model":"m","embeddings":[[1],[2]],"total_duration":7,"load_duration":1})", facts);
    REQUIRE(fresh.has_value());
    CHECK(first.document() ==
          R"({"model":"m","total_duration":7,"load_duration":1,"embeddings":[[1],[2]]})");
    CHECK(!first.tokens());
    EmbeddingBatch second = batch_of(R"({"model":"m","input":"b","truncate":true})", "/api/embed");
    CHECK(second.key(0) == (*fresh)[1].key);
    CHECK(second.know(0, (*fresh)[1].answer));
    CHECK(second.document() == R"({"model":"m","embeddings":[[2]]})");
}

TEST_CASE("what is known can be forgotten, and says what the document will be like") {
    EmbeddingBatch first = batch_of(R"({"input":["1","22"]})");
    CHECK(first.expected_bytes() == 0);
    const auto fresh = first.take(answer_to(R"({"input":["1","22"]})"), facts);
    REQUIRE(fresh.has_value());
    EmbeddingBatch batch = batch_of(R"({"input":["1","3","1","22"]})");
    CHECK(!batch.knows_some());
    CHECK(batch.know(0, (*fresh)[0].answer));
    CHECK(batch.knows_some());
    CHECK(batch.known_tokens() == 16);  // eight, by its share of the bytes, and it comes twice
    CHECK(batch.expected_bytes() ==
          4 * std::string_view(R"("object":"embedding","embedding":[1]})").size());
    batch.forget();
    CHECK(!batch.knows_some());
    CHECK(batch.known_tokens() == 0);
    CHECK(batch.missing().size() == 3);
    CHECK(!batch.asks_for_all());  // one comes twice
}

TEST_CASE("vectors that are not like those that are known are not taken") {
    const auto answer_of = [](std::string_view vector) {
        return R"({"data":[{"index":0,"embedding":)" + std::string(vector) + "}]}";
    };
    const auto one = [&](std::string_view text, std::string_view vector) {
        EmbeddingBatch batch = batch_of(R"({"input":")" + std::string(text) + R"("})");
        auto fresh = batch.take(answer_of(vector), facts);
        REQUIRE(fresh.has_value());
        return fresh->front().answer;
    };
    const auto fits = [&](std::string_view known, std::string_view vector) {
        EmbeddingBatch batch = batch_of(R"({"input":["a","b"]})");
        CHECK(batch.know(0, one("a", known)));
        const bool taken = batch.take(answer_of(vector), facts).has_value();
        if (!taken) CHECK(batch.missing().size() == 1);
        EmbeddingBatch both = batch_of(R"({"input":["a","b"]})");
        CHECK(both.know(0, one("a", known)));
        CHECK(both.know(1, one("b", vector)));
        CHECK(both.goes_together() == taken);
        return taken;
    };
    CHECK(fits("[1,2]", "[ 3 , 4e1 ]"));
    CHECK(fits("[]", "[ ]"));
    CHECK(fits(R"("AAAA")", R"("BBBB")"));
    CHECK(!fits("[1,2]", "[1]"));
    CHECK(!fits("[]", "[1]"));
    CHECK(!fits("[1]", R"("AAAA")"));
    CHECK(!fits(R"("AAAA")", R"("AAAAAAAA")"));
    // Nor those of one answer that are not like each other.
    EmbeddingBatch batch = batch_of(R"({"input":["a","b"]})");
    CHECK(!batch.take(R"({"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}]})",
                      facts));
    // A key without a name takes nothing apart.
    CHECK(batch.take(R"({"data":[{"":{},"embedding":[1]},{"":{},"embedding":[2]}]})", facts));
}

TEST_CASE("of tokens that are not known of all none are told") {
    const auto one = [](std::string_view text, std::string_view usage) {
        EmbeddingBatch batch = batch_of(R"({"input":")" + std::string(text) + R"("})");
        auto fresh = batch.take(
            R"({"data":[{"index":0,"embedding":[1]}])" + std::string(usage) + "}", facts);
        REQUIRE(fresh.has_value());
        return fresh->front().answer;
    };
    EmbeddingBatch batch = batch_of(R"({"input":["a","b"]})");
    CHECK(batch.know(0, one("a", R"(,"usage":{"prompt_tokens":3})")));
    CHECK(batch.know(1, one("b", "")));
    CHECK(!batch.tokens());
    CHECK(batch.document().find("usage") == std::string::npos);
}
