#include "sluice/upstream/catalog.h"

#include "sluice/llm/model_list.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::upstream;

namespace {

llm::ModelEntry entry(const std::string& id) {
    auto list = llm::parse_model_list(R"({"data":[{"id":")" + id + R"(","owned_by":"me"}]})");
    REQUIRE(list.ok());
    return list->front();
}

Target target(const std::string& url, const std::string& upstream = "x") {
    auto endpoint = std::make_shared<Endpoint>();
    endpoint->url = url;
    return {endpoint, upstream, Kind::unknown};
}

}  // namespace

TEST_CASE("a model that is added twice is one model with two targets, listed once") {
    Catalog catalog;
    CHECK(catalog.empty());
    catalog.add("a", entry("first"), target("http://one"));
    catalog.add("b", entry("b"), target("http://one"));
    catalog.add("a", entry("second"), target("http://two", "y"));
    catalog.seal();
    REQUIRE(catalog.models().size() == 2);
    const Model* model = catalog.find("a");
    REQUIRE(model != nullptr);
    REQUIRE(model->targets.size() == 2);
    CHECK(model->targets[0].endpoint->url == "http://one");
    CHECK(model->targets[1].upstream_name == "y");
    CHECK(catalog.list_json() ==
          R"({"object":"list","data":[{"id":"a","object":"model","created":0,"owned_by":"me"},)"
          R"({"id":"b","object":"model","created":0,"owned_by":"me"}]})");
    CHECK(catalog.names() == "a, b");
    CHECK(catalog.find("first") == nullptr);
    CHECK(catalog.find("") == nullptr);
}

TEST_CASE("C1: an alias finds its model, is listed, and takes no name that is taken") {
    Catalog catalog;
    catalog.add("a", entry("a"), target("http://one"));
    catalog.add("b", entry("b"), target("http://one"));
    CHECK(catalog.add_alias("short", "a"));
    CHECK_FALSE(catalog.add_alias("short", "b"));
    CHECK_FALSE(catalog.add_alias("b", "a"));
    CHECK_FALSE(catalog.add_alias("other", "missing"));
    CHECK(catalog.add_alias("shorter", "short", false));
    catalog.seal();
    CHECK(catalog.find("short") == catalog.find("a"));
    CHECK(catalog.find("shorter") == catalog.find("a"));
    CHECK(catalog.find("b")->name == "b");
    CHECK(catalog.find("other") == nullptr);
    CHECK(catalog.names() == "a, b, short");
    std::string listed;
    for (const auto& one : catalog.listed())
        listed += std::string(one.id) + "|";
    CHECK(listed == "a|b|short|");
    CHECK(catalog.listed()[0].aliases.size() == 1);
    CHECK(catalog.list_json().find("shorter") == std::string::npos);
}

TEST_CASE("an error text names twenty models at most") {
    Catalog catalog;
    for (int i = 0; i < 23; ++i)
        catalog.add("m" + std::to_string(i), entry("m"), target("http://one"));
    catalog.seal();
    CHECK(catalog.names().starts_with("m0, m1, "));
    CHECK(catalog.names().ends_with("m19 and 3 more"));
    // The list itself has all of them.
    CHECK(catalog.list_json().find("\"m22\"") != std::string::npos);
}

TEST_CASE("a catalog without models is a valid, empty list") {
    Catalog catalog;
    catalog.seal();
    CHECK(catalog.list_json() == R"({"object":"list","data":[]})");
    CHECK(catalog.names().empty());
}

TEST_CASE("what a name leads to says what a server is asked for where a wildcard serves it") {
    Catalog catalog;
    catalog.add("a", entry("a"), target("http://one"));
    catalog.add("gpt-*", entry("x"), target("http://one", ""));
    catalog.add("gpt-4o*", entry("x"), target("http://two", ""));
    CHECK(catalog.add_alias("short", "a"));
    CHECK(catalog.add_alias("cheap", "gpt-3"));
    CHECK(catalog.add_alias("cheaper", "cheap"));
    CHECK_FALSE(catalog.add_alias("nothing", "o3"));
    CHECK_FALSE(catalog.add_alias("a", "gpt-3"));
    catalog.set_default_model("gpt-4o-mini");
    Model& model = catalog.add("b", entry("b"), target("http://one"));
    model.setting.fallback.any = {"a", "gpt-4o", "cheap", "missing"};
    catalog.seal();
    struct Row {
        std::string name;
        std::string model;
        std::string asked;
    };
    for (const Row& row : {Row{"a", "a", ""}, Row{"short", "a", ""}, Row{"gpt-3", "gpt-*", "gpt-3"},
                           Row{"cheap", "gpt-*", "gpt-3"}, Row{"cheaper", "gpt-*", "gpt-3"},
                           Row{"gpt-4o", "gpt-4o*", "gpt-4o"}, Row{"o3", "", ""}}) {
        CAPTURE(row.name);
        const Match match = catalog.match(row.name);
        CHECK((match.model == nullptr ? "" : match.model->name) == row.model);
        CHECK(match.name == row.asked);
        CHECK(catalog.find(row.name) == match.model);
    }
    CHECK(catalog.default_model().model == catalog.find("gpt-4o"));
    CHECK(catalog.default_model().name == "gpt-4o-mini");
    const auto& chain = catalog.find("b")->fallbacks.of(policy::FallbackChain::general);
    REQUIRE(chain.size() == 3);
    CHECK(chain[0].model == catalog.find("a"));
    CHECK(chain[1].name == "gpt-4o");
    CHECK(chain[2].name == "gpt-3");
}

TEST_CASE("a route is found by its number, and by no name") {
    Catalog catalog;
    CHECK(catalog.route(0) == nullptr);
    catalog.add_route("/a").targets.push_back(target("http://one"));
    catalog.add_route("/a").targets.push_back(target("http://two"));
    catalog.seal();
    CHECK(catalog.empty());
    CHECK(catalog.find("/a") == nullptr);
    CHECK(catalog.names().empty());
    REQUIRE(catalog.route(1) != nullptr);
    CHECK(catalog.route(1)->targets[0].endpoint->url == "http://two");
    CHECK(catalog.route(2) == nullptr);
}

TEST_CASE("C2: an alias names its model as it stands, else as Ollama finds it, else a wildcard's") {
    using enum Catalog::Likeness;
    Catalog catalog;
    catalog.add("tiny:latest", entry("tiny:latest"), target("http://one"));
    catalog.add("*", entry("any"), target("http://one"));
    CHECK_FALSE(catalog.add_alias("a", "tiny", true, exact));
    CHECK_FALSE(catalog.add_alias("b", "other", true, as_ollama));
    CHECK(catalog.add_alias("a", "library/TINY", true, as_ollama));
    CHECK(catalog.add_alias("b", "A", true, as_ollama));
    CHECK(catalog.add_alias("c", "other"));
    catalog.set_default_model("tiny");
    catalog.seal();
    for (const std::string name : {"a", "b", "A:latest", "tiny"})
        CHECK(catalog.find(name) == catalog.models()[0].get());
    CHECK(catalog.match("c").name == "other");
    CHECK(catalog.default_model().model == catalog.models()[0].get());
}

TEST_CASE("C1: what the settings hide is asked for and not told of") {
    Catalog catalog;
    catalog.add("a", entry("a"), target("http://one")).setting.listed = false;
    catalog.add("w*", entry("w"), target("http://one"));
    CHECK(catalog.add_alias("b", "a"));
    CHECK(catalog.add_alias("c", "w1"));
    catalog.seal();
    CHECK(catalog.names() == "b, c");
    REQUIRE(catalog.listed().size() == 2);
    CHECK(catalog.listed()[0].id == "b");
    CHECK(catalog.listed()[1].id == "c");
    CHECK(catalog.find("a") != nullptr);
}

TEST_CASE("C2: what Ollama takes for one name is one, unless there are two of it") {
    Catalog catalog;
    catalog.add("tiny:latest", entry("x"), target("http://one"));
    catalog.add("Big", entry("x"), target("http://one"));
    catalog.add("big", entry("x"), target("http://one"));
    catalog.add("b*", entry("x"), target("http://one"));
    CHECK(catalog.add_alias("Alias:latest", "Big"));
    catalog.seal();
    struct Row {
        std::string_view asked;
        std::string_view model;
    };
    for (const Row& row :
         {Row{"tiny", "tiny:latest"}, Row{"TINY:Latest", "tiny:latest"},
          Row{"library/tiny", "tiny:latest"}, Row{"big", "big"}, Row{"Big", "Big"},
          Row{"BIG", "Big"}, Row{"big:latest", "Big"}, Row{"alias", "Big"}, Row{"bigger", "b*"},
          Row{"other/tiny", ""}, Row{"tiny:1b", ""}, Row{"", ""}, Row{":latest", ""}}) {
        CAPTURE(row.asked);
        const Model* found = catalog.find(row.asked);
        CHECK((found == nullptr ? "" : found->name) == row.model);
    }
}

TEST_CASE("C1: the context of a model is that of the backend that takes most") {
    Catalog catalog;
    Target small = target("http://one");
    small.setting.context = 10;
    Target large = target("http://two");
    large.setting.context = 20;
    catalog.add("a", entry("a"), small);
    catalog.add("a", entry("a"), large);
    catalog.seal();
    CHECK(catalog.list_json().find(R"("context_length":20)") != std::string::npos);
}
