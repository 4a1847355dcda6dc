#include "sluice/llm/usage.h"

#include "answer_handler.h"
#include "json_walker.h"

#include <algorithm>

namespace sluice::llm {

namespace {

using Key = AnswerKey;

struct Report {
    std::uint64_t prompt = 0;
    std::uint64_t completion = 0;
    std::uint64_t cached = 0;
};

bool has_usage(const AnswerCounts& c) {
    return c.usage_whole && (c.has(Key::prompt_tokens) || c.has(Key::completion_tokens) ||
                             c.has(Key::input_tokens) || c.has(Key::output_tokens));
}

bool has_timings(const AnswerCounts& c) {
    return c.timings_whole && (c.has(Key::prompt_n) || c.has(Key::predicted_n));
}

Report read_usage(const AnswerCounts& c) {
    Report report;
    report.cached = c.has(Key::cached_tokens) ? c.get(Key::cached_tokens) : c.get(Key::cache_read);
    if (c.has(Key::prompt_tokens) || c.has(Key::completion_tokens)) {
        report.prompt = c.get(Key::prompt_tokens);
        report.completion = c.get(Key::completion_tokens);
        return report;
    }
    // Anthropic leaves the cached tokens out of input_tokens; Responses does not have those keys.
    report.prompt = c.get(Key::input_tokens) + c.get(Key::cache_read) + c.get(Key::cache_creation);
    report.completion = c.get(Key::output_tokens);
    return report;
}

Report read_report(const AnswerCounts& c) {
    if (has_usage(c)) return read_usage(c);
    if (has_timings(c)) {
        return {c.get(Key::cache_n) + c.get(Key::prompt_n), c.get(Key::predicted_n),
                c.get(Key::cache_n)};
    }
    if (c.answer_whole) return {c.get(Key::evaluated), c.get(Key::predicted), 0};
    return {};
}

}  // namespace

void merge_usage(const AnswerCounts& counts, Usage& usage) {
    if (counts.present == 0) return;
    const Report report = read_report(counts);
    if (report.prompt == 0 && report.completion == 0) return;
    if (report.prompt >= usage.prompt && report.prompt > 0) {
        const std::uint64_t cached = std::min(report.cached, report.prompt);
        usage.cached = report.prompt > usage.prompt ? cached : std::max(cached, usage.cached);
        usage.prompt = report.prompt;
    }
    usage.completion = std::max(usage.completion, report.completion);
    usage.known |= !counts.preliminary;
}

EventFacts read_event(std::string_view name, std::string_view data, Usage& usage) {
    if (data == "[DONE]") {
        EventFacts facts;
        facts.done = true;
        return facts;
    }
    AnswerHandler handler;
    AnswerFacts answer;
    if (JsonWalker(data, handler).walk()) {
        answer = handler.facts();
        merge_usage(handler.counts(), usage);
    }
    if (!name.empty()) answer.classify(name);
    EventFacts facts;
    facts.done = answer.last;
    facts.error = answer.error;
    facts.finished = answer.finished;
    facts.content = answer.content;
    facts.usage_only = answer.choices_empty && answer.usage_at_root && !answer.carries_other &&
                       !answer.error && name.empty();
    return facts;
}

}  // namespace sluice::llm
