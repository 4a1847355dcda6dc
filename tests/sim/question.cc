#include "question.h"

#include "driver.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <string_view>

namespace sluice::sim {
namespace {

// How long what one shard knows is on its way to another, or to a server, where nothing is lost.
constexpr Duration on_its_way_max = Duration::millis(5);

constexpr Instant never{std::numeric_limits<std::int64_t>::max()};

bool has_cache_outcome(const Case& asked, std::string_view outcome) {
    return asked.logged_line.find("\"cache\":\"" + std::string(outcome) + '"') != std::string::npos;
}

bool joined(const Case& asked) {
    return has_cache_outcome(asked, "joined");
}

// Each form of a question is a generation of its own.
bool is_same_flight(const Case& one, const Case& other) {
    return one.question == other.question && one.asks_usage == other.asks_usage;
}

Instant free_at(const Case& asked) {
    return asked.backend_busy ? never : asked.backend_free_at;
}

Instant left_or_over(const Case& asked) {
    return asked.client_left ? asked.left_at : asked.over_at;
}

// When the last one who surely listened to what that one began left or was served.
Instant listened_to_until(const Case& began, Ledger& ledger) {
    Instant until = left_or_over(began);
    for (bool grown = true; grown;) {
        grown = false;
        for (const Case& each : ledger.cases()) {
            if (!is_same_flight(each, began) || !joined(each) || each.sent_at == Instant{})
                continue;
            if (each.sent_at < began.first_seen_at || each.sent_at + on_its_way_max >= until)
                continue;
            if (left_or_over(each) <= until) continue;
            until = left_or_over(each);
            grown = true;
        }
    }
    return until;
}

// When the last one who may have listened was seen to be gone.
Instant may_be_listened_to_until(const Case& began, Ledger& ledger) {
    Instant until = began.left_at;
    for (const Case& each : ledger.cases()) {
        if (!is_same_flight(each, began) || !joined(each)) continue;
        if (each.sent_at >= free_at(began)) continue;
        if (each.client_left && !each.leaving_shows) return never;
        until = std::max(until, left_or_over(each));
    }
    return until;
}

[[noreturn]] void accuse(const Case& asked, const Case& other, const char* what) {
    fail("case-" + std::to_string(asked.number) + ": " + what + " case-" +
         std::to_string(other.number) + "\nrequest: " + asked.wire.substr(0, 300) +
         "\nlog: " + asked.logged_line + "\nlog of the other: " + other.logged_line);
}

// A server was asked for what another request's answer would have done for.
void check_reason(const Case& asked, const Case& other, Ledger& ledger, const SharingRules& rules) {
    if (other.seen_by_backends == 0 || other.plan.failure != Plan::Failure::none) return;
    if (other.first_seen_at >= asked.first_seen_at) return;
    const Instant listened = listened_to_until(other, ledger);
    const Instant done = free_at(other);
    const Instant flies_until = std::min(listened, done);
    if (is_same_flight(asked, other) && asked.first_seen_at + on_its_way_max < flies_until)
        accuse(asked, other, "a server generates again what is under way for");
    const bool whole = done + on_its_way_max < listened && other.plan.status == 200;
    if (rules.keeps_answers && whole && asked.sent_at > done + on_its_way_max)
        accuse(asked, other, "a server generates again what is kept from");
}

}  // namespace

// --- wording --------------------------------------------------------------------------------

Question& Ledger::add_question() {
    constexpr std::array models = {"model-a", "model-b", "model-both"};
    Question& made = questions_.emplace_back();
    made.number = questions_.size() - 1;
    made.model = models[prng_.below(models.size())];
    if (made.model == "model-both") made.backends = 2;
    made.may_fail = backend_b_is_down && made.model == "model-b";
    made.stream = prng_.chance(2, 3);
    made.content = std::string(some_size(9), 'q');
    make_plan(made.plan, made.stream);
    made.may_fail = made.may_fail || meets_nobody(made.backends, made.plan);
    made.plan.failure = Plan::Failure::none;
    made.servers_fail = prng_.chance(1, 3);
    return made;
}

// The same in other words, for whoever reads JSON.
std::string Ledger::question_body(const Question& question, bool asks_usage) {
    constexpr std::array zeros = {"0", "0.0", "0e3", "-0"};
    const std::string model = "\"model\":\"" + question.model + '"';
    std::string body = "{";
    if (prng_.chance(1, 2)) body += model + ", ";
    body += R"("messages":[{"role":"user","content":")" + question.content + "\"}],";
    if (question.stream) body += prng_.chance(1, 2) ? "\"stream\":true," : "\"stream\": true ,";
    if (asks_usage) body += R"("stream_options":{"include_usage":true},)";
    if (body.find(model) == std::string::npos) body += model + ',';
    body += "\"temperature\":";
    body += zeros[prng_.below(zeros.size())];
    return body + R"(,"user":"of-question-)" + std::to_string(question.number) + "\"}";
}

Case& Ledger::ask(const Question& question) {
    Case& made = cases_.emplace_back();
    made.number = cases_.size() - 1;
    made.kind = Case::Kind::forwarded;
    made.question = &question;
    made.closes = prng_.chance(1, 12);
    made.http_1_0 = prng_.chance(1, 20);
    made.asks_usage = question.stream && prng_.chance(1, 4);
    made.backends = question.backends;
    made.may_fail = question.may_fail;
    made.upstream_body = question_body(question, made.asks_usage);
    made.wire = post(made, "/v1/chat/completions", made.upstream_body);
    made.plan = question.plan;
    if (question.servers_fail && prng_.chance(1, 2)) make_failure(made.plan);
    return made;
}

// --- judging --------------------------------------------------------------------------------

void check_sharing(const Case& asked, Ledger& ledger, const SharingRules& rules,
                   SharingTally& tally) {
    const bool others = joined(asked);
    const bool kept = has_cache_outcome(asked, "hit");
    tally.joined += others ? 1 : 0;
    tally.hit += kept ? 1 : 0;
    tally.generated += asked.seen_by_backends > 0 ? 1 : 0;
    if ((others || kept) && asked.seen_by_backends > 0)
        accuse(asked, asked, "a server was asked for what came from elsewhere:");
    if (kept && !rules.keeps_answers) accuse(asked, asked, "an answer was kept, unasked:");
    if (rules.may_lose || asked.seen_by_backends == 0) return;
    for (const Case& other : ledger.cases())
        if (other.question == asked.question && &other != &asked)
            check_reason(asked, other, ledger, rules);
}

bool works_for_nobody(const Case& asked, Ledger& ledger, Duration gone_client_shows_in) {
    const Instant until =
        asked.question == nullptr ? asked.left_at : may_be_listened_to_until(asked, ledger);
    return until != never && free_at(asked) > until + gone_client_shows_in;
}

bool usage_came(const Case& asked, Ledger& ledger) {
    if (asked.question == nullptr || asked.seen_by_backends > 0) return asked.usage_was_sent;
    return std::ranges::all_of(ledger.cases(), [&asked](const Case& each) {
        return each.question != asked.question || each.seen_by_backends == 0 || each.usage_was_sent;
    });
}

}  // namespace sluice::sim
