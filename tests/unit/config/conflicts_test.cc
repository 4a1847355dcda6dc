// Settings that can be read and cannot mean what they say.
#include "problems.h"
#include "sluice/config/load.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::config;
using namespace sluice::config::test;

namespace {

const std::string models = "models: {m: {backends: [{url: http://a}]}}\n";

std::string rules(const std::string& two) {
    return models + "rules:\n" + two;
}

}  // namespace

TEST_CASE("T1: what cannot mean what it says is told, with what to do") {
    check({
        {models + "aliases: {a: b, b: a}",
         ":2:11: aliases: they go round in a circle and lead to no model: 'a' -> 'b' -> 'a'\n"},
        {models + "aliases: {a: a}",
         ":2:11: aliases: they go round in a circle and lead to no model: 'a' -> 'a'\n"},
        {"routes: [{path: /x/*, backends: [{url: http://a}]}]",
         ":1:17: routes[0].path: a path has no '*', for it means all that is below it: write "
         "'/x'\n"},
        {"routes: [{path: /x, backends: [{url: http://a}]},\n {path: /x, backends: [{url: "
         "http://b}]}]",
         ":2:2: routes[1]: is never reached: the route in line 1 has the same path and takes all "
         "of it\n"},
        {rules(" - {name: a, use: m}\n - {name: b, when: {stream: true}, use: m}"),
         ":4:4: rules[1]: is never reached: the rule 'a' in line 3 has no 'when' and takes every "
         "request\n"},
        {"models: {m: {backends: [{url: http://a},\n {url: http://a/v1/}]}}",
         ":2:2: models.m.backends[1]: the same backend stands in line 1: give that one a 'weight' "
         "or 'slots' instead\n"},
        {"models: {m: {hash: {by: client}, backends: [{url: http://a}]}}",
         ":1:20: models.m: 'hash' counts with 'balance: hash' only: say that too\n"},
        {"models: {m: {balance: hash, hash: {by: consumer}, backends: [{url: http://a}]}}",
         ":1:35: models.m.hash: 'by: consumer' needs consumers, and there are none: name them "
         "with their keys under 'consumers'\n"},
        {"models:\n a*: {backends: [{url: http://a}]}\n \"*b\": {backends: [{url: http://a}]}",
         ":3:2: models.*b: a name may fit it and 'a*' as well: make one a part of the other, or "
         "name the models\n"},
        {"listen: [127.0.0.1:1,\n 127.0.0.1:1]",
         ":2:2: listen[1]: the same address to listen on stands in line 1\n"},
        {"listen: [{address: a, cors: {origins: [app.example]}}]",
         ":1:40: listen[0].cors.origins[0]: 'app.example' is no origin: write it with its scheme, "
         "like http://app.example or app://obsidian.md\n"},
    });
    CHECK(load_text("# nothing\n").says_nothing);
    CHECK_FALSE(load_text("shards: 1").says_nothing);
    Checks checks;
    checks.memory = 300 * limits::MiB;
    CHECK(
        problems_of("shards: 2", checks) ==
        ":1:9: limits.buffers: 2 shards with 256MiB each are more than the memory of this machine, "
        "300MiB\n");
}

TEST_CASE("T1: what is known to everybody, is meant for strangers, or is one elsewhere") {
    const auto keys = [](const std::string& digest) {
        return "consumers:\n - name: a\n   keys: [{id: x, sha256: \"" + digest + "\"}]\n";
    };
    const std::string sound = keys(std::string(64, '1'));
    const auto listening = [&](const std::string& origin) {
        return sound + "listen: [{address: 127.0.0.1:1, cors: {origins: [\"" + origin + "\"]}}]\n";
    };
    check({
        {keys("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
         ":3:27: consumers[0].keys[0].sha256: it is the digest of 'abc', which everybody "
         "knows: make a key, and take its own\n"},
        {keys("E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"),
         ":3:27: consumers[0].keys[0].sha256: it is the digest of nothing, which everybody knows: "
         "make a key, and take its own\n"},
        {"backends: [{url: http://a, labels: {a-b: x, a.b: y, c: z}}]",
         ":1:36: backends[0].labels: 'a-b' and 'a.b' are one label in the metrics, label_a_b: name "
         "one of them otherwise\n"},
        {"fallback_backend: http://a\nbackends: [http://b]",
         ":1:19: fallback_backend: it is used where servers are looked for and none is found, and "
         "beside 'backends' none are looked for: name it under 'backends', or as a model's "
         "'fallback'\n"},
        {"fallback_backend: http://a\ndiscover: false",
         ":1:19: fallback_backend: it is used where servers are looked for and none is found, and "
         "beside 'discover: false' none are looked for: name it under 'backends', or as a model's "
         "'fallback'\n"},
    });
    CHECK(problems_of("fallback_backend: http://a\n").empty());
    for (const char* origin :
         {"*", "https://*", "http://*:*", "*://*", "https://*.com", "https://*.co.uk",
          "https://app.*", "https://*app.example", "https://app*", "https://192.168.*",
          "https://*example.com", "*://*.dev"}) {
        CAPTURE(origin);
        CHECK(problems_of(listening(origin)).find("pages of strangers") != std::string::npos);
    }
    for (const char* origin :
         {"https://*.app.example", "https://app.example:*", "http://*.lan", "http://*.home.arpa",
          "https://*.example.com", "https://a*.example.co.uk", "vscode-webview://*", "app://*",
          "http://localhost:*", "https://app-*.example.com"}) {
        CAPTURE(origin);
        CHECK(problems_of(listening(origin)).empty());
    }
}

TEST_CASE(
    "T1: a file that cannot be opened and what is wrong with a server's URL have their place") {
    Checks checks;
    checks.log = [](std::string_view) -> Status { return Error::gateway("no such folder"); };
    checks.server = [](std::string_view) -> Status { return Error::gateway("an endpoint"); };
    checks.kept = checks.log;
    CHECK(problems_of("cache: {disk: /nope}", checks) == ":1:15: cache.disk: no such folder\n");
    CHECK(problems_of("cache: {disk_bytes: 1MiB}", checks) ==
          ":1:21: cache.disk_bytes: expected a size from 4MiB to 1024GiB, found '1MiB'\n");
    CHECK(problems_of("log: {access: /nope}", checks) == ":1:15: log.access: no such folder\n");
    CHECK(problems_of("discover: false", checks).empty());
    CHECK(problems_of("backends:\n - http://a/v1/models\n - url: http://b/x", checks) ==
          ":2:4: backends[0]: an endpoint\n:3:9: backends[1].url: an endpoint\n");
    // What a flag takes the place of is not looked at.
    const auto outcome = load_text("log: {access: /nope}", checks,
                                   [](Settings& settings) { settings.access_log = "off"; });
    CHECK(outcome.ok());
}

TEST_CASE("T1: what is never reached, stands twice or does nothing") {
    check({
        {rules(" - {name: a, when: {path: /}, use: m}\n - {name: b, when: {stream: true}, use: m}"),
         ":4:4: rules[1]: is never reached: the rule 'a' in line 3 takes every request\n"},
        {rules(" - {name: a, when: {model: \"g*\"}, use: m}\n"
               " - {name: b, when: {model: \"gpt*\", stream: true}, use: m}"),
         ":4:4: rules[1]: is never reached: the rule 'a' in line 3 takes all that this one could: "
         "put it behind\n"},
        {rules(" - {name: a, when: {path: /v1/chat/, prompt_bytes: {min: 5}}, use: m}\n"
               " - {name: b, when: {path: /v1/chat/completions, prompt_bytes: {min: 9, max: 99}}, "
               "use: m}"),
         ":4:4: rules[1]: is never reached: the rule 'a' in line 3 takes all that this one could: "
         "put it behind\n"},
        {rules(" - {name: a, use: m, sticky: {by: client}}"),
         ":3:30: rules[0]: 'sticky' does nothing without a 'split'\n"},
        {rules(" - {name: a, split: [{model: m, percent: 50}, {model: m, percent: 50}]}"),
         ":3:21: rules[0]: 'split' names 'm' twice: give it one share\n"},
        {"routes: [{path: /x, methods: [GET, POST, GET], backends: [{url: http://a}]}]",
         ":1:42: routes[0].methods[2]: 'GET' stands there twice\n"},
        {"models: {m: {backends: [{url: http://a}], fallback: [n, n]},"
         " n: {backends: [{url: http://b}]}}",
         ":1:57: models.m.fallback[1]: 'n' stands there twice\n"},
        {"routes: [{path: \"/x/{id}\", backends: [{url: http://a}]}]",
         ":1:17: routes[0].path: expected the begin of a path, which means all that is below it, "
         "without placeholders: found '/x/{id}'\n"},
        {"routes: [{path: /x, headers: {a: \"b*\"}, backends: [{url: http://a}]},\n"
         " {path: /x/, headers: {a: bc, d: e}, backends: [{url: http://b}]}]",
         ":2:2: routes[1]: is never reached: the route in line 1 has the same path and takes all "
         "of it\n"},
        {"models: {m: {backends: [{url: http://a}], health: {path: /x}}}",
         ":1:51: models.m: 'health.path' is asked for by 'probe: http' only: add that\n"},
        {"models: {\"a*\": {backends: [{url: http://a}]},\n \"a**\": {backends: [{url: "
         "http://b}]}}",
         ":2:2: models.a**: it fits the same names as 'a*': one of them will do\n"},
        {"log: {access: \"on\"}",
         ":1:15: log.access: expected stderr, off or a file, found 'on': write /dev/stdout for "
         "that, ./on for a file of that name\n"},
        {"timeouts: {body_gap: 2m, body_total: 1m}",
         ":1:22: timeouts.body_gap: it is longer than timeouts.body_total, which comes first\n"},
        {"defaults: {timeouts: {first_byte: 10m, total: 90s}}",
         ":1:35: defaults.timeouts.first_byte: it is longer than 'total' (90s), which comes "
         "first\n"},
        {"defaults: {timeouts: {total: 1m}}\n"
         "models: {m: {backends: [{url: http://a}], timeouts: {gap: 2m}}}",
         ":2:59: models.m.timeouts.gap: it is longer than 'total' (1m), which comes first\n"},
        {"consumers: []",
         ":1:12: consumers: an empty list would serve everybody: name at least one with its key, "
         "or leave 'consumers' out where no keys are wanted\n"},
        {"listen: []",
         ":1:9: listen: expected an address, or a list of addresses or maps with them, found an "
         "empty list\n"},
        {"limits: {connections: 10, connections_per_client: 11}",
         ":1:51: limits.connections_per_client: 11 are more than limits.connections, 10\n"},
        {"models: {m: {backends: [{url: http://a},\n {url: http://a:80/v1}]}}",
         ":2:2: models.m.backends[1]: the same backend stands in line 1: give that one a 'weight' "
         "or 'slots' instead\n"},
    });
}
