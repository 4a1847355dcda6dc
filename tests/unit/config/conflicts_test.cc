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
    CHECK(problems_of("shards: 2", checks) ==
          ": limits.buffers: 2 shards with 256MiB each are more than the memory of this machine, "
          "300MiB\n");
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
         ": timeouts.body_gap: it is longer than body_total, which comes first\n"},
        {"limits: {connections: 10, connections_per_client: 11}",
         ": limits.connections_per_client: 11 are more than limits.connections, 10\n"},
        {"models: {m: {backends: [{url: http://a},\n {url: http://a:80/v1}]}}",
         ":2:2: models.m.backends[1]: the same backend stands in line 1: give that one a 'weight' "
         "or 'slots' instead\n"},
    });
}
