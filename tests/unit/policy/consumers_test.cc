#include "sluice/policy/consumers.h"

#include "sluice/http/parser.h"

#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <string>

using namespace sluice;
using namespace sluice::policy;

namespace {

// What the head of a request with these lines presents; "-" for nothing.
std::string presented(const std::string& lines) {
    const std::string text = "GET / HTTP/1.1\r\nHost: x\r\n" + lines + "\r\n";
    http::Parser parser(http::Parser::Side::request);
    const auto head = std::make_unique<http::Head>();
    REQUIRE(parser.parse_head(text, *head) == http::Progress::complete);
    return std::string(presented_key(*head).value_or("-"));
}

config::ConsumerSetting consumer(const std::string& name, const std::string& key) {
    config::ConsumerSetting setting;
    setting.name = name;
    setting.keys.push_back({"id of " + key, sha256(key)});
    return setting;
}

}  // namespace

TEST_CASE("fault 147: which key a request presents, if it is clear") {
    const std::string long_key(key_bytes_max, 'k');
    const struct {
        std::string lines;
        std::string key;
    } cases[] = {
        {"", "-"},
        {"Authorization: Bearer secret\r\n", "secret"},
        {"AUTHORIZATION: Bearer secret\r\n", "secret"},
        {"X-Api-Key: secret\r\n", "secret"},
        {"x-api-key:secret\r\n", "secret"},
        {"Authorization: Bearer " + long_key + "\r\n", long_key},
        {"Authorization: Bearer secret\r\nX-Api-Key: secret\r\n", "secret"},
        // Not clear, or not a key.
        {"Authorization: Bearer secret\r\nX-Api-Key: other\r\n", "-"},
        {"Authorization: Bearer secret\r\nAuthorization: Bearer secret\r\n", "-"},
        {"X-Api-Key: secret\r\nX-Api-Key: secret\r\n", "-"},
        {"Authorization: Basic secret\r\nX-Api-Key: secret\r\n", "-"},
        {"Authorization: Bearer two words\r\n", "-"},
        {"Authorization: Bearer \r\n", "-"},
        {"Authorization: Bearer\r\n", "-"},
        {"Authorization:\r\n", "-"},
        {"Authorization: secret\r\n", "-"},
        {"X-Api-Key: caf\xc3\xa9\r\n", "-"},
        {"X-Api-Key: " + long_key + "k\r\n", "-"},
        {"X-Api-Keys: secret\r\n", "-"},
        {"Cookie: key=secret\r\n", "-"},
    };
    for (const auto& c : cases) {
        CAPTURE(c.lines);
        CHECK(presented(c.lines) == c.key);
    }
}

TEST_CASE("C3: the scheme in any case and with any spaces, and every field that clients use") {
    const struct {
        std::string lines;
        std::string key;
    } cases[] = {
        {"Authorization: bearer secret\r\n", "secret"},
        {"Authorization: BEARER secret\r\n", "secret"},
        {"Authorization: bEaReR secret\r\n", "secret"},
        {"Authorization: Bearer  secret\r\n", "secret"},
        {"authorization:bearer      secret  \r\n", "secret"},
        {"api-key: secret\r\n", "secret"},
        {"Api-Key: secret\r\n", "secret"},
        {"x-goog-api-key: secret\r\n", "secret"},
        {"X-Goog-Api-Key: secret\r\n", "secret"},
        {"apikey: secret\r\n", "secret"},
        {"ApiKey: secret\r\n", "secret"},
        {"apikey: secret\r\napi-key: secret\r\nx-api-key: secret\r\n"
         "x-goog-api-key: secret\r\nAuthorization: bearer  secret\r\n",
         "secret"},
        {"Authorization: Bearer\tsecret\r\n", "secret"},
        {"Authorization: Bearer \tsecret\r\n", "secret"},
        // What is empty is none, and a word that stands for none gives way.
        {"Authorization: Bearer secret\r\nX-Api-Key:\r\n", "secret"},
        {"Authorization: Bearer\r\nX-Api-Key: secret\r\n", "secret"},
        {"Authorization: Bearer \r\nX-Api-Key: secret\r\napikey:\r\n", "secret"},
        {"Authorization:\r\napi-key: secret\r\n", "secret"},
        {"api-key: secret\r\napikey:\r\n", "secret"},
        {"Authorization: Bearer secret\r\napi-key: none\r\n", "secret"},
        {"api-key: EMPTY\r\nAuthorization: bearer secret\r\nx-api-key: ollama\r\n", "secret"},
        {"api-key: EMPTY\r\nx-api-key: ollama\r\n", "-"},
        {"api-key: EMPTY\r\nAuthorization: bearer secret\r\n", "secret"},
        {"Authorization: Bearer ollama\r\nx-api-key: secret\r\n", "secret"},
        {"Authorization: Bearer ollama\r\n", "ollama"},
        {"Authorization: Bearer none\r\nx-api-key:\r\n", "none"},
        {"Authorization: none\r\nx-api-key: secret\r\n", "-"},
        {"X-Api-Key:\r\nAuthorization: \r\n", "-"},
        // Two that differ, in any pair of fields and any order; one twice; another scheme.
        {"apikey: secret\r\napi-key: other\r\n", "-"},
        {"x-goog-api-key: secret\r\nAuthorization: Bearer other\r\n", "-"},
        {"Authorization: Bearer secret\r\nx-goog-api-key: other\r\n", "-"},
        {"api-key: secret\r\napi-key: secret\r\n", "-"},
        {"api-key: two words\r\n", "-"},
        // The scheme is Bearer, and a space ends it.
        {"Authorization: bearersecret\r\n", "-"},
        {"Authorization: Bearer\r\n", "-"},
        {"Authorization: Bearer   \r\n", "-"},
        {"Authorization: Bearers secret\r\n", "-"},
        {"Authorization: Bearer Bearer secret\r\n", "-"},
        {"Authorization: Bear secret\r\n", "-"},
        {"Api-Keys: secret\r\n", "-"},
        {"x-goog-api-keys: secret\r\n", "-"},
    };
    for (const auto& c : cases) {
        CAPTURE(c.lines);
        CHECK(presented(c.lines) == c.key);
    }
}

TEST_CASE("nobody has to say who they are where nobody is known") {
    const Consumers consumers;
    CHECK(consumers.empty());
    CHECK_FALSE(consumers.find(sha256("secret")).has_value());
}

TEST_CASE("fault 144: each of many keys finds its consumer, and no other text does") {
    constexpr int count = 1000;
    std::vector<config::ConsumerSetting> settings;
    for (int i = 0; i < count; ++i)
        settings.push_back(consumer("c" + std::to_string(i), "key " + std::to_string(i)));
    settings[7].keys.push_back({"second", sha256("another key")});
    settings[7].labels = {{"team", "a"}, {"env", "dev"}};
    settings[7].priority = 3;
    const Consumers consumers(settings);
    CHECK_FALSE(consumers.empty());
    std::set<ConsumerKey> keys;
    for (int i = 0; i < count; ++i) {
        const auto found = consumers.find(sha256("key " + std::to_string(i)));
        REQUIRE(found.has_value());
        CHECK(found->consumer->name == "c" + std::to_string(i));
        CHECK(found->key_id == "id of key " + std::to_string(i));
        keys.insert(found->consumer->key);
        CHECK_FALSE(consumers.find(sha256("no key " + std::to_string(i))).has_value());
    }
    CHECK(keys.size() == count);
    const auto second = consumers.find(sha256("another key"));
    REQUIRE(second.has_value());
    CHECK(second->key_id == "second");
    const Consumer& seven = *second->consumer;
    CHECK(&seven == consumers.find(sha256("key 7"))->consumer);
    CHECK(seven.priority == 3);
    REQUIRE(seven.labels.size() == 2);
    CHECK((seven.labels[0].name == "env" && seven.labels[0].value == "dev"));
    CHECK((seven.labels[1].name == "team" && seven.labels[1].value == "a"));
}

TEST_CASE("digests that begin alike are told apart") {
    std::vector<config::ConsumerSetting> settings(20);
    Digest digest{};
    for (std::uint8_t i = 0; i < 20; ++i) {
        digest[31] = i;
        settings[i].name = std::to_string(i);
        settings[i].keys.push_back({std::to_string(i), digest});
    }
    const Consumers consumers(settings);
    for (std::uint8_t i = 0; i < 20; ++i) {
        digest[31] = i;
        CHECK(consumers.find(digest)->key_id == std::to_string(i));
    }
    digest[31] = 20;
    CHECK_FALSE(consumers.find(digest).has_value());
}
