#include "sluice/llm/resume.h"

#include "chunk_reader.h"
#include "json_string.h"
#include "sluice/base/assert.h"
#include "sluice/llm/usage.h"

#include <algorithm>

namespace sluice::llm {

namespace {

// Longer ones are nobody's ids; they are left as the backends send them.
constexpr std::size_t frame_value_bytes_max = 1024;

std::string_view inside_quotes(std::string_view data, Span string) {
    SLUICE_ASSERT(string.end - string.begin >= 2);
    return data.substr(string.begin + 1, string.end - string.begin - 2);
}

// A string, a plain number, or null: what is not sound is not put into other events.
bool is_sound_value(std::string_view value) {
    if (value == "null") return true;
    if (value.starts_with('"')) {
        return decode_json_string(
            value.substr(1, value.size() - 2), [](std::string_view) { return true; },
            [](std::uint32_t) { return false; });
    }
    const std::size_t point = std::min(value.find('.'), value.size());
    const std::string_view whole = value.substr(0, point);
    const bool digits_only = value.find_first_not_of("0123456789.") == value.npos &&
                             value.find('.', point + 1) == value.npos;
    return digits_only && !whole.empty() && !value.ends_with('.') &&
           (whole == "0" || !whole.starts_with('0'));
}

void keep(std::string& kept, std::string_view data, Span span) {
    const std::string_view value = data.substr(span.begin, span.end - span.begin);
    if (!value.empty() && value.size() <= frame_value_bytes_max && is_sound_value(value)) {
        kept = value;
    }
}

}  // namespace

std::string_view describe(ResumeObstacle obstacle) {
    switch (obstacle) {
        case ResumeObstacle::none:
            break;
        case ResumeObstacle::finished:
            return "the answer was complete but for the end of its stream";
        case ResumeObstacle::malformed:
            return "the stream held an event that cannot be read";
        case ResumeObstacle::tool_call:
            return "a tool call had begun";
        case ResumeObstacle::function_call:
            return "a function call had begun";
        case ResumeObstacle::reasoning:
            return "the model had not finished its reasoning";
        case ResumeObstacle::reasoning_tags:
            return "the text holds reasoning";
        case ResumeObstacle::logprobs:
            return "token probabilities were asked for";
        case ResumeObstacle::choices:
            return "there are several choices";
        case ResumeObstacle::audio:
            return "the answer holds audio";
        case ResumeObstacle::refusal:
            return "the answer is a refusal";
        case ResumeObstacle::unknown_content:
            return "the answer holds content of an unknown kind";
        case ResumeObstacle::half_character:
            return "the text ends inside of a character";
        case ResumeObstacle::text_too_long:
            return "the text is too long to be kept";
        case ResumeObstacle::not_a_chat:
            return "the request is not a streamed chat whose messages can be found";
        case ResumeObstacle::constrained:
            return "the request constrains the answer by a grammar, a schema or a tool choice";
        case ResumeObstacle::option:
            return "an option of the request does not allow it";
        case ResumeObstacle::last_message:
            return "the request's last message is an assistant's that cannot be added to";
        case ResumeObstacle::unsupported:
            return "the other backend is not known to continue an assistant's message";
        case ResumeObstacle::trailing_space:
            return "the text ends in white space, which the other backend may drop";
        case ResumeObstacle::reasoning_lost:
            return "the other backend cannot be told the reasoning so far";
        case ResumeObstacle::reasoned_anew:
            return "the other backend began to reason anew";
        case ResumeObstacle::repeated:
            return "the other backend may have repeated the text, which is too short to tell";
    }
    return "";
}

bool has_reasoning_tags(std::string_view text) {
    constexpr std::string_view names[] = {"think>", "thinking>", "thought>", "reasoning>"};
    for (std::size_t at = text.find('<'); at != text.npos; at = text.find('<', at + 1)) {
        std::string_view tag = text.substr(at + 1);
        if (tag.starts_with('/')) tag.remove_prefix(1);
        if (std::any_of(std::begin(names), std::end(names),
                        [tag](std::string_view name) { return tag.starts_with(name); })) {
            return true;
        }
    }
    return false;
}

void ResumeJournal::take(std::string_view data) {
    if (is_done_mark(data)) {
        finished_ = true;
        return;
    }
    if (obstacle_ != ResumeObstacle::none) return;
    const ChunkFacts chunk = read_chunk_for_resume(data);
    if (!chunk.well_formed) return set_obstacle(ResumeObstacle::malformed);
    if (chunk.error) return;
    if (chunk.obstacle != ResumeObstacle::none) set_obstacle(chunk.obstacle);
    // Events in front of the first choice may come with an empty frame (Azure's filter results).
    if (first_ && chunk.has_choice) {
        first_ = false;
        keep(id_, data, chunk.id);
        keep(created_, data, chunk.created);
        keep(model_, data, chunk.model);
        keep(system_fingerprint_, data, chunk.system_fingerprint);
    }
    role_sent_ |= !chunk.role.empty();
    if (!chunk.reasoning.empty()) {
        if (!text_.empty()) set_obstacle(ResumeObstacle::reasoning);
        append(reasoning_, inside_quotes(data, chunk.reasoning));
    }
    const bool has_text = chunk.content.end - chunk.content.begin > 2;
    if (has_text) append(text_, inside_quotes(data, chunk.content));
    if (has_text || !chunk.reasoning.empty()) ++events_;
    tokens_ = std::max(
        {tokens_, chunk.completion_tokens.value.value_or(0), chunk.predicted_n.value.value_or(0)});
    if (chunk.prompt_tokens.value.value_or(0) > 0) prompt_tokens_ = *chunk.prompt_tokens.value;
    usage_sent_ |= chunk.usage;
    finished_ |= chunk.finished;
    if (obstacle_ != ResumeObstacle::none) {
        std::string().swap(text_);
        std::string().swap(reasoning_);
    }
}

void ResumeJournal::append(std::string& text, std::string_view raw) {
    const bool sound = decode_json_string(
        raw,
        [&](std::string_view piece) {
            if (half_ != 0) return false;
            const std::size_t room =
                limits::resumable_text_bytes_max - (text_.size() + reasoning_.size());
            if (piece.size() <= room) {
                text += piece;
            } else {
                set_obstacle(ResumeObstacle::text_too_long);
            }
            return true;
        },
        [&](std::uint32_t half) {
            if (half_ == 0) {
                half_ = static_cast<std::uint16_t>(half);
                return is_high_surrogate(half);
            }
            if (!is_low_surrogate(half)) return false;
            text += encode_utf8(join_surrogates(half_, half)).view();
            half_ = 0;
            return true;
        });
    if (!sound) set_obstacle(ResumeObstacle::malformed);
}

ResumeObstacle ResumeJournal::obstacle() const {
    if (finished_) return ResumeObstacle::finished;
    if (obstacle_ != ResumeObstacle::none) return obstacle_;
    if (half_ != 0) return ResumeObstacle::half_character;
    if (text_.empty() && !reasoning_.empty()) return ResumeObstacle::reasoning;
    if (has_reasoning_tags(text_)) return ResumeObstacle::reasoning_tags;
    return ResumeObstacle::none;
}

}  // namespace sluice::llm
