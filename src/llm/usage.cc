#include "sluice/llm/usage.h"

#include "answer_handler.h"
#include "chunk_frame.h"
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

// Where the value of the last member of that name begins. A quote inside of a string is escaped, so
// what looks like a key is one.
std::size_t find_last_value(std::string_view text, std::string_view key) {
    const std::string quoted = '"' + std::string(key) + '"';
    const auto skip_spaces = [text](std::size_t at) {
        return std::min(text.find_first_not_of(" \t\r\n", at), text.size());
    };
    for (std::size_t at = text.rfind(quoted); at != text.npos && at > 0;
         at = text.rfind(quoted, at - 1)) {
        const std::size_t colon = skip_spaces(at + quoted.size());
        if (text[at - 1] == '\\' || colon == text.size() || text[colon] != ':') continue;
        const std::size_t value = skip_spaces(colon + 1);
        return value == text.size() ? text.npos : value;
    }
    return text.npos;
}

// A chunk in OpenAI's form, of which only the choices are read where nothing else matters. False
// where it is something else, or not well formed as far as it was read.
bool read_chunk(std::string_view data, AnswerHandler& handler) {
    const char* choices = find_choices(data);
    if (choices == nullptr) return false;
    const std::string_view before(data.data(), static_cast<std::size_t>(choices - data.data()));
    if (has_word_of_interest(before)) return false;
    handler.on_open(1, true, 0);
    handler.on_key(1, {"choices", false, {}});
    JsonWalker walker(data, handler);
    const char* behind = walker.walk_member_value(choices);
    if (behind == nullptr) return false;
    const auto length = static_cast<std::size_t>(behind - data.data());
    if (!has_word_of_interest(data.substr(length))) return true;
    // Beside empty choices every key matters, also those before them.
    constexpr std::string_view first_key = "{\"choices\":";
    if (handler.facts().choices_empty && before != first_key) return false;
    return walker.walk_rest(behind);
}

// Any event; false where it is not one whole JSON value.
bool read_value(std::string_view data, AnswerHandler& handler) {
    handler = AnswerHandler{};
    return JsonWalker(data, handler).walk();
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
    EventFacts facts;
    if (read_chunk(data, handler) || read_value(data, handler)) {
        answer = handler.facts();
        merge_usage(handler.counts(), usage);
    } else {
        facts.malformed = true;
    }
    if (!name.empty()) answer.classify(name);
    facts.done = answer.last;
    facts.error = answer.error;
    facts.finished = answer.finished;
    facts.content = answer.content;
    facts.usage_only = answer.choices_empty && answer.usage_at_root && !answer.carries_other &&
                       !answer.error && name.empty();
    return facts;
}

void read_tail(std::string_view tail, Usage& usage) {
    AnswerHandler handler;
    JsonWalker walker(tail, handler);
    handler.on_open(1, true, 0);
    for (const std::string_view key : {"usage", "timings", "prompt_eval_count", "eval_count",
                                       "tokens_evaluated", "tokens_predicted"}) {
        const std::size_t value = find_last_value(tail, key);
        if (value == tail.npos) continue;
        handler.on_key(1, {key, false, {}});
        walker.walk_member_value(tail.data() + value);
    }
    handler.on_close(1, tail.size());
    merge_usage(handler.counts(), usage);
}

}  // namespace sluice::llm
