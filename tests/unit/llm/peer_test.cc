// BodyReader against a library's parser, on bodies that are made by breaking good ones.
#include "json_peer.h"
#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

const std::vector<std::string> bodies{
    R"({"model":"qwen","messages":[{"role":"user","content":"hi \u00e9 é 東京 🌊"}],"stream":true})",
    R"( { "model" : "a\/b" , "x" : [ 1 , -2.5e-3 , true , false , null , {} , [] ] } )",
    R"({"mod\u0065l":"\ud83c\udf0a","stream_options":{"include_usage":true},"max_tokens":1})",
    R"({"a":{"b":{"c":[[["deep"]]]}},"model":"m","t":"\"\\\/\b\f\n\r\t"})",
    R"({"n":[0,-0,1E+2,0.0001,12345678901234567890,1e-300,9e307]})",
};

// Pieces that parsers disagree about.
const std::vector<std::string> pieces{
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\n",
    "\t",
    "\x0C",
    "0",
    "1",
    "-",
    "+",
    ".",
    "e",
    "E",
    "1e999",
    "true",
    "null",
    "\\u0000",
    "\\ud800",
    "\\udc00",
    "\\u12",
    "\xC3\xA9",
    "\xFF",
    "\xED\xA0\x80",
    "\xEF\xBB\xBF",
    "\x7F",
    "\"model\":\"x\",",
    "\"Model\":1,",
    "\"a\":",
    "NaN",
    "//",
    "'",
};

std::string broken(Prng& prng) {
    std::string body = bodies[prng.below(bodies.size())];
    for (std::uint64_t edits = prng.between(1, 3); edits > 0; --edits) {
        const std::size_t at = prng.below(body.size() + 1);
        switch (prng.below(3)) {
            case 0:
                body.insert(at, pieces[prng.below(pieces.size())]);
                break;
            case 1:
                body.erase(at, prng.between(1, 4));
                break;
            default:
                body.insert(at, body.substr(prng.below(body.size() + 1), prng.below(12)));
                break;
        }
    }
    return body;
}

}  // namespace

TEST_CASE("fault 46: whole bodies are read as a library reads them") {
    for (const std::string& body : bodies) {
        CAPTURE(body);
        const Comparison seen = compare(body);
        CHECK(seen.ours);
        CHECK(seen.theirs);
        CHECK(seen.same_model);
    }
}

TEST_CASE("fault 46: broken bodies are taken and refused as a library does") {
    constexpr std::uint64_t seed = 46;
    Prng prng(seed);
    int taken = 0;
    int refused = 0;
    for (int i = 0; i < 20'000; ++i) {
        const std::string body = broken(prng);
        const Comparison seen = compare(body);
        taken += seen.ours;
        refused += !seen.ours && !seen.theirs;
        if (!agrees(seen)) FAIL_CHECK("they disagree about " << body);
    }
    CHECK(taken > 1'000);
    CHECK(refused > 1'000);
}
