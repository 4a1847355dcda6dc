// Files that are wrong: each mistake is told with its place, and all of them at once.
#include "sluice/config/load.h"

#include "problems.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::config;
using namespace sluice::config::test;

namespace {

// A sound model whose backend has these further lines.
std::string with_backend(const std::string& line) {
    return "models:\n  m:\n    backends:\n      - url: http://a\n        " + line + "\n";
}

}  // namespace

TEST_CASE("a key that there is not is told with the one that was meant") {
    check({
        {"sharts: 1", ":1:1: there is no key 'sharts' here; did you mean 'shards'?\n"},
        {"\n\n  modles: {}\n", ":3:3: there is no key 'modles' here; did you mean 'models'?\n"},
        {"log: {acess: off}", ":1:7: log: there is no key 'acess' here; did you mean 'access'?\n"},
        {"log: {x: off}", ":1:7: log: there is no key 'x' here: expected access or probes\n"},
        {"timeouts: {haed: 1s}",
         ":1:12: timeouts: there is no key 'haed' here; did you mean 'head'?\n"},
        // Of later issues: not there today.
        {"limits: {cash: 1}",
         ":1:10: limits: there is no key 'cash' here: expected body, "
         "connections, connections_per_client, buffers or cache\n"},
        {with_backend("weigth: 2"),
         ":5:9: models.m.backends[0]: there is no key 'weigth' here; did you mean 'weight'?\n"},
    });
}

TEST_CASE("a value of another type is told with what was expected and what was found") {
    check({
        {"shards: many", ":1:9: shards: expected a whole number from 1 to 64, found 'many'\n"},
        {"shards: \"2\"",
         ":1:9: shards: expected a whole number from 1 to 64, found the text \"2\"\n"},
        {"shards: [1]", ":1:9: shards: expected a whole number from 1 to 64, found a list\n"},
        {"shards: {}", ":1:9: shards: expected a whole number from 1 to 64, found a map\n"},
        {"shards:\nrelay: auto",
         ":1:1: shards: expected a whole number from 1 to 64, found nothing\n"},
        {"discover: yes", ":1:11: discover: expected true or false, found 'yes'\n"},
        {"discover: \"true\"",
         ":1:11: discover: expected true or false, found the text \"true\"\n"},
        {"relay: bufer",
         ":1:8: relay: expected auto, buffer or splice, found 'bufer'; did you "
         "mean 'buffer'?\n"},
        {"listen: {a: b}",
         ":1:9: listen: expected an address, or a list of addresses or maps with them, found a "
         "map\n"},
        {"listen: [a, [b]]",
         ":1:13: listen[1]: expected a map with address or cors, found a list\n"},
        {"allowed_hosts: box",
         ":1:16: allowed_hosts: expected a list, each a host name, found "
         "'box'\n"},
        {"default_model: \"\"",
         ":1:16: default_model: expected a model's name, found the text \"\"\n"},
        {"log: off", ":1:6: log: expected a map with access or probes, found 'off'\n"},
        {"models: [a]", ":1:9: models: expected a map of models by their names, found a list\n"},
        {"models: {a: http://x}",
         ":1:13: models.a: expected a map with aliases, list, balance, hash, timeouts, backends, "
         "fallback, breaker, health, queue, heartbeat, resume, broken_stream, coalesce "
         "or cache, found "
         "'http://x'\n"},
        {"rules: {a: b}", ":1:8: rules: expected a list of maps, found a map\n"},
        {"rules: [a]",
         ":1:9: rules[0]: expected a map with name, when, use, split or sticky, "
         "found 'a'\n"},
        {"aliases: [a]",
         ":1:10: aliases: expected a map of aliases to models' names, found a list\n"},
        {"just a text",
         ":1:1: expected a map of keys like 'listen' and 'models', found 'just a "
         "text'\n"},
        {"- a", ":1:1: expected a map of keys like 'listen' and 'models', found a list\n"},
    });
}

TEST_CASE("numbers, durations and sizes have bounds") {
    const std::string slots =
        ":5:16: models.m.backends[0].slots: expected a whole number from 0 "
        "to 65536, found ";
    check({
        {"shards: 0", ":1:9: shards: expected a whole number from 1 to 64, found '0'\n"},
        {"shards: 65", ":1:9: shards: expected a whole number from 1 to 64, found '65'\n"},
        {with_backend("slots: -1"), slots + "'-1'\n"},
        {with_backend("slots: 4.0"), slots + "'4.0'\n"},
        {with_backend("slots: 0x4"), slots + "'0x4'\n"},
        {with_backend("slots: 65537"), slots + "'65537'\n"},
        {with_backend("slots: 99999999999999999999"), slots + "'99999999999999999999'\n"},
        {"timeouts: {head: 10}",
         ":1:18: timeouts.head: expected a duration like 250ms, 10s or 5m, found '10'\n"},
        {"timeouts: {head: -1s}",
         ":1:18: timeouts.head: expected a duration like 250ms, 10s or 5m, found '-1s'\n"},
        {"timeouts: {head: 2000000h}",
         ":1:18: timeouts.head: expected a duration like 250ms, 10s or 5m, found '2000000h'\n"},
        {"defaults: {health: {interval: 0}}",
         ":1:31: defaults.health.interval: expected a duration from 10ms to 24h, found '0'\n"},
        {"limits: {body: 16MB}",
         ":1:16: limits.body: expected a size like 512B, 64KiB or 16MiB, found '16MB'\n"},
        {"limits: {body: 1}",
         ":1:16: limits.body: expected a size like 512B, 64KiB or 16MiB, found '1'\n"},
        {"limits: {body: 1B}",
         ":1:16: limits.body: expected a size from 1KiB to 1024GiB, found '1B'\n"},
        {"limits: {buffers: 257MiB}",
         ":1:19: limits.buffers: expected a size from 1MiB to 256MiB, found '257MiB'\n"},
        {"defaults: {breaker: {error_rate: 1.5}}",
         ":1:34: defaults.breaker.error_rate: expected a number from 0 to 1, found '1.5'\n"},
        {"defaults: {breaker: {error_rate: nan}}",
         ":1:34: defaults.breaker.error_rate: expected a number from 0 to 1, found 'nan'\n"},
        {"defaults: {breaker: {open: 10s, open_max: 5s}}",
         ":1:21: defaults.breaker: 'open' is longer than 'open_max'\n"},
    });
}

TEST_CASE("a model needs a backend, and a backend a URL that can be read") {
    const std::string expected = "expected a URL like http://127.0.0.1:8080 or unix:/path\n";
    check({
        {"models: {m: {}}",
         ":1:10: models.m: a model needs at least one backend: the key 'backends'\n"},
        {"models: {m: {backends: []}}",
         ":1:10: models.m: a model needs at least one backend: the key 'backends'\n"},
        {"models: {m: {backends: [{}]}}",
         ":1:25: models.m.backends[0]: the key 'url' is missing\n"},
        {"models: {m: {backends: [{url: ftp://x}]}}",
         ":1:31: models.m.backends[0].url: " + expected},
        {"backends: [127.0.0.1:1]", ":1:12: backends[0]: " + expected},
        {"fallback_backend: x", ":1:19: fallback_backend: " + expected},
        {"routes: [{path: /a, backends: []}]",
         ":1:31: routes[0]: a route needs at least one backend\n"},
    });
    Checks checks;
    checks.server = [](std::string_view url) -> Status {
        if (url == "http://good") return Done{};
        return Error::gateway("not '" + std::string(url) + "'");
    };
    checks.address = [](std::string_view) -> Status { return Error::gateway("no address"); };
    checks.host = [](std::string_view) -> Status { return Error::gateway("no host"); };
    CHECK(
        problems_of("backends: [http://good, http://bad]\nlisten: x\nallowed_hosts: [y]", checks) ==
        ":1:25: backends[1]: not 'http://bad'\n:2:9: listen: no address\n"
        ":3:17: allowed_hosts[0]: no host\n");
}

TEST_CASE("a pool has no more backends than can be chosen of") {
    const auto backends = [](std::size_t count) {
        std::string list = "backends: [";
        for (std::size_t i = 0; i < count; ++i)
            list += "{url: \"http://a:" + std::to_string(i + 1) + "\"},";
        return list + "]";
    };
    const std::size_t most = limits::pool_backends_max;
    const std::string model = "models:\n  m:\n    ";
    const std::string route = "routes:\n- path: /a\n  ";
    const std::string told = ": a pool has at most 64 backends, found 65\n";
    check({
        {model + backends(most), ""},
        {model + backends(most + 1), ":3:15: models.m" + told},
        {route + backends(most), ""},
        {route + backends(most + 1), ":3:13: routes[0]" + told},
    });
    for (const std::size_t count : {most, most + 1}) {
        const auto outcome = load_text("", {}, [count](Settings& settings) {
            settings.models.emplace_back().name = "m";
            for (std::size_t i = 0; i < count; ++i)
                settings.models.back().backends.push_back({.url = std::to_string(i)});
        });
        CHECK(outcome.ok() == (count == most));
        if (!outcome.ok())
            CHECK(outcome.problems[0].to_text("") ==
                  ": the model 'm' of the flags" + told.substr(0, told.size() - 1));
    }
}

TEST_CASE("names lead somewhere, once, and no model is its own fallback") {
    const std::string m = "{backends: [{url: \"http://a\"}]";
    check({
        {"default_model: qwem\nmodels: {qwen: " + m + "}}",
         ":1:16: default_model: there is no model 'qwem'; did you mean 'qwen'?\n"},
        {"models: {one: " + m + ", fallback: [two]}}",
         ":1:58: models.one.fallback[0]: there is no model 'two'\n"},
        {"models: {one: " + m +
             "}}\nrules: [{name: r, when: {stream: true}, use: x}, {name: s, split: [{model: y, "
             "percent: 100}]}]",
         ":2:46: rules[0].use: there is no model 'x'\n"
         ":2:76: rules[1].split[0].model: there is no model 'y'\n"},
        {"models: {one: " + m + "}}\naliases: {x: y}", ":2:14: aliases.x: there is no model 'y'\n"},
        {"models: {one: " + m + ", aliases: [x]}, two: " + m + ", aliases: [x, one]}}",
         ":1:109: models.two.aliases[0]: 'x' is an alias already, in line 1\n"
         ":1:112: models.two.aliases[1]: 'one' is a model's own name\n"},
        {"models: {one: " + m + ", aliases: [\"x*\"]}}",
         ":1:57: models.one.aliases[0]: an alias is no wildcard: name the model 'x*' instead\n"},
        {"models: {one: " + m + ", fallback: [one]}}",
         ":1:58: models.one.fallback[0]: a model is no fallback of its own: name another one\n"},
        // Through an alias and for one cause only; by the file's aliases; by its own wildcard.
        {"models: {one: " + m + ", aliases: [uno], fallback: {overload: [two, uno]}}, two: " + m +
             "}}",
         ":1:90: models.one.fallback.overload[1]: 'uno' is the model 'one' itself, which is no "
         "fallback of its own: name another one\n"},
        {"aliases: {x: one}\nmodels: {one: " + m + ", fallback: [x]}}",
         ":2:58: models.one.fallback[0]: 'x' is the model 'one' itself, which is no fallback of "
         "its own: name another one\n"},
        {"models: {gpt*: " + m + ", fallback: [gpt-4]}}",
         ":1:59: models.gpt*.fallback[0]: 'gpt-4' is the model 'gpt*' itself, which is no "
         "fallback of its own: name another one\n"},
    });
    // A fallback's own chain is not followed: there is no way back, whoever names whom.
    CHECK(problems_of("models: {a: " + m + ", fallback: [b, c]}, b: " + m +
                      ", fallback: [c, a]}, c: " + m + ", fallback: {any: [a], overload: [b]}}}") ==
          "");
    CHECK(problems_of("models: {gpt*: " + m + ", fallback: [gpt-4]}, gpt-4: " + m +
                      ", fallback: [gpt-3]}}") == "");
    // A flag is not in the text.
    const auto flagged = load_text("models: {one: " + m + "}}", {},
                                   [](Settings& settings) { settings.default_model = "ones"; });
    REQUIRE(flagged.problems.size() == 1);
    CHECK(flagged.problems[0].to_text("f") ==
          "f: the default model: there is no model 'ones'; did you mean 'one'?");
    // A wildcard serves what it matches, and servers that are asked may have anything.
    CHECK(problems_of("default_model: gpt-4o-mini\nmodels: {gpt-4o*: " + m + "}}") == "");
    CHECK(problems_of("default_model: any\nbackends: [http://a]\nmodels: {m: " + m + "}}") == "");
    CHECK(problems_of("default_model: any") == "");
}

TEST_CASE("rules, routes and hashes are sound as a whole") {
    const std::string head = "backends: [http://a]\nrules:\n  - name: r\n    ";
    const std::string route = "routes:\n  - path: /a\n    backends: [{url: http://a}]\n    ";
    check({
        {head + "when: {stream: true}",
         ":3:5: rules[0]: needs 'use' with a model, or 'split' with several\n"},
        {head + "use: a\n    split: []", ":3:5: rules[0]: either 'use' or 'split', not both\n"},
        {head + "split: [{model: a, percent: 50}, {model: b, percent: 49}]",
         ":4:12: rules[0]: the percents of 'split' make 99: expected 100\n"},
        {head + "split: []", ":4:12: rules[0]: the percents of 'split' make 0: expected 100\n"},
        {head + "split: [{model: a, percent: 101}]",
         ":4:33: rules[0].split[0].percent: expected a whole number from 0 to 100, found '101'\n"},
        {head + "use: a\n    when: {max_tokens: {min: 5, max: 4}}",
         ":5:24: rules[0].when.max_tokens: 'min' is more than 'max'\n"},
        {head + "use: a\n    when: {method: post, path: v1}",
         ":5:20: rules[0].when.method: expected a method in capitals like POST, found 'post'\n"
         ":5:32: rules[0].when.path: expected a path that begins with '/' and has no '?', '#' or "
         "space, found 'v1'\n"},
        {head + "use: a\n    when: {headers: {\"x y\": z}}",
         ":5:22: rules[0].when.headers.x y: no name of a header: 'x y'\n"},
        {head + "use: a\n    sticky: {by: header}",
         ":5:13: rules[0].sticky: 'by: header' needs the key 'header'\n"},
        {head + "use: a\n    sticky: {header: x}",
         ":5:13: rules[0].sticky: the key 'header' needs 'by: header'\n"},
        {route + "balance: prefix",
         ":4:14: routes[0].balance: expected auto, round-robin, least-busy, least-latency or hash, "
         "found 'prefix'\n"},
    });
}

TEST_CASE("consumers and their keys are sound as a whole, and no key is repeated in a message") {
    const std::string digest = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    const std::string upper = "2C26B46B68FFC68FF99B453C1D30413413422D706483BFA0F98A5E886266E7AE";
    const std::string wrong = "expected the SHA-256 of a key, 64 hexadecimal digits (in quotes)\n";
    check({
        {"consumers: [{}]",
         ":1:13: consumers[0]: the key 'keys' is missing\n"
         ":1:13: consumers[0]: the key 'name' is missing\n"},
        {"consumers: [{name: a, keys: []}]",
         ":1:29: consumers[0].keys: a consumer needs at least one key\n"},
        {"consumers: [{name: a, keys: [{id: k}]}]",
         ":1:30: consumers[0].keys[0]: the key 'sha256' is missing\n"},
        {"consumers: [{name: a, keys: [{id: k, sha256: sk-secret}]}]",
         ":1:46: consumers[0].keys[0].sha256: " + wrong},
        {"consumers: [{name: a, keys: [{id: k, sha256: [" + digest + "]}]}]",
         ":1:46: consumers[0].keys[0].sha256: " + wrong},
        {"consumers: [{name: a, priority: 16, keys: [{id: k, sha256: " + digest + "}]}]",
         ":1:33: consumers[0].priority: expected a whole number from 0 to 15, found '16'\n"},
        {"consumers:\n- {name: a, keys: [{id: k, sha256: " + digest +
             "}]}\n- {name: a, keys: [{id: k, sha256: " + upper + "}]}",
         ":3:25: consumers[1].keys[0].id: the same id of a key stands in line 2\n"
         ":3:36: consumers[1].keys[0].sha256: the same digest stands in line 2\n"},
        {"consumers:\n- {name: a, keys: [{id: k, sha256: " + digest +
             "}]}\n- {name: a, keys: [{id: l, sha256: e" + digest.substr(1) + "}]}",
         ":3:10: consumers[1].name: the same name of a consumer stands in line 2\n"},
    });
}

TEST_CASE("a path and a rewrite are judged by those who use them, each at its place") {
    const Checks checks{.path = [](std::string_view path) -> Status {
                            if (path.find("..") == path.npos) return Done{};
                            return Error::client(400, "two readings.");
                        },
                        .route = [](std::string_view path) -> Status {
                            if (path != "/own") return Done{};
                            return Error::gateway("the gateway's own.");
                        },
                        .rewrite = [](const RewriteSetting& setting) -> Status {
                            if (setting.pattern == "(") return Error::client(400, "bad pattern.");
                            if (setting.replacement == "$2")
                                return Error::client(400, "bad group.");
                            return Done{};
                        }};
    const auto problems = [&](const std::string& path, const std::string& rewrite) {
        std::string all;
        const auto outcome =
            load_text("routes:\n  - path: " + path +
                          "\n    backends: [{url: http://a}]\n    rewrite: " + rewrite + "\n",
                      checks);
        for (const Problem& problem : outcome.problems)
            all += problem.to_text("") + "\n";
        return all;
    };
    CHECK(problems("/a", "{pattern: x, replacement: $1}") == "");
    // Nothing in place of the match; but it has to be said.
    CHECK(problems("/a", "{pattern: x, replacement: \"\"}") == "");
    CHECK(problems("/a", "{pattern: x, replacement: }") ==
          ":4:27: routes[0].rewrite.replacement: expected a text, found nothing\n");
    CHECK(problems("/a", "{pattern: \"\", replacement: \"\"}") ==
          ":4:24: routes[0].rewrite.pattern: expected a regular expression, found the text "
          "\"\"\n");
    CHECK(problems("/a/../b", "{pattern: x, replacement: y}") ==
          ":2:11: routes[0].path: two readings.\n");
    CHECK(problems("/own", "{pattern: x, replacement: y}") ==
          ":2:11: routes[0].path: the gateway's own.\n");
    CHECK(problems("/a", "{pattern: \"(\", replacement: $2}") ==
          ":4:24: routes[0].rewrite.pattern: bad pattern.\n");
    CHECK(problems("/a", "{pattern: x, replacement: $2}") ==
          ":4:40: routes[0].rewrite.replacement: bad group.\n");
}

TEST_CASE("what is no YAML, or more of it than is meant, is told with its place") {
    check({
        {"shards: 1\nshards: 2", ":2:1: 'shards' stands twice in one map, first in line 1\n"},
        {"shards: 1\n---\nshards: 2", ":3:1: a second document: there is one in a file\n"},
        {"listen: &a [*a]", ":1:13: an alias inside of what it stands for\n"},
        {"shards: !!int 1", ":1:9: tags are not used here: leave 'tag:yaml.org,2002:int' out\n"},
        {"[a]: b", ":1:1: a key has to be a plain text\n"},
        {"<<: 5", ":1:1: '<<' merges maps only\n"},
        {std::string("listen: a\0b", 11),
         ":1:10: a control character: write it as \"\\x..\" if it is meant\n"},
        {"listen: \"a\\0b\"", ":1:9: listen: a text with a control character in it\n"},
        {"models: {\"a\\nb\": {}}", ":1:10: models.a?b: a text with a control character in it\n"},
        {"listen: \xff", ":1:9: not UTF-8\n"},
        {"\xfe\xff", ":1:1: not UTF-8\n"},
        {"listen: " + std::string(5000, 'a'), ":1:9: listen: a text of more than 4096 bytes\n"},
        {"models: {" + std::string(257, 'a') + ": {}}",
         ":1:10: models." + std::string(60, 'a') + "...: a model's name has at most 256 bytes\n"},
    });
    // A tab is told as one, whatever the library makes of it.
    const std::string tab = "no sound YAML: a tab in the indentation: write spaces\n";
    check({
        {"models:\n\tm:\n\t\tbackends: []\n", ":2:1: " + tab},
        {"models:\n  m:\n\tbackends: []\n", ":3:1: " + tab},
        {"log:\n  access: off\n\tx: 1\n", ":3:1: " + tab},
        {"listen:\r\n \t- a\r\n", ":2:2: " + tab},
        {"shards: 1\n\tlisten", ":2:1: " + tab},
        // Where it is no indentation it may stand.
        {"shards:\t1\nlisten: [\n\ta,\n\tb]\n", ""},
    });
    // In the words of the library, which are not the same in all of its versions.
    for (const char* text : {"listen: a\n  b: c", "listen: [a", "listen: *a", "a: b: c", "@",
                             "\tlisten: a", "listen: \"a", "%YAML x\n---\n", "{]"}) {
        CAPTURE(text);
        const auto problems = load_text(text).problems;
        REQUIRE(problems.size() == 1);
        CHECK(problems[0].at.line > 0);
        CHECK(problems[0].message.starts_with("no sound YAML: "));
    }
    CHECK(problems_of(std::string(file_bytes_max + 1, '#')) == ": has more than 1048576 bytes\n");
    CHECK(problems_of(std::string(file_bytes_max, '#')) == "");
}

TEST_CASE("nesting and aliases are bounded") {
    const std::string deep = "listen: " + std::string(31, '[') + std::string(31, ']');
    CHECK(problems_of(deep) ==
          ":1:10: listen[0]: expected a map with address or cors, found a list\n");
    for (const std::size_t levels : {40U, 20'000U}) {
        const std::string deeper = std::string(levels, '[') + std::string(levels, ']');
        CHECK(problems_of(deeper) == ":1:33: nested deeper than 32 levels\n");
        CHECK(problems_of("listen: " + deeper) == ":1:40: nested deeper than 32 levels\n");
        CHECK_FALSE(load_text(std::string(levels, '[')).ok());
        CHECK_FALSE(load_text(std::string(levels, '{')).ok());
    }
    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 10; ++i) {
        const std::string last = "*a" + std::to_string(i - 1);
        const std::string name = "a" + std::to_string(i);
        bomb += name + ": &" + name + " [" + last;
        for (int j = 1; j < 10; ++j)
            bomb += ", " + last;
        bomb += "]\n";
    }
    CHECK(problems_of(bomb).find("more than 100000 values") != std::string::npos);
}

TEST_CASE("there are at most 4096 models, and 256 wildcards among them") {
    const auto file = [](const std::string& star, int count) {
        std::string text = "models:\n";
        for (int i = 0; i < count; ++i)
            text += "  m" + std::to_string(i) + star + ": {backends: [{url: http://a}]}\n";
        return text;
    };
    CHECK(problems_of(file("", 4096)) == "");
    CHECK(problems_of(file("", 4097)) == ":2:3: models: more than 4096 models\n");
    CHECK(problems_of(file("*", 256)) == "");
    CHECK(problems_of(file("*", 257)) == ":2:3: models: more than 256 wildcards\n");
}

TEST_CASE("mistakes come in the order of the text, each once, and not without end") {
    const auto outcome =
        load_text("models:\n  b: &b {backends: [{url: 5}]}\n  c: *b\nx: 1\nshards: 0\n");
    REQUIRE(outcome.problems.size() == 4);
    for (std::size_t i = 1; i < outcome.problems.size(); ++i)
        CHECK(outcome.problems[i - 1].at <= outcome.problems[i].at);
    std::string many;
    for (int i = 0; i < 500; ++i)
        many += "unknown" + std::to_string(i) + ": 1\n";
    const auto full = load_text(many);
    CHECK(full.problems.size() == 101);
    CHECK(full.problems.back().message == "more than 100 mistakes: the others are not told");
}

TEST_CASE("a file that cannot be read is told of") {
    const auto outcome = load_file("/nonexistent/sluice.yaml");
    REQUIRE(outcome.problems.size() == 1);
    CHECK(outcome.problems[0].to_text("f") == "f: cannot be read: No such file or directory");
    CHECK(load_file("/").problems.at(0).to_text("f") == "f: is no file");
}
