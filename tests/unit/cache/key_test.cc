#include "sluice/cache/key.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::cache;

namespace {

constexpr std::string_view body = R"({"model":"m","messages":[{"role":"user","content":"Hi"}]})";

Key key_of(const KeyParts& parts, std::string_view text = body) {
    KeyMaker maker;
    REQUIRE(maker.read(*llm::find_endpoint("/v1/chat/completions"), text) == Bypass::none);
    return maker.key(parts);
}

}  // namespace

TEST_CASE("no part reaches into the next") {
    const KeyParts parts[] = {
        {{ScopeKind::consumer, "a"}, "m", "b", "f", "/p"},
        {{ScopeKind::group, "a"}, "m", "b", "f", "/p"},
        {{ScopeKind::everybody, ""}, "m", "b", "f", "/p"},
        {{ScopeKind::consumer, ""}, "m", "b", "f", "/p"},
        {{ScopeKind::group, ""}, "m", "b", "f", "/p"},
        {{ScopeKind::consumer, "everybody"}, "m", "b", "f", "/p"},
        {{ScopeKind::consumer, "am"}, "", "b", "f", "/p"},
        {{ScopeKind::consumer, "a"}, "mb", "", "f", "/p"},
        {{ScopeKind::consumer, "a"}, "", "mb", "f", "/p"},
        {{ScopeKind::consumer, "a"}, "m", "bf", "", "/p"},
        {{ScopeKind::consumer, "a"}, "m", "b", "", "f/p"},
        {{ScopeKind::consumer, "a"}, "m", "b", "f/p", ""},
        {{ScopeKind::consumer, "A"}, "m", "b", "f", "/p"},
        {{ScopeKind::consumer, "a"}, "M", "b", "f", "/p"},
        {{ScopeKind::consumer, "a"}, "b", "m", "f", "/p"},
        {{ScopeKind::consumer, "a"}, "m", "b", "f", "/p?x"},
        {{ScopeKind::consumer, "a"}, "m", "b", "f2", "/p"},
        {{ScopeKind::consumer, "a\0"}, "m", "b", "f", "/p"},
    };
    std::vector<Key> keys;
    for (const KeyParts& each : parts) {
        const Key key = key_of(each);
        CHECK(key == key_of(each));
        // The last one is the first: a literal ends at its NUL.
        if (&each == &parts[std::size(parts) - 1]) {
            CHECK(key == keys.front());
            continue;
        }
        for (const Key& other : keys)
            CHECK(!(other == key));
        keys.push_back(key);
    }
    CHECK(!(key_of({.scope = {ScopeKind::consumer, {"a\0", 2}}}) ==
            key_of({.scope = {ScopeKind::consumer, "a"}})));
}

TEST_CASE("a part cannot be moved into the body or out of it") {
    CHECK(!(key_of({.endpoint = "{}"}, "{}") == key_of({.endpoint = ""}, "{}")));
    CHECK(!(key_of({.endpoint = "/p"}, R"({"a":1})") == key_of({.endpoint = "/p"}, R"({"a":2})")));
}

TEST_CASE("one request has one key, however it is written") {
    const KeyParts parts{.model = "m", .endpoint = "/v1/chat/completions"};
    const Key key = key_of(parts);
    for (const std::string_view same : {
             R"({"messages":[{"content":"Hi","role":"user"}],"model":"m"})",
             R"({"model":"m","stream":true,"n":1.0,
                 "messages":[{"role":"user","content":"\u0048i"}]})",
         }) {
        CHECK(key_of(parts, same) == key);
    }
    for (const std::string_view other : {
             R"({"model":"m","messages":[{"role":"user","content":"hi"}]})",
             R"({"model":"m","messages":[{"role":"user","content":"Hi "}]})",
             R"({"model":"M","messages":[{"role":"user","content":"Hi"}]})",
             R"({"model":"m","messages":[{"role":"user","content":["Hi"]}]})",
             R"({"model":"m","messages":[[{"role":"user","content":"Hi"}]]})",
             R"({"model":"m","messages":[{"role":"user","content":"Hi","x":null}]})",
         }) {
        CHECK(!(key_of(parts, other) == key));
    }
}

TEST_CASE("a body is read once for several models") {
    KeyMaker maker;
    REQUIRE(maker.read(*llm::find_endpoint("/v1/chat/completions"), body) == Bypass::none);
    const KeyParts first{.model = "m", .backend_model = "one"};
    const KeyParts second{.model = "m", .backend_model = "two"};
    CHECK(maker.key(first) == key_of(first));
    CHECK(maker.key(second) == key_of(second));
    CHECK(!(maker.key(first) == maker.key(second)));
}

TEST_CASE("a body in buffers has the key of its text") {
    mem::NodePool nodes;
    const llm::Endpoint& chat = *llm::find_endpoint("/v1/chat/completions");
    const KeyParts parts{.model = "m"};
    for (const std::size_t step : {body.size(), std::size_t{1}, std::size_t{7}}) {
        mem::Chain chain(nodes);
        for (std::size_t at = 0; at < body.size(); at += step)
            chain.append(mem::Slice::of_static(body.substr(at, step)));
        KeyMaker maker;
        REQUIRE(maker.read(chat, chain) == Bypass::none);
        CHECK(maker.key(parts) == key_of(parts));
    }
    mem::Chain chain(nodes);
    KeyMaker maker({.bytes_max = body.size()});
    CHECK(maker.read(chat, chain) == Bypass::malformed);
    chain.append(mem::Slice::of_static(body));
    CHECK(maker.read(chat, chain) == Bypass::none);
    chain.append(mem::Slice::of_static(" "));
    chain.append(mem::Slice::of_static("x"));
    CHECK(maker.read(chat, chain) == Bypass::too_large);
}

TEST_CASE("scratch memory is given back") {
    KeyMaker maker;
    const std::string large = R"({"a":["\/)" + std::string(100'000, 'x') + R"("]})";
    const llm::Endpoint& chat = *llm::find_endpoint("/v1/chat/completions");
    REQUIRE(maker.read(chat, large) == Bypass::none);
    const Key key = maker.key({});
    CHECK(maker.scratch_bytes() >= 100'000);
    maker.release();
    CHECK(maker.scratch_bytes() < 1000);
    REQUIRE(maker.read(chat, large) == Bypass::none);
    CHECK(maker.key({}) == key);
}

TEST_CASE("the format is what it was") {
    // Of the parts as key.h describes them, put together by hand.
    std::string text;
    const auto add = [&text](std::string_view part) {
        text += static_cast<char>(part.size());
        text.append(7, '\0');
        text += part;
    };
    for (const std::string_view part : {"sluice answer 2", "consumer", "anna", "m", "b", "f",
                                        "/v1/chat/completions", "beta:x\n", "key"})
        add(part);
    const std::string_view form = R"({"a":[1,2e1]})";
    text += form;
    text += static_cast<char>(form.size());
    text.append(7, '\0');
    const KeyParts parts{{ScopeKind::consumer, "anna"}, "m",        "b",  "f",
                         "/v1/chat/completions",        "beta:x\n", "key"};
    CHECK(key_of(parts, R"({"a":[1.0,20],"stream":true})").digest == sha256(text));
}
