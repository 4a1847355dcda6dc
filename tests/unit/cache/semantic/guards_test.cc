// What turns two near questions into different ones, whichever comes first.
#include "sluice/cache/semantic/guards.h"

#include <doctest/doctest.h>

#include <initializer_list>
#include <set>
#include <string>
#include <string_view>

using namespace sluice::cache::semantic;

namespace {

constexpr Guard none = Guard::none;

struct Case {
    std::string_view a;
    std::string_view b;
    Guard guard;
};

// Whichever comes first; and none fires of a text and itself.
void check(std::initializer_list<Case> cases) {
    for (const Case& each : cases) {
        INFO(each.a, " | ", each.b);
        CHECK(name_of(guard(each.a, each.b)) == name_of(each.guard));
        CHECK(name_of(guard(each.b, each.a)) == name_of(each.guard));
        CHECK(guard(each.a, each.a) == none);
        CHECK(guard(each.b, each.b) == none);
    }
}

}  // namespace

TEST_CASE("two questions: numbers, names and quotes") {
    check({
        // --- may be the same ---
        {"How do I reset my password?", "How can I reset my password?", none},
        {"What is the capital of France?", "Please tell me the capital of France", none},
        {"Explain how a hash table works.", "describe how hash tables work", none},
        {"What's the best way to learn to swim?", "what\u2019s the best way to learn to swim?",
         none},
        {"  the same text  ", "the same text", none},
        {"print(f(x)[1])", "print(f(x)[1])", none},
        {"Wie werde ich besser im Kochen?", "Wie kann ich im Kochen besser werden?", none},
        // --- numbers ---
        {"What is 5 percent of 80?", "What is 50 percent of 80?", Guard::numbers},
        {"Divide 10 by 2 for me", "Divide 2 by 10 for me", Guard::numbers},
        {"It costs 1,000 dollars", "It costs 1.000 dollars", Guard::numbers},
        {"wait three days for it", "wait four days for it", Guard::numbers},
        {"show me the first entry", "show me the second entry", Guard::numbers},
        {"the third one of them", "one of them, the third", Guard::numbers},
        {"a dose of 2 mg a day", "a dose a day", Guard::numbers},
        // --- names ---
        {"What is the weather in Rome?", "What is the weather in Bern?", Guard::names},
        {"flights from Rome to Bern", "flights from Bern to Rome", Guard::names},
        {"Rome is how old by now?", "Bern is how old by now?", Guard::names},
        {"Who is Anna to Tom?", "Who is Tom to Anna?", Guard::names},
        {"Tell me of NASA please", "Tell me of the EU please", Guard::names},
        {"does an iPhone float", "does an Xbox float", Guard::names},
        {"is the h264 format free", "is the h265 format free", Guard::names},
        {"Who wrote it? Homer did.", "Who wrote it? Virgil did.", Guard::names},
        // --- quotes ---
        {"translate \"good night\" for me", "translate \"good day\" for me", Guard::quotes},
        {"translate \u201Cgood night\u201D now", "translate \"good night\" now", none},
        {"what does 'glad' mean here", "what does 'sad' mean here", Guard::quotes},
        {"it's what I don't want", "it's what I don't need", none},
    });
}

TEST_CASE("two questions: negation, code and other scripts") {
    check({
        // --- negation ---
        {"Is it safe to eat raw eggs?", "Is it not safe to eat raw eggs?", Guard::negation},
        {"you can eat it", "you can't eat it", Guard::negation},
        {"you can\u2019t eat it", "you can't eat it", none},
        {"food with nuts in it", "food without nuts in it", Guard::negation},
        {"is it safe to do", "is it unsafe to do", Guard::negation},
        {"is this legal here", "is this illegal here", Guard::negation},
        {"what to do before a meal", "what to do after a meal", Guard::negation},
        {"the largest of the lakes", "the smallest of the lakes", Guard::negation},
        {"why do rates increase now", "why do rates decrease now", Guard::negation},
        {"advantages of it", "disadvantages of it", Guard::negation},
        {"das ist gut so", "das ist nicht gut so", Guard::negation},
        {"c'est jamais bon", "c'est bon", Guard::negation},
        {"esto no es bueno", "esto es bueno", Guard::negation},
        // --- code ---
        {"what does x = 1 do", "what does x = y do", Guard::code},
        {"what does `ls` do", "what does ls do", Guard::code},
        {"remove the file a.txt", "remove the file b.txt", Guard::code},
        {"look at src/main please", "look at the source please", Guard::code},
        {"see http://a.example for it", "see the page for it", Guard::code},
        {"call get_user for me", "call the function for me", Guard::code},
        {"what is $HOME for", "what is home for", Guard::code},
        // --- other scripts ---
        {"\u6771\u4EAC\u306E\u5929\u6C17\u306F", "\u5927\u962A\u306E\u5929\u6C17\u306F",
         Guard::other_script},
        {"what is \u6771\u4EAC like", "what is it like", Guard::other_script},
        {"\u043A\u0430\u043A \u0434\u0435\u043B\u0430", "how are you", Guard::other_script},
        {"so good \U0001F600", "so bad", Guard::other_script},
        {"caf\u00E9 au lait to go", "a caf\u00E9 au lait to go", none},
        {"broken \xFF text", "broken text", Guard::other_script},
    });
}

TEST_CASE("a question by itself") {
    CHECK(guard("How do I reset my password?", 1) == Guard::none);
    CHECK(guard("How do I reset my password?", 2) == Guard::too_many_turns);
    CHECK(guard("How do I reset my password?", 2, {.turns_max = 3}) == Guard::none);
    CHECK(guard("", 1) == Guard::too_short);
    CHECK(guard("yes", 1) == Guard::too_short);
    CHECK(guard("and then?", 1) == Guard::too_short);
    CHECK(guard("   \n                    ", 1) == Guard::too_short);
    CHECK(guard("antidisestablishmentarianism", 1) == Guard::too_short);
    CHECK(guard("a b c d", 1) == Guard::too_short);
    CHECK(guard("a b c d", 1, {.characters_min = 7}) == Guard::none);
    CHECK(guard("\u00E4\u00E4\u00E4 \u00E4\u00E4\u00E4 \u00E4\u00E4\u00E4", 1) == Guard::too_short);
}

TEST_CASE("words for people") {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < guard_count; ++i)
        names.insert(name_of(static_cast<Guard>(i)));
    CHECK(names.size() == guard_count);
    CHECK(name_of(Guard::negation) == "negation");
}
