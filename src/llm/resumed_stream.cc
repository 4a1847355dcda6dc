#include "sluice/llm/resumed_stream.h"

#include "chunk_reader.h"
#include "json_string.h"
#include "sluice/base/assert.h"
#include "sluice/llm/errors.h"
#include "sluice/llm/usage.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace sluice::llm {

namespace {

// From this much text on, said in that many events, one event does not say it all again by chance.
constexpr std::size_t repeated_bytes_min = 16;
constexpr std::uint64_t repeated_events_min = 4;

constexpr std::string_view before_data = "data: ";
constexpr std::string_view behind_data = "\n\n";

struct Replacement {
    Span span;
    std::string text;
};

// At most four of the frame, the role, the content and four counts.
class Replacements {
public:
    void add(Span span, std::string_view text) {
        if (span.empty()) return;
        SLUICE_ASSERT(count_ < all_.size());
        all_[count_++] = {span, std::string(text)};
    }
    void add(const ChunkCount& count, std::uint64_t value) {
        if (count.value && *count.value != value) add(count.span, std::to_string(value));
    }
    void write(std::string_view data, std::string& out) {
        const auto end = all_.begin() + static_cast<std::ptrdiff_t>(count_);
        std::sort(all_.begin(), end, [](const Replacement& a, const Replacement& b) {
            return a.span.begin < b.span.begin;
        });
        std::size_t at = 0;
        for (auto edit = all_.begin(); edit != end; ++edit) {
            SLUICE_ASSERT(edit->span.begin >= at && edit->span.end <= data.size());
            out += data.substr(at, edit->span.begin - at);
            out += edit->text;
            at = edit->span.end;
        }
        out += data.substr(at);
    }

private:
    std::array<Replacement, 10> all_;
    std::size_t count_ = 0;
};

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// A member of an object, with the comma that goes with it.
Span member_with_comma(std::string_view data, std::size_t key_begin, std::size_t value_end) {
    std::size_t end = value_end;
    while (end < data.size() && is_space(data[end]))
        ++end;
    if (end < data.size() && data[end] == ',') return {key_begin, end + 1};
    std::size_t begin = key_begin;
    while (begin > 0 && is_space(data[begin - 1]))
        --begin;
    if (begin > 0 && data[begin - 1] == ',') return {begin - 1, value_end};
    return {key_begin, value_end};
}

bool decode_into(std::string_view raw, std::string& out) {
    out.clear();
    return decode_json_string(
        raw,
        [&out](std::string_view piece) {
            out += piece;
            return true;
        },
        [](std::uint32_t) { return false; });
}

void replace_usage(const ChunkFacts& chunk, std::uint64_t before, Replacements& edits) {
    if (!chunk.usage || before == 0) return;
    const std::uint64_t told_prompt = chunk.prompt_tokens.value.value_or(0);
    const std::uint64_t told_completion = chunk.completion_tokens.value.value_or(0);
    const Usage usage = usage_of_resumed({.prompt = told_prompt,
                                          .completion = told_completion,
                                          .cached = chunk.cached_tokens.value.value_or(0),
                                          .known = true,
                                          .completion_known = true},
                                         before);
    edits.add(chunk.prompt_tokens, usage.prompt);
    edits.add(chunk.completion_tokens, usage.completion);
    edits.add(chunk.cached_tokens, usage.cached);
    const std::uint64_t grown = usage.prompt + usage.completion - told_prompt - told_completion;
    edits.add(chunk.total_tokens, chunk.total_tokens.value.value_or(0) + grown);
}

}  // namespace

Usage usage_of_resumed(const Usage& last, std::uint64_t tokens_before) {
    Usage usage = last;
    if (!last.known) return usage;
    usage.completion += tokens_before;
    if (usage.prompt >= tokens_before) usage.prompt -= tokens_before;
    usage.cached = std::min(usage.cached, usage.prompt);
    return usage;
}

std::string resumed_comment(std::string_view backend) {
    std::string out = ": resumed on ";
    for (const char c : backend)
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
    return out + "\n\n";
}

ResumedStream::ResumedStream(ResumeJournal& journal, bool may_repeat)
    : journal_(journal), tokens_before_(0), may_repeat_(may_repeat) {
    SLUICE_ASSERT(journal.obstacle() == ResumeObstacle::none);
    // Without text there is no prefill: the request is replayed, and its answer stands for itself.
    text_begun_ = journal.text().empty();
    if (!text_begun_) tokens_before_ = journal.tokens_sent();
}

ResumedStream::Result ResumedStream::take(std::string_view data) {
    if (obstacle_ != ResumeObstacle::none) return {Action::broken, {}};
    if (is_done_mark(data)) {
        journal_.take(data);
        return {Action::pass, {}};
    }
    const ChunkFacts chunk = read_chunk_for_resume(data);
    if (!chunk.well_formed) return give_up(ResumeObstacle::malformed);
    if (chunk.error) return {Action::pass, {}};
    const bool has_text = chunk.content.end - chunk.content.begin > 2;
    if (!chunk.reasoning.empty() && tokens_before_ > 0) {
        return give_up(ResumeObstacle::reasoned_anew);
    }

    Replacements edits;
    bool repeats_only = false;
    if (has_text && !text_begun_) {
        text_begun_ = true;
        const Span inside{chunk.content.begin + 1, chunk.content.end - 1};
        const std::string& sent = journal_.text();
        if (may_repeat_ &&
            decode_into(data.substr(inside.begin, inside.end - inside.begin), scratch_) &&
            scratch_.starts_with(sent)) {
            if (sent.size() < repeated_bytes_min ||
                journal_.content_events() < repeated_events_min) {
                return give_up(ResumeObstacle::repeated);
            }
            repeats_only = scratch_.size() == sent.size();
            std::string rest;
            append_json_escaped(rest, std::string_view(scratch_).substr(sent.size()));
            edits.add(inside, rest);
        }
    }
    const bool has_role = !chunk.role.empty() && journal_.role_sent();
    const bool says_nothing = (!has_text || repeats_only) && !chunk.delta_speaks &&
                              !chunk.finished && chunk.reasoning.empty();
    if (says_nothing && chunk.has_choice && (has_role || repeats_only)) {
        return {Action::drop, {}};
    }
    if (has_role) edits.add(member_with_comma(data, chunk.role_key.begin, chunk.role.end), "");
    const auto same_as_first = [&edits](Span span, std::string_view first) {
        if (!first.empty()) edits.add(span, first);
    };
    same_as_first(chunk.id, journal_.id());
    same_as_first(chunk.created, journal_.created());
    same_as_first(chunk.model, journal_.model());
    same_as_first(chunk.system_fingerprint, journal_.system_fingerprint());
    replace_usage(chunk, tokens_before_, edits);

    event_ = before_data;
    edits.write(data, event_);
    // Data of several lines: between the values of JSON any white space is the same.
    std::replace(event_.begin(), event_.end(), '\n', ' ');
    journal_.take(std::string_view(event_).substr(before_data.size()));
    event_ += behind_data;
    return {Action::replace, event_};
}

}  // namespace sluice::llm
