#include "sluice/llm/usage.h"

#include "answer_handler.h"
#include "chunk_frame.h"
#include "json_walker.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

namespace sluice::llm {

namespace {

using Key = AnswerKey;

struct Report {
    std::uint64_t prompt = 0;
    std::uint64_t completion = 0;
    std::uint64_t cached = 0;
    bool cached_known = false;
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
    report.cached_known = c.has(Key::cached_tokens) || c.has(Key::cache_read);
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
                c.get(Key::cache_n), c.has(Key::cache_n)};
    }
    if (c.answer_whole)
        return {c.get(Key::evaluated), c.get(Key::predicted), c.get(Key::evaluated_cached),
                c.has(Key::evaluated_cached)};
    return {};
}

// A member that may stand in the end of an answer, and where its last value begins.
struct TailMember {
    std::string_view key;
    bool seen = false;
    std::size_t value = 0;  // 0: there is none
};

std::size_t skip_spaces(std::string_view text, std::size_t at) {
    return std::min(text.find_first_not_of(" \t\r\n", at), text.size());
}

// Before `end`; 0: there is none, or it is the first byte, of which it is not known what it is.
std::size_t last_quote(std::string_view text, std::size_t end) {
    const void* found = ::memrchr(text.data(), '"', end);
    return found == nullptr
               ? 0
               : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

// Looks for them in one pass from the end, from quote to quote: of a long text most is jumped over.
// A quote inside of a string is escaped, so what looks like a key is one.
void find_last_members(std::string_view text, std::span<TailMember> members) {
    for (std::size_t at = last_quote(text, text.size()); at > 0; at = last_quote(text, at)) {
        const std::string_view behind = text.substr(at + 1);
        if (behind.empty() || text[at - 1] == '\\') continue;
        for (TailMember& member : members) {
            const std::size_t size = member.key.size();
            if (behind[0] != member.key[0] || member.seen || !behind.starts_with(member.key) ||
                behind.size() == size || behind[size] != '"')
                continue;
            const std::size_t colon = skip_spaces(behind, size + 1);
            if (colon == behind.size() || behind[colon] != ':') break;
            member.seen = true;
            const std::size_t value = skip_spaces(behind, colon + 1);
            if (value < behind.size()) member.value = at + 1 + value;
            break;
        }
    }
}

// A chunk in OpenAI's form, of which only the choices are read where nothing else matters. False
// where it is something else, or not well formed as far as it was read.
bool read_chunk(std::string_view data, const char* choices, AnswerHandler& handler) {
    const std::string_view before(data.data(), static_cast<std::size_t>(choices - data.data()));
    // Nothing stands before them but the brace and their key.
    constexpr std::size_t first_key_bytes = std::string_view("{\"choices\":").size();
    const bool are_first = before.size() == first_key_bytes;
    if (!are_first && has_word_of_interest(before)) return false;
    handler.begin_at_choices();
    JsonWalker walker(data, handler);
    const char* behind = walker.walk_member_value(choices);
    if (behind == nullptr) return false;
    // Beside empty choices every key matters, also those before them.
    if (handler.facts().choices_empty()) return are_first && walker.walk_rest(behind);
    const auto length = static_cast<std::size_t>(behind - data.data());
    return !has_word_of_interest(data.substr(length)) || walker.walk_rest(behind);
}

// Any event; false where it is not one whole JSON value.
bool read_value(std::string_view data, AnswerHandler& handler) {
    if (const char* choices = find_choices(data)) {
        if (read_chunk(data, choices, handler)) return true;
        handler = AnswerHandler{};
    }
    return JsonWalker(without_byte_order_mark(data), handler).walk();
}

// The name of an event that has none (WHATWG HTML, section 9.2.6).
constexpr std::string_view unnamed = "message";

// With the white space around it.
constexpr std::size_t done_mark_bytes_max = 64;

// Names under which servers send nothing but signs of life.
bool is_heartbeat(std::string_view name) {
    using namespace std::string_view_literals;
    constexpr std::size_t longest = 10;
    if (name.size() > longest) return false;
    static constexpr std::array names{"ping"sv, "heartbeat"sv, "keepalive"sv, "keep-alive"sv};
    return std::find(names.begin(), names.end(), name) != names.end();
}

// Names by which a dialect tells its events apart: data under them is the answer's.
bool belongs_to_dialect(std::string_view name) {
    using namespace std::string_view_literals;
    static constexpr std::array prefixes{"message"sv, "content_block"sv, "response."sv,
                                         "error"sv,   "transcript."sv,   "speech."sv,
                                         "image_"sv};
    return name.empty() || std::any_of(prefixes.begin(), prefixes.end(),
                                       [name](auto prefix) { return name.starts_with(prefix); });
}

// What an event is that is neither one whole JSON value nor [DONE].
[[gnu::cold]] EventFacts read_no_json(std::string_view name, std::string_view data) {
    EventFacts facts;
    const bool blank = data.find_first_not_of(" \t\r\n") == data.npos;
    facts.silent = blank || !belongs_to_dialect(name);
    facts.malformed = !facts.silent;
    return facts;
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
    usage.cached_known |= report.cached_known;
    usage.known |= !counts.preliminary;
    usage.completion_known |= !counts.preliminary && report.completion > 0;
}

bool is_done_mark(std::string_view data) {
    constexpr std::string_view mark = "[DONE]";
    if (data.size() < mark.size() || data.size() > done_mark_bytes_max) return false;
    const std::size_t at = data.find(mark);
    if (at == data.npos) return false;
    constexpr std::string_view spaces = " \t\r\n";
    const std::string_view behind = data.substr(at + mark.size());
    return data.substr(0, at).find_first_not_of(spaces) == data.npos &&
           behind.find_first_not_of(spaces) == behind.npos;
}

EventFacts read_event(std::string_view name, std::string_view data, Usage& usage) {
    EventFacts facts;
    if (!name.empty() && is_heartbeat(name)) {
        facts.silent = true;
        return facts;
    }
    if (name == unnamed) name = {};
    if (data == "[DONE]" || (data.size() <= done_mark_bytes_max && is_done_mark(data))) {
        facts.done = true;
        return facts;
    }
    AnswerHandler handler;
    if (read_value(data, handler)) {
        merge_usage(handler.counts(), usage);
    } else {
        handler = AnswerHandler{};
        facts = read_no_json(name, data);
        if (facts.silent) return facts;
    }
    if (!name.empty()) handler.classify(name);
    const AnswerFacts& answer = handler.facts();
    facts.done = answer.has(last_sign);
    facts.error = answer.has(error_sign);
    facts.finished = answer.has(finish_sign);
    facts.content = answer.has(content_sign);
    facts.notable = answer.has(notable_sign);
    facts.speaks = answer.speaks();
    facts.choices = answer.choices;
    facts.answers = facts.content || answer.choices.named != 0;
    facts.content_bytes = static_cast<std::uint32_t>(answer.content_bytes);
    if (facts.choices.named == 0) {
        // A dialect of one choice, which has no number.
        facts.choices.said = facts.content ? 1 : 0;
        facts.choices.ended = facts.finished ? 1 : 0;
        facts.choices.named = facts.choices.said | facts.choices.ended;
    }
    facts.malformed &= !facts.error;
    facts.number = answer.number;
    facts.usage_only = answer.choices_empty() && answer.has(usage_sign) &&
                       !answer.has(other_sign) && !facts.error && name.empty();
    return facts;
}

void read_tail(std::string_view tail, Usage& usage) {
    AnswerHandler handler;
    JsonWalker walker(tail, handler);
    handler.on_open(1, true, 0);
    TailMember members[] = {
        {"usage"},      {"timings"},          {"prompt_eval_count"}, {"prompt_eval_cached_count"},
        {"eval_count"}, {"tokens_evaluated"}, {"tokens_predicted"}};
    find_last_members(tail, members);
    for (const TailMember& member : members) {
        if (member.value == 0) continue;
        handler.on_key(1, {member.key, false, {}});
        walker.walk_member_value(tail.data() + member.value);
    }
    handler.on_close(1, tail.size());
    merge_usage(handler.counts(), usage);
}

}  // namespace sluice::llm
