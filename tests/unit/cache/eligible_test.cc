// Which requests may join another one or be answered from the cache: the table of eligible.h.
#include "sluice/cache/eligible.h"

#include "heads.h"
#include "sluice/cache/key.h"

#include <doctest/doctest.h>

#include <string_view>

using namespace sluice;
using namespace sluice::cache;

namespace {

constexpr SharingSettings automatic{Sharing::automatic, Sharing::automatic};
constexpr SharingSettings always{Sharing::always, Sharing::always};
constexpr SharingSettings never{};

constexpr std::string_view chat = "/v1/chat/completions";
constexpr std::string_view responses = "/v1/responses";
constexpr std::string_view messages = "/v1/messages";

Eligible judge(SharingSettings settings, std::string_view path, std::string_view body,
               std::string_view cache_control = "") {
    const llm::Endpoint* const endpoint = llm::find_endpoint(path);
    REQUIRE(endpoint != nullptr);
    Directives directives;
    add_directives(cache_control, directives);
    const Eligible before = eligible(settings, *endpoint, directives);
    if (before.is_over()) return before;
    KeyMaker maker;
    const Bypass bypass = maker.read(*endpoint, body);
    return eligible(before, settings, bypass, bypass == Bypass::none && maker.deterministic());
}

Eligible both(Bypass bypass) {
    return {bypass, bypass};
}

}  // namespace

TEST_CASE("what may be shared, by the model's mode") {
    struct Case {
        std::string_view path;
        std::string_view body;
        Bypass automatic;
        Bypass always;
    };
    const auto none = Bypass::none;
    const auto random = Bypass::not_determined;
    const auto tools = Bypass::server_tools;
    const auto stateful = Bypass::stateful;
    const Case cases[] = {
        {chat, R"({"temperature":0})", none, none},
        {chat, R"({"temperature":0,"stream":true})", none, none},
        {chat, R"({"seed":1})", none, none},
        {chat, R"({})", random, none},
        {chat, R"({"temperature":0.2})", random, none},
        {chat, R"({"temperature":0,"n":2})", Bypass::several_choices, Bypass::several_choices},
        {chat, R"({"temperature":0,"logprobs":true,"top_logprobs":3})", none, none},
        {chat, R"({"temperature":0,"store":true})", stateful, stateful},
        {chat, R"({"temperature":0,"store":false})", none, none},
        {chat, R"({"temperature":0,"store":null})", none, none},
        {chat, R"({"temperature":0,"tools":[{"type":"function","function":{}}]})", none, none},
        {chat, R"({"temperature":0,"tools":[{"type":"custom"},{"type":"x"}]})", tools, tools},
        {chat, R"({"temperature":0,"tools":[{"function":{}}]})", none, none},
        {chat, R"({"temperature":0,"tools":[]})", none, none},
        {chat, R"({"temperature":0,"tools":null})", none, none},
        {chat, R"({"temperature":0,"tools":["function"]})", tools, tools},
        {chat, R"({"temperature":0,"tools":[{"type":1}]})", tools, tools},
        {chat, R"({"temperature":0,"tools":[{"type":"func\u0074ion"}]})", none, none},
        {chat, R"({"temperature":0,"web_search_options":{}})", tools, tools},
        {chat, R"({"temperature":0,"web_search_options":null})", none, none},
        {chat, R"({"temperature":0,"plugins":[{"id":"web"}]})", tools, tools},
        {chat, R"({"temperature":0,"plugins":[]})", none, none},
        {chat, R"({"temperature":0,"messages":[{"role":"tool","tools":[{"type":"x"}]}]})", none,
         none},
        {responses, R"({"temperature":0,"store":true})", stateful, stateful},
        {responses, R"({"temperature":0})", none, none},
        {responses, R"({"temperature":0,"background":true})", stateful, stateful},
        {responses, R"({"temperature":0,"previous_response_id":"r"})", stateful, stateful},
        {responses, R"({"temperature":0,"tools":[{"type":"function"},{"type":"namespace"}]})", none,
         none},
        {responses, R"({"temperature":0,"tools":[{"type":"web_search"}]})", tools, tools},
        {responses, R"({"temperature":0,"tools":[{"type":"mcp"}]})", tools, tools},
        {responses, R"({"temperature":0,"tools":[{"type":"file_search"}]})", tools, tools},
        {messages, R"({"temperature":0,"tools":[{"name":"a","input_schema":{}}]})", none, none},
        {messages, R"({"temperature":0,"tools":[{"type":null,"name":"a"}]})", none, none},
        {messages, R"({"temperature":0,"tools":[{"type":"bash_20250124"}]})", none, none},
        {messages, R"({"temperature":0,"tools":[{"type":"function"}]})", tools, tools},
        {messages, R"({"temperature":0,"tools":[{"type":"web_search_20250305"}]})", tools, tools},
        {messages, R"({"temperature":0,"mcp_servers":[{"url":"http://x"}]})", tools, tools},
        {messages, R"({"temperature":0,"container":"c"})", stateful, stateful},
        {"/v1/embeddings", R"({"input":"x"})", none, none},
        {"/v1/rerank", R"({"query":"q","documents":["d"]})", none, none},
        {"/tokenize", R"({"content":"x"})", none, none},
        {"/api/chat", R"({"messages":[1],"options":{"temperature":0}})", none, none},
        {"/api/chat", R"({"messages":[1],"keep_alive":0})", stateful, stateful},
        {"/v1/audio/speech", R"({"input":"x"})", Bypass::endpoint, Bypass::endpoint},
        {"/v1/moderations", R"({"input":"x"})", Bypass::endpoint, Bypass::endpoint},
        {"/api/show", R"({"model":"m"})", Bypass::endpoint, Bypass::endpoint},
        {chat, R"({"a":1,"a":1})", Bypass::duplicate_key, Bypass::duplicate_key},
    };
    for (const Case& each : cases) {
        INFO(each.path, " ", each.body);
        CHECK(judge(automatic, each.path, each.body) == both(each.automatic));
        CHECK(judge(always, each.path, each.body) == both(each.always));
        CHECK(judge(never, each.path, each.body) == both(Bypass::off));
    }
}

TEST_CASE("joining and keeping are two settings") {
    const SharingSettings join_only{Sharing::automatic, Sharing::never};
    CHECK(judge(join_only, chat, R"({"seed":1})") == Eligible{Bypass::none, Bypass::off});
    CHECK(judge(join_only, chat, R"({})") == Eligible{Bypass::not_determined, Bypass::off});
    const SharingSettings mixed{Sharing::always, Sharing::automatic};
    CHECK(judge(mixed, chat, R"({})") == Eligible{Bypass::none, Bypass::not_determined});
    CHECK(judge(mixed, chat, R"({})").cause() == Bypass::not_determined);
    CHECK(judge(join_only, chat, R"({})").cause() == Bypass::not_determined);
    CHECK(!judge(mixed, chat, R"({})").is_over());
}

TEST_CASE("what the request asks of the cache") {
    const std::string_view body = R"({"temperature":0})";
    CHECK(judge(automatic, chat, body, "no-store") == both(Bypass::no_store));
    CHECK(judge(always, chat, body, "no-store") == both(Bypass::no_store));
    CHECK(judge(never, chat, body, "no-store") == both(Bypass::off));
    // It joins nothing; its own answer may be kept.
    CHECK(judge(automatic, chat, body, "no-cache") == Eligible{Bypass::no_cache, Bypass::none});
    CHECK(judge(automatic, chat, R"({"n":2})", "no-cache") ==
          Eligible{Bypass::no_cache, Bypass::several_choices});
    CHECK(judge(automatic, chat, body, "max-age=5") == both(Bypass::none));
    CHECK(judge(automatic, "/v1/moderations", body, "no-store") == both(Bypass::endpoint));
}

TEST_CASE("the fields of a head that change the answer") {
    CHECK(fields_of_key("").empty());
    CHECK(fields_of_key("User-Agent: x\r\nAnthropic-Dangerous-Direct-Browser-Access: true\r\n"
                        "X-Stainless-Lang: js\r\nAuthorization: Bearer k\r\nX-Request-Id: 1\r\n"
                        "openai: x\r\nmy-openai-beta: x\r\n")
              .empty());
    CHECK(fields_of_key("Anthropic-Version: 2023-06-01\r\nAccept: */*\r\nanthropic-beta:a,b\r\n"
                        "Anthropic-Beta: c\r\nOpenAI-Organization:\torg\r\n"
                        "X-Portkey-Config: {}\r\nopenai-beta:\r\n") ==
          "anthropic-version:2023-06-01\nanthropic-beta:a,b\nanthropic-beta:c\n"
          "openai-organization:org\nx-portkey-config:{}\nopenai-beta:\n");
}

TEST_CASE("fields and credentials are parts of the key") {
    KeyMaker maker;
    REQUIRE(maker.read(*llm::find_endpoint(chat), "{}") == Bypass::none);
    const Key plain = maker.key({.endpoint = chat});
    const Key beta = maker.key({.endpoint = chat, .fields = "openai-beta:x\n"});
    const Key owner = maker.key({.endpoint = chat, .credentials = "openai-beta:x\n"});
    CHECK(!(plain == beta));
    CHECK(!(plain == owner));
    CHECK(!(beta == owner));
}
