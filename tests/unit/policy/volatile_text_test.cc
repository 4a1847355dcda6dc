#include "sluice/policy/volatile_text.h"

#include "sluice/base/prng.h"
#include "sluice/policy/prefix_hasher.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>

using namespace sluice;
using namespace sluice::policy;

namespace {

// What is left of a text, with marks as '#'; `numbers` gets the plain numbers.
std::string left_of(std::string_view text, std::string* numbers = nullptr) {
    std::string left;
    VolatileState state;
    while (!text.empty()) {
        const VolatileCut cut = find_volatile(text, state, true);
        left += text.substr(0, cut.plain);
        if (cut.mark) left += '#';
        if (cut.number && numbers != nullptr)
            numbers->append(text.substr(cut.plain, cut.skipped)).append(" ");
        text.remove_prefix(cut.plain + cut.skipped);
    }
    return left;
}

PrefixHashes hash(std::string_view text, std::size_t opening = 0) {
    PrefixHashes hashes;
    PrefixHasher hasher(hashes, 1, opening);
    hasher.feed(text);
    hasher.finish();
    return hashes;
}

bool same(const PrefixHashes& a, const PrefixHashes& b) {
    return a.count == b.count && a.bytes == b.bytes && a.conversation == b.conversation &&
           std::equal(a.blocks.begin(), a.blocks.begin() + a.count, b.blocks.begin());
}

struct Row {
    std::string_view text;
    std::string_view left;
};

const Row rows[] = {
    {"", ""},
    {"nothing of the kind, \"here\": at all - or_there",
     "nothing of the kind, \"here\": at all - or_there"},
    // --- dates, times, counters, versions, ids ---
    {"on 2026-11-30T04:28:48.124725Z it", "on #:#:#.# it"},
    {"Today's date is Monday, November 30, 2026.", "Today's date is #, # #, #."},
    {"Mon Nov 30 14:05:09 UTC 2026", "# # # #:#:# UTC #"},
    {"at 4:30 PM on Mar 1st", "at #:# # on # #"},
    {"April, Sat or Wednesday", "#, # or #"},
    {"Wednesday", "#"},
    {"Sunflowers, Marching, Decide", "Sunflowers, Marching, Decide"},
    {"id 6f1c2b9e-6bd1-4c55-9a3e-b3a0f5e7d2aa!", "id #!"},
    {"id abcd1234 and deadbeef9", "id # and #"},
    {"req_011CZabcDEF, toolu_01A", "#, #"},
    {"x-anthropic-billing-header: cc_version=2.1.36.a1b; cc_entrypoint=cli; cch=9f3e1;",
     "x-anthropic-billing-header: cc_version=#; cc_entrypoint=cli; cch=#;"},
    {"cc_version=2.1.332.abc; v=1.x.y z=3.", "cc_version=#; v=# z=#."},
    {"cch=abcde; cch=00000; a=cafe b=cab c=zebra", "cch=#; cch=#; a=# b=cab c=zebra"},
    {R"(session: deadbeef, "id":"CafeBabe" \"abcdefabcdef\" x:  feedfacefeed)",
     R"(session: #, "id":"#" \"#\" x:  #)"},
    {R"(facade: decade, "faded":"added" deadbeef z:deadbeefs "deadbeef-x")",
     R"(facade: decade, "faded":"added" deadbeef z:deadbeefs "deadbeef-x")"},
    {"17", "#"},
    // --- cache_control ---
    {R"({"type":"text","text":"a","cache_control":{"type":"ephemeral"}})",
     R"({"type":"text","text":"a"})"},
    {R"({"type": "text", "cache_control": {"type": "ephemeral", "ttl": "1h"}, "text": "a"})",
     R"({"type": "text", "text": "a"})"},
    {R"({"cache_control":{"type":"ephemeral"},"text":"a"})", R"({"text":"a"})"},
    {R"({"cache_control":null})", R"({})"},
    {R"({"text":"a","cache_control":null,"b":"c"})", R"({"text":"a","b":"c"})"},
    {R"({"text":"say \"cache_control\":{} or not"})",
     R"({"text":"say \"cache_control\":{} or not"})"},
    {R"({"cache_control":{"a":{"b":"c"}},"d":"e"})",
     R"({"cache_control":{"a":{"b":"c"}},"d":"e"})"},
    {R"({"cache_control":"x","cache_controls":{}})",
     R"({"cache_control":"x","cache_controls":{}})"},
    {R"(,"cache_control)", R"(,"cache_control)"},
};

}  // namespace

TEST_CASE("R17: what changes from request to request is found by its form") {
    for (const Row& row : rows) {
        CAPTURE(row.text);
        CHECK(left_of(row.text) == row.left);
    }
    // A run whose digit comes late is a text, one whose digit comes early may be of any length.
    const std::string letters(64, 'x');
    CHECK(left_of(letters + "1 a") == letters + "1 a");
    CHECK(left_of("a1" + letters + letters + letters + " b") == "# b");
}

TEST_CASE("R17: what changes is found at every distance, whatever bytes stand around it") {
    // Bytes that are passed at once; the neighbours of all that may begin something; no ASCII.
    for (const std::string_view bytes : {"~", "/:@[`{!#<>~\x7f\x80\xb0\xc1\xff"}) {
        std::string around;
        while (around.size() < 300)
            around += bytes;
        for (const Row& row : rows) {
            CAPTURE(row.text);
            for (std::size_t distance = 0; distance < 200; ++distance) {
                CAPTURE(distance);
                const std::string before = around.substr(distance % 16, distance);
                const std::string behind = around.substr(0, distance * 7 % 40);
                REQUIRE(left_of(before + std::string(row.text) + behind) ==
                        before + std::string(row.left) + behind);
            }
        }
    }
}

TEST_CASE("R17: plain numbers are told from parts of dates, times and versions") {
    std::string numbers;
    left_of("chapter 17 of 20: 2026-11-30 at 04:28:48, 11/30/2026, v2.1, k=5, id a7, 1234567890",
            &numbers);
    CHECK(numbers == "17 20 ");
}

TEST_CASE("R17: every split leaves the same") {
    Prng prng(1);
    for (int round = 0; round < 300; ++round) {
        std::string text;
        while (text.size() < 3000) {
            text += rows[prng.below(std::size(rows))].text;
            if (prng.chance(1, 3)) text += std::string(prng.below(90), "a1-,=:\"{"[prng.below(8)]);
            if (prng.chance(1, 3)) text += " ";
        }
        const std::size_t opening = prng.below(text.size());
        const PrefixHashes whole = hash(text, opening);
        PrefixHashes split;
        PrefixHasher hasher(split, 1, opening);
        const std::size_t longest = round % 2 == 0 ? 20 : 700;
        for (std::string_view rest = text; !rest.empty();) {
            const std::string part(rest.substr(0, prng.between(0, longest)));
            hasher.feed(part);
            rest.remove_prefix(part.size());
        }
        hasher.finish();
        CAPTURE(round);
        REQUIRE(same(split, whole));
    }
}

TEST_CASE("R17: a conversation is the same whatever the head of its prompt says of the moment") {
    const std::string prompt = "you are of help. " + std::string(2000, 'x') + R"("},{"role":"user)";
    const auto at = [&](std::string_view head) {
        const std::string text = std::string(head) + prompt;
        return hash(text, text.size());
    };
    const PrefixHashes first = at("x-another-header: cch=a1b2c; it is 2026-11-30 23:59");
    CHECK(same(first, at("x-another-header: cch=ffaab; it is 2026-12-01 0:01")));
    CHECK_FALSE(same(first, at("x-a-third-header: cch=ffaab; it is 2026-12-01 0:01")));
    CHECK(same(at("session: 1a2b3c4d."), at("session: deadbeef.")));
    // Dates in words, in whatever order.
    for (const auto& [today, tomorrow] :
         std::initializer_list<std::pair<std::string_view, std::string_view>>{
             {"Today is Tuesday, November 10, 2026.", "Today is Wednesday, November 11, 2026."},
             {"Today is 10 November 2026.", "Today is 11 November 2026."},
             {"Tue, 10 Nov 2026 14:05:09 GMT", "Wed, 11 Nov 2026 08:15:00 GMT"},
             {"Tue Nov 10 14:05:09 2026", "Wed Nov 11 08:15:00 2026"}})
        CHECK(same(at(today), at(tomorrow)));
    CHECK_FALSE(same(at("chapter 10, November"), at("chapter 11, November")));
    // Templates that count up are as many conversations, of one prompt.
    const PrefixHashes one = at("chapter 1:");
    const PrefixHashes two = at("chapter 2:");
    CHECK(one.conversation != two.conversation);
    CHECK(one.blocks[0] == two.blocks[0]);
}

TEST_CASE("R17: a billing block at the head is no part of the prompt, in any form and any split") {
    const std::string text = R"(You are of help.\n)" + std::string(3000, 'x');
    const std::string_view lines[] = {
        "x-anthropic-billing-header: cc_version=2.1.36.a1b; cc_entrypoint=cli; cch=9f3e1;",
        "x-anthropic-billing-header: cc_version=2.1.181; cc_entrypoint=sdk-ts;",
        "x-anthropic-billing-header: cc_version=2.1.181.abc; cc_entrypoint=claude-vscode",
        "x-anthropic-billing-header:cch=abcde;", "x-anthropic-billing-header:"};
    struct Form {
        std::string_view before;
        std::string_view behind;
        std::string_view without;  // what stands there instead
        std::string_view rest;
    };
    const Form forms[] = {
        {R"({"type":"text","text":")", R"("},)", "", R"({"type":"text","text":")"},
        {R"({"type": "text", "text": ")", "\"}, ", "", R"({"type": "text", "text": ")"},
        {R"({"type":"text","text":")", R"(\n","cache_control":{"type":"ephemeral"}},)", "",
         R"({"type":"text","text":")"},
        {R"({"text":")", R"(","type":"text"},)", "", R"({"type":"text","text":")"},
        {R"({"type":"text","text":")", R"(\n\n)", R"({"type":"text","text":")", ""},
        {"", R"(\n)", "", ""},
        {"", R"(\r\n\r\n)", "", ""},
        {R"({"role":"system","content":")", R"(\n)", R"({"role":"system","content":")", ""},
        {R"({"role":"system","content":")", R"("},)", "", R"({"role":"user","content":")"},
        {R"({"role":"system","content":[{"type":"text","text":")", R"("},)",
         R"({"role":"system","content":[)", R"({"type":"text","text":")"}};
    for (const Form& form : forms) {
        const std::string rest = std::string(form.rest) + text;
        const PrefixHashes without = hash(std::string(form.without) + rest);
        for (const std::string_view line : lines) {
            const std::string whole =
                std::string(form.before) + std::string(line) + std::string(form.behind) + rest;
            CAPTURE(whole.substr(0, 200));
            CHECK(same(hash(whole), without));
            for (std::size_t step = 1; step < 400; step += 1 + step / 8) {
                PrefixHashes split;
                PrefixHasher hasher(split, 1, 0);
                for (std::size_t at = 0; at < whole.size(); at += step)
                    hasher.feed(std::string_view(whole).substr(at, step));
                hasher.finish();
                REQUIRE(same(split, without));
            }
        }
    }
    // Nothing else in the prompt: as without.
    const PrefixHashes nothing = hash("");
    CHECK(same(hash(lines[0]), nothing));
    CHECK(same(hash(R"({"type":"text","text":")" + std::string(lines[1]) + "\"}"), nothing));
    // Further behind it is a text as any other.
    const std::string far = std::string(300, 'y') + std::string(lines[1]);
    CHECK_FALSE(same(hash(far + text), hash(std::string(300, 'y') + text)));
    CHECK_FALSE(same(hash("x-anthropic-other-header: a;" + text), hash(text)));
}
