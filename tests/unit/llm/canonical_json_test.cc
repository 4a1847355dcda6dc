// What is equal and what is not, as a table; what is refused; and that the form is its own form.
#include "sluice/llm/canonical_json.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace sluice::llm;

namespace {

std::string write(const CanonicalJson& json) {
    std::string out;
    RunWriter writer([](void* context,
                        std::string_view run) { static_cast<std::string*>(context)->append(run); },
                     &out);
    json.write(CanonicalJson::root, writer);
    writer.flush();
    return out;
}

// The fault's number in angle brackets where there is one, which no canonical form begins with.
std::string canonical(std::string_view text, JsonBounds bounds = {}) {
    CanonicalJson json(bounds);
    const JsonFault fault = json.read(text);
    if (fault != JsonFault::none) return "<" + std::to_string(static_cast<int>(fault)) + ">";
    return write(json);
}

JsonFault fault_of(std::string_view text, JsonBounds bounds = {}) {
    return CanonicalJson(bounds).read(text);
}

std::string zeros(std::size_t count) {
    return std::string(count, '0');
}

// Every text of a line has the same form, and no two lines have the same.
const std::vector<std::vector<std::string>> lines{
    // --- numbers ---
    {"1", "1.0", "1e0", "10e-1", "1E0", "1e+0", "1e-0", "0.1e1", "1.000", "100e-2", "1e000"},
    {"0", "-0", "0.0", "-0.0", "0e5", "0e-5", "-0e0", "0e" + std::string(400, '9')},
    {"-1", "-1.0", "-10e-1"},
    {"100", "1e2", "100.0", "10e1", "0.01e4"},
    {"1" + zeros(40), "1e40", "1.0E+40"},
    {"1" + zeros(40) + "1"},
    {"1e308"},
    {"1e309", "10e308"},
    {"1e400"},
    {"-1e400"},
    {"1e-400", "0.1e-399"},
    {"1e99999999999999999", "10e99999999999999998"},
    {"1e-99999999999999999"},
    {"9007199254740992", "9007199254740992.0"},
    {"9007199254740993", "9007199254740993e0"},  // one double for both
    {"0.1", "1e-1", "0.10"},
    {"0.1000000000000000055511151231257827"},  // the double that 0.1 is read as
    {"0.30000000000000004"},
    {"0.3"},
    {"18446744073709551615"},
    {"18446744073709551616"},
    // --- literals and strings that look like others ---
    {"true", " true\n"},
    {"false"},
    {"null"},
    {R"("")"},
    {R"("1")", R"("\u0031")"},
    {R"("true")"},
    {R"("null")"},
    // --- strings ---
    {R"("a")", R"("\u0061")", R"( "a" )"},
    {R"("A")", R"("\u0041")"},
    {R"(" a")"},
    {R"("a ")"},
    {"\"\xC3\xA9\"", R"("\u00e9")", R"("\u00E9")"},
    {"\"e\xCC\x81\"", R"("e\u0301")"},  // the same letter in two characters
    {"\"\xF0\x9F\x98\x80\"", R"("\ud83d\ude00")", R"("\uD83D\uDE00")"},
    {R"("\ud83d")", R"("\uD83D")"},
    {R"("\ude00")"},
    {R"("\ude00\ud83d")"},
    {R"("\ud83dx\ude00")"},
    {"\"\xEF\xBF\xBD\"", R"("\ufffd")"},
    {R"("\\ud83d")"},
    {R"("/")", R"("\/")", R"("\u002f")"},
    {R"("\\/")", R"("\\\/")", R"("\u005c/")"},
    {R"("\"")", R"("\u0022")"},
    {R"("\\")", R"("\u005c")", R"("\u005C")"},
    {R"("\n")", R"("\u000a")", R"("\u000A")"},
    {R"("\\n")"},
    {R"("\u0000")"},
    {R"("\u0001")"},
    {R"("\u007f")", "\"\x7F\""},
    {R"("\u2028")", "\"\xE2\x80\xA8\""},
    {R"("\u00e9\/")", "\"\xC3\xA9/\""},
    // --- containers ---
    {"[]", " [ ] "},
    {"{}", "{\t}"},
    {"[[]]"},
    {"[{}]"},
    {"[1,2]", "[ 1 , 2.0 ]"},
    {"[2,1]"},
    {"[12]"},
    {"[1,[2]]"},
    {"[[1],2]"},
    {"[[1,2]]"},
    {R"(["1,2"])"},
    {R"(["1","2"])"},
    {R"({"a":1,"b":2})", R"({"b":2,"a":1})", R"({ "\u0062" : 2e0, "\u0061" : 1.0 })"},
    {R"({"a":2,"b":1})"},
    {R"({"a":{"b":2}})"},
    {R"({"a":"1,\"b\":2"})"},
    {R"({"ab":{"x":1,"y":[{"q":1,"p":2}]},"abcdefghi":1,"abcdefghij":2})",
     R"({"abcdefghij":2,"abcdefghi":1,"ab":{"y":[{"p":2,"q":1}],"x":1}})"},
    {R"({"":1})"},
    {R"({"a":null})"},
    {R"({"A":null})"},
    {R"([{"a":1},{"b":2}])"},
    {R"([{"a":1,"b":2},{}])"},
    {R"({"a\"b":1})", R"({"a\u0022b":1})"},
    {"{\"\xC3\xA9\":1,\"z\":2}", R"({"z":2,"\u00E9":1})"},
};

}  // namespace

TEST_CASE("what is equal and what is not") {
    std::vector<std::string> forms;
    for (const auto& line : lines) {
        const std::string form = canonical(line.front());
        INFO(line.front());
        CHECK(form[0] != '<');
        CHECK(canonical(form) == form);
        for (const std::string& text : line) {
            INFO(text);
            CHECK(canonical(text) == form);
        }
        for (const std::string& other : forms)
            CHECK(other != form);
        forms.push_back(form);
    }
}

TEST_CASE("the form itself") {
    CHECK(canonical(R"( { "b" : [ 1.50, -20, true ], "a\/" : "\u00e9\u0007\t" } )") ==
          "{\"a/\":\"\xC3\xA9\\u0007\\t\",\"b\":[15e-1,-2e1,true]}");
}

TEST_CASE("what is refused, and why") {
    struct Case {
        std::string text;
        JsonFault fault;
    };
    using enum JsonFault;
    const Case cases[] = {
        {"", malformed},
        {" ", malformed},
        {"{", malformed},
        {"[1,]", malformed},
        {"{\"a\":1,}", malformed},
        {"{\"a\" 1}", malformed},
        {"{a:1}", malformed},
        {"{'a':1}", malformed},
        {"nul", malformed},
        {"NaN", malformed},
        {"Infinity", malformed},
        {"-", malformed},
        {"+1", malformed},
        {"01", malformed},
        {"-01", malformed},
        {"1.", malformed},
        {".5", malformed},
        {"1e", malformed},
        {"1e+", malformed},
        {"1.e3", malformed},
        {"1-1", malformed},
        {"1e5.5", malformed},
        {"0x10", trailing_bytes},
        {"\"\\x41\"", malformed},
        {"\"\\u12\"", malformed},
        {"\"\\u12g4\"", malformed},
        {"\"a\nb\"", malformed},
        {"\"\t\"", malformed},
        {"\"\xFF\"", malformed},
        {"\"\xC0\xAF\"", malformed},      // overlong
        {"\"\xED\xA0\x80\"", malformed},  // a surrogate as UTF-8
        {"\"\xF5\x80\x80\x80\"", malformed},
        {"\"\xE2\x82\"", malformed},  // cut
        {"\xEF\xBB\xBF{}", malformed},
        {"\"abc", malformed},
        {"{\"\xFF\":1}", malformed},
        {"{}{}", trailing_bytes},
        {"{} x", trailing_bytes},
        {"{}\n\0", none},
        {std::string("{}\0", 3), trailing_bytes},
        {"1 2", trailing_bytes},
        {"{}]", trailing_bytes},
        {R"({"a":1,"a":1})", duplicate_key},
        {R"({"a":1,"b":2,"a":2})", duplicate_key},
        {R"({"a":1,"\u0061":2})", duplicate_key},
        {R"({"x":{"a":1,"a":2}})", duplicate_key},
        {R"([{"abcdefghij":1,"abcdefghij":2}])", duplicate_key},
        {R"({"":1,"":2})", duplicate_key},
        {R"({"a":1,"A":2})", ambiguous_key},
        {R"({"x":[{"Temperature":1,"temperature":2}]})", ambiguous_key},
        {"{\"\xC5\xBFtop\":1,\"stop\":2}", ambiguous_key},
        {R"({"\u212aey":1,"key":2})", ambiguous_key},
        {R"({"a\u0000":1})", ambiguous_key},
        {R"({"\ud83d":1})", ambiguous_key},
        {"1e999999999999999999", exponent_too_long},
        {"-1e-100000000000000000000000000", exponent_too_long},
        {"1e00000000000000000000000000000000000000000000000000005", none},
    };
    for (const Case& each : cases) {
        INFO(each.text);
        CHECK(fault_of(each.text) == each.fault);
    }
}

TEST_CASE("keys that differ in more than case stay apart") {
    CHECK(fault_of(R"({"maxTokens":1,"max_tokens":2,"MAX-TOKENS":3})") == JsonFault::none);
    CHECK(fault_of(R"({"a":{"ID":1},"b":{"id":2}})") == JsonFault::none);
}

TEST_CASE("bounds") {
    const JsonBounds bounds{.bytes_max = 40, .depth_max = 3, .values_max = 8};
    CHECK(fault_of("\"" + std::string(38, 'x') + "\"", bounds) == JsonFault::none);
    CHECK(fault_of("\"" + std::string(39, 'x') + "\"", bounds) == JsonFault::too_large);
    CHECK(fault_of("[[[1]]]", bounds) == JsonFault::none);
    CHECK(fault_of("[[[[1]]]]", bounds) == JsonFault::too_deep);
    CHECK(fault_of("[1,2,3,4,5,6,7]", bounds) == JsonFault::none);
    CHECK(fault_of("[1,2,3,4,5,6,7,8]", bounds) == JsonFault::too_many_values);
    CHECK(fault_of(std::string(5000, '['), {}) == JsonFault::too_deep);
    CHECK(fault_of(std::string(128, '[') + std::string(128, ']')) == JsonFault::none);
    CHECK(fault_of(std::string(129, '[') + std::string(129, ']')) == JsonFault::too_deep);
}

TEST_CASE("one reader reads many texts") {
    CanonicalJson json;
    CHECK(json.read(R"({"a":1,"a":2})") == JsonFault::duplicate_key);
    CHECK(json.read(R"({"b":[1,{"d":"\u0064","c":{}}]})") == JsonFault::none);
    CHECK(write(json) == R"({"b":[1,{"c":{},"d":"d"}]})");
    CHECK(json.read("[") == JsonFault::malformed);
    CHECK(json.read("{\"z\":1,\"y\":10}") == JsonFault::none);
    CHECK(write(json) == R"({"y":1e1,"z":1})");
}

TEST_CASE("members are found by their keys") {
    CanonicalJson json;
    REQUIRE(json.read(R"({"c":3,"a":"x","b":[],"long_key_of_some":{"k":null}})") ==
            JsonFault::none);
    REQUIRE(json.member_count(CanonicalJson::root) == 4);
    CHECK(json.key(CanonicalJson::root, 0) == "a");
    const auto found = json.find(CanonicalJson::root, "c");
    REQUIRE(found);
    CHECK(json.kind(*found) == CanonicalJson::Kind::number);
    CHECK(json.spelling(*found) == "3");
    CHECK(json.spelling(*json.find(CanonicalJson::root, "a")) == "x");
    CHECK(json.is_empty(*json.find(CanonicalJson::root, "b")));
    const auto object = json.find(CanonicalJson::root, "long_key_of_some");
    REQUIRE(object);
    CHECK(json.find(*object, "k").has_value());
    CHECK(!json.find(*object, "c"));
    CHECK(!json.find(CanonicalJson::root, "d"));
}

TEST_CASE("long runs and small pieces come out in order") {
    std::string text = "[";
    for (int i = 1; i < 400; ++i)
        text += "\"" + std::string(static_cast<std::size_t>(i % 97) * 31, 'x') + "\",";
    text += "1]";
    CHECK(canonical(text) == text);
}
