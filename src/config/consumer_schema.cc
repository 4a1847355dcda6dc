// The tables of consumers and their keys.
#include "schema.h"
#include "sluice/base/digest.h"
#include "values.h"

namespace sluice::config {
namespace {

constexpr std::int64_t priority_max = 15;

// What a digest is of that was copied from a page, or made of a variable that was not set; else
// null. Of the one in our own examples nobody has the key.
const char* known_text(const Digest& digest) {
    constexpr std::pair<std::string_view, const char*> known[] = {
        {"abc", "'abc'"},
        {"abc\n", "'abc'"},
        {"", "nothing"},
        {"\n", "nothing"},
    };
    for (const auto& [text, name] : known)
        if (sha256(text) == digest) return name;
    return nullptr;
}

// What stands there is not repeated: it may be the key itself, by mistake.
struct DigestOfKey {
    std::string type() const { return "64 hexadecimal digits"; }
    std::string unit() const { return ""; }
    void read(Reader& reader, const Node& node, Digest& value) const {
        const auto digest =
            node.kind == Node::Kind::text ? parse_digest(node.text) : std::optional<Digest>();
        if (!digest)
            return reader.problem(
                node.at, "expected the SHA-256 of a key, 64 hexadecimal digits (in quotes)");
        if (const char* const text = known_text(*digest); text != nullptr)
            return reader.problem(node.at, "it is the digest of " + std::string(text) +
                                               ", which everybody knows: make a key, and take its "
                                               "own");
        value = *digest;
    }
    std::string show(const Digest&) const { return ""; }
};

void once(Reader& reader, const char* what, const std::string& name, const Node& node,
          const char* key) {
    const Reader::Step step(reader, key);
    reader.given_once(what, name, node.find(key)->at);
}

const Section& key_section() {
    using K = KeySetting;
    static const Section section =
        Table<K>("A key by its digest, as `printf %s \"$KEY\" | sha256sum` tells it.")
            .key("id", &K::id, plain_text("a text"),
                 {"Its name in the log; says nothing of the key", "a1", true})
            .key("sha256", &K::sha256, DigestOfKey{},
                 {"The SHA-256 of the key; the key itself stands nowhere",
                  "\"aeaf1d9f554495e3006c3a00290a8bca489ca04c25a0df021bd6a82065a11349\"", true})
            .checked([](Reader& reader, const Node& node, K& key) {
                once(reader, "id of a key", key.id, node, "id");
                const std::string digest(key.sha256.begin(), key.sha256.end());
                once(reader, "digest", digest, node, "sha256");
            });
    return section;
}

}  // namespace

const Section& consumer_section() {
    using C = ConsumerSetting;
    static const Section section =
        Table<C>(
            "Who may ask, known by a key. Where there is any consumer, a request without a key of "
            "one is refused with 401.")
            .key("name", &C::name, plain_text("a text"),
                 {"For rules, lines, the log and the metrics", "team-a", true})
            .key("labels", &C::labels, TextMap{plain_text("names"), plain_text("texts")},
                 {"What is known of it, for rules", "{team: a}"})
            .key("priority", &C::priority, Whole<std::uint8_t>{0, priority_max},
                 {"Its class in lines for slots: 0 is served first. A header that a model's "
                  "`queue.priority_header` names can only put a request behind that",
                  "2"})
            .key("admin", &C::admin, Truth{},
                 {"Its keys read all of /metrics; those of others only what is counted for them",
                  "true"})
            .key("group", &C::group, plain_text("a text"),
                 {"With whom it shares answers that are kept or under way, where a model says "
                  "`share: group`",
                  "research"})
            .maps("keys", &C::keys, key_section(), [](const C&) { return KeySetting{}; },
                  {"Its keys; at least one", "", true})
            .checked([](Reader& reader, const Node& node, C& consumer) {
                once(reader, "name of a consumer", consumer.name, node, "name");
                const Node* keys = node.find("keys");
                if (keys->kind != Node::Kind::list || !consumer.keys.empty()) return;
                const Reader::Step step(reader, "keys");
                reader.problem(keys->at, "a consumer needs at least one key");
            });
    return section;
}

}  // namespace sluice::config
