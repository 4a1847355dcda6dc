#include "sluice/llm/resume_request.h"

#include "chat_body.h"
#include "sluice/base/assert.h"
#include "sluice/llm/errors.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::llm {

namespace {

using Kind = ChatValue::Kind;

constexpr std::array length_fields{ChatField::max_completion_tokens, ChatField::max_tokens,
                                   ChatField::n_predict};

bool is_zero(const ChatValue& value) {
    return value.kind == Kind::number && value.number == 0;
}
bool is_off(const ChatValue& value) {
    return !value.given() || value.kind == Kind::false_ || is_zero(value);
}

std::string_view text_of(std::string_view body, const ChatValue& value) {
    return body.substr(value.span.begin, value.span.end - value.span.begin);
}

bool is_constrained(std::string_view body, const ChatBody& chat) {
    if (chat.constrained) return true;
    if (chat[ChatField::response_format].given() && !chat.response_format_text) return true;
    for (const ChatField field : {ChatField::tool_choice, ChatField::function_call}) {
        if (!chat[field].given()) continue;
        const std::string_view choice = text_of(body, chat[field]);
        if (choice != "\"auto\"" && choice != "\"none\"") return true;
    }
    return false;
}

ResumeObstacle find_obstacle(std::string_view body, const ChatBody& chat) {
    if (!chat.sound || chat[ChatField::stream].kind != Kind::true_ ||
        chat[ChatField::messages].kind != Kind::array || chat.message_count == 0 ||
        !chat.last_is_object) {
        return ResumeObstacle::not_a_chat;
    }
    const ChatValue& n = chat[ChatField::n];
    if (n.given() && n.number != 1) return ResumeObstacle::choices;
    for (const ChatField field :
         {ChatField::logprobs, ChatField::top_logprobs, ChatField::n_probs}) {
        if (!is_off(chat[field])) return ResumeObstacle::logprobs;
    }
    if (chat[ChatField::prompt_logprobs].given()) return ResumeObstacle::logprobs;
    if (is_constrained(body, chat)) return ResumeObstacle::constrained;
    if (!is_off(chat[ChatField::use_beam_search])) return ResumeObstacle::option;
    // Reasoning would stand in the text, and if the template opens it, without a tag to tell.
    const ChatValue& format = chat[ChatField::reasoning_format];
    if (format.given() && text_of(body, format) != "\"auto\"" &&
        text_of(body, format) != "\"deepseek\"") {
        return ResumeObstacle::option;
    }
    for (const ChatField field : length_fields) {
        const ChatValue& value = chat[field];
        // Below zero: no bound, for llama-server.
        const bool unbounded = value.kind == Kind::number && body[value.span.begin] == '-';
        if (value.given() && !unbounded && !value.number) return ResumeObstacle::option;
    }
    if (chat[ChatField::min_tokens].given() && !chat[ChatField::min_tokens].number) {
        return ResumeObstacle::option;
    }
    // llama-server knows names of fields here, which say what is to be continued.
    const Kind continued = chat[ChatField::continue_final_message].kind;
    const bool is_flag = continued == Kind::true_ || continued == Kind::false_;
    if (chat[ChatField::continue_final_message].given() && !is_flag) return ResumeObstacle::option;
    if (chat.last_is_assistant && (chat.last_content.empty() || !chat.last_is_plain)) {
        return ResumeObstacle::last_message;
    }
    return ResumeObstacle::none;
}

ResumeObstacle find_obstacle(const ResumeJournal& journal, Continuation how) {
    if (journal.obstacle() != ResumeObstacle::none) return journal.obstacle();
    if (journal.text().empty()) return ResumeObstacle::none;
    if (how == Continuation::unsupported) return ResumeObstacle::unsupported;
    if (how == Continuation::llama_server) return ResumeObstacle::none;
    if (!journal.reasoning().empty()) return ResumeObstacle::reasoning_lost;
    constexpr std::string_view spaces = " \t\r\n\v\f";
    const std::string& text = journal.text();
    // Jinja's trim is Python's strip(), which knows these as white space as well.
    for (const std::string_view wide : {"\u00A0", "\u2028", "\u2029", "\u3000", "\u0085"}) {
        if (text.ends_with(wide)) return ResumeObstacle::trailing_space;
    }
    if (spaces.find(text.back()) != spaces.npos) return ResumeObstacle::trailing_space;
    return ResumeObstacle::none;
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
    out += ",\"";
    out += name;
    out += "\":\"";
    append_json_escaped(out, text);
    out += '"';
}

Edit replace(const ChatValue& value, std::string text) {
    SLUICE_ASSERT(value.span.end > value.span.begin);
    return {value.span.begin, value.span.end - value.span.begin, std::move(text)};
}

// False: nothing is left of the tokens that were asked for.
bool lower_lengths(const ChatBody& chat, std::uint64_t sent, std::vector<Edit>& edits) {
    std::uint64_t most = 0;
    bool bounded = false;
    for (const ChatField field : length_fields) {
        if (!chat[field].number) continue;
        bounded = true;
        most = std::max(most, *chat[field].number);
    }
    if (bounded && most <= sent) return false;
    for (const ChatField field : length_fields) {
        if (!chat[field].number) continue;
        // Of several bounds one was in force, and the stream has not reached it: not the smaller.
        const std::uint64_t bound = *chat[field].number > sent ? *chat[field].number : most;
        edits.push_back(replace(chat[field], std::to_string(bound - sent)));
    }
    if (const auto least = chat[ChatField::min_tokens].number) {
        edits.push_back(replace(chat[ChatField::min_tokens],
                                std::to_string(*least > sent ? *least - sent : 0)));
    }
    return true;
}

// The text as the begin of the assistant's answer: behind what it said already, or as a message.
Edit put_in_text(const ChatBody& chat, const ResumeJournal& journal, bool into_last_message) {
    std::string text;
    if (into_last_message) {
        append_json_escaped(text, journal.text());
        return {chat.last_content.end - 1, 0, std::move(text)};
    }
    text = R"(,{"role":"assistant")";
    if (!journal.reasoning().empty()) {
        append_member(text, "reasoning_content", journal.reasoning());
    }
    append_member(text, "content", journal.text());
    text += '}';
    return {chat.last_message_end, 0, std::move(text)};
}

// Sets a field, where it stands or in front of all others.
void set_field(const ChatBody& chat, ChatField field, std::string_view name, std::string_view value,
               std::string& in_front, std::vector<Edit>& edits) {
    if (chat[field].kind != Kind::absent) {
        edits.push_back(replace(chat[field], std::string(value)));
        return;
    }
    in_front += '"';
    in_front += name;
    in_front += "\":";
    in_front += value;
    in_front += ',';
}

void ask_to_continue(const ChatBody& chat, std::vector<Edit>& edits) {
    std::string in_front;
    set_field(chat, ChatField::continue_final_message, "continue_final_message", "true", in_front,
              edits);
    set_field(chat, ChatField::add_generation_prompt, "add_generation_prompt", "false", in_front,
              edits);
    if (chat[ChatField::echo].given()) edits.push_back(replace(chat[ChatField::echo], "false"));
    if (!in_front.empty()) edits.push_back({chat.object_open, 0, std::move(in_front)});
}

}  // namespace

ResumeObstacle can_resume(std::string_view body) {
    return find_obstacle(body, read_chat_body(body));
}

ResumePlan plan_resume(std::string_view body, const ResumeJournal& journal, Continuation how) {
    const ChatBody chat = read_chat_body(body);
    ResumePlan plan;
    plan.obstacle = find_obstacle(body, chat);
    if (plan.obstacle == ResumeObstacle::none) plan.obstacle = find_obstacle(journal, how);
    if (plan.obstacle != ResumeObstacle::none) return plan;
    if (journal.text().empty()) return plan;  // replayed as it is
    // vLLM begins a new message behind an assistant's unless it is told otherwise.
    const bool into_last_message =
        chat.last_is_assistant &&
        (how != Continuation::vllm || chat[ChatField::continue_final_message].kind == Kind::true_);
    if (into_last_message && !journal.reasoning().empty()) {
        plan.obstacle = ResumeObstacle::last_message;
        return plan;
    }
    if (!lower_lengths(chat, journal.tokens_sent(), plan.edits)) {
        plan.edits.clear();
        plan.length_reached = true;
        return plan;
    }
    plan.edits.push_back(put_in_text(chat, journal, into_last_message));
    if (how != Continuation::ollama) ask_to_continue(chat, plan.edits);
    std::sort(plan.edits.begin(), plan.edits.end(),
              [](const Edit& a, const Edit& b) { return a.offset < b.offset; });
    return plan;
}

std::string resumed_body(std::string_view body, const EditList& usual, const ResumePlan& plan) {
    SLUICE_ASSERT(plan.obstacle == ResumeObstacle::none && !plan.length_reached);
    std::vector<Edit> all(usual.edits().begin(), usual.edits().end());
    all.insert(all.end(), plan.edits.begin(), plan.edits.end());
    std::stable_sort(all.begin(), all.end(),
                     [](const Edit& a, const Edit& b) { return a.offset < b.offset; });
    return apply_edits(body, all);
}

std::string length_end(const ResumeJournal& journal, bool include_usage) {
    std::string frame = "data: {";
    const auto add = [&frame](std::string_view name, std::string_view value) {
        if (value.empty()) return;
        frame += '"';
        frame += name;
        frame += "\":";
        frame += value;
        frame += ',';
    };
    add("id", journal.id());
    add("object", "\"chat.completion.chunk\"");
    add("created", journal.created());
    add("model", journal.model());
    add("system_fingerprint", journal.system_fingerprint());
    std::string out = frame;
    out += R"("choices":[{"index":0,"delta":{},"finish_reason":"length"}]})";
    out += "\n\n";
    if (include_usage && journal.prompt_tokens() > 0) {
        const std::uint64_t prompt = journal.prompt_tokens();
        const std::uint64_t completion = journal.tokens_sent();
        out += frame + R"("choices":[],"usage":{"prompt_tokens":)" + std::to_string(prompt) +
               R"(,"completion_tokens":)" + std::to_string(completion) + R"(,"total_tokens":)" +
               std::to_string(prompt + completion) + "}}\n\n";
    }
    out += "data: [DONE]\n\n";
    return out;
}

}  // namespace sluice::llm
