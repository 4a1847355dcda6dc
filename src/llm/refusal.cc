#include "sluice/llm/refusal.h"

#include "error_parts.h"
#include "json_scanner.h"
#include "sluice/base/assert.h"
#include "sluice/llm/failure_body.h"

#include <simdjson.h>

#include <cstdint>
#include <vector>

namespace sluice::llm {

namespace {

// Finds the error object: the object "error" of the root, or of its "response", or the root itself
// where it has no such object. Strict, so that what is passed on is sound.
class RefusalHandler {
public:
    static constexpr bool strict = true;
    static constexpr std::size_t text_bytes_max = 32;

    struct Member {
        std::string key;
        Span name;   // with its quotes
        Span value;  // empty: it has not come to its end
        bool is_string = false;
    };

    const char* on_key(int depth, const JsonText& key) {
        if (is_read(depth)) {
            auto& members = depth == 1 ? root : error;
            members.push_back({key.truncated ? "" : std::string(key.text), key.span, {}, false});
        }
        key_is_error_ = !key.truncated && key.text == "error";
        key_is_response_ = !key.truncated && depth == 1 && key.text == "response";
        return nullptr;
    }
    const char* on_string(int depth, const JsonText& string) {
        return end(depth, string.span, true);
    }
    const char* on_number(int depth, const JsonNumber& number) { return end(depth, number.span); }
    const char* on_literal(int depth, JsonLiteral, Span span) { return end(depth, span); }
    const char* on_open(int depth, bool is_object, std::size_t begin) {
        if (depth <= depth_max) begins_[depth] = begin;
        if (depth == 1) root_is_object = is_object;
        const bool of_root = depth == 2 && key_is_error_;
        const bool of_response = depth == 3 && in_response_ && key_is_error_;
        if (is_object && error_depth_ == 0 && !found && (of_root || of_response))
            error_depth_ = depth;
        if (depth == 2) in_response_ = is_object && key_is_response_;
        key_is_error_ = key_is_response_ = false;
        return nullptr;
    }
    const char* on_close(int depth, std::size_t behind) {
        if (depth == error_depth_) {
            found = true;
            error_depth_ = 0;
        }
        if (depth == 2) in_response_ = false;
        return depth <= depth_max ? end(depth - 1, {begins_[depth], behind}) : nullptr;
    }

    std::vector<Member> root;
    std::vector<Member> error;
    bool found = false;  // an error object, to its end
    bool root_is_object = false;

private:
    static constexpr int depth_max = 4;

    bool is_read(int depth) const {
        return (depth == 1 && root_is_object) || (depth > 1 && depth == error_depth_);
    }
    // The value of the last key of that level is complete.
    const char* end(int depth, Span span, bool is_string = false) {
        if (depth < 1 || !is_read(depth)) return nullptr;
        auto& members = depth == 1 ? root : error;
        if (members.empty()) return nullptr;
        members.back().value = span;
        members.back().is_string = is_string;
        return nullptr;
    }

    std::size_t begins_[depth_max + 1] = {};
    int error_depth_ = 0;  // inside of the object; 0: outside
    bool key_is_error_ = false;
    bool key_is_response_ = false;
    bool in_response_ = false;
};

// On one line: the only line ends in sound JSON stand between its tokens.
std::string one_line(std::string_view json) {
    std::string out(json);
    for (char& c : out)
        if (c == '\n' || c == '\r') c = ' ';
    return out;
}

std::string_view cut(std::string_view text, Span span) {
    SLUICE_ASSERT(span.begin <= span.end && span.end <= text.size());
    return text.substr(span.begin, span.end - span.begin);
}

void keep(Refusal& refusal, std::string_view body, const RefusalHandler::Member& member) {
    const std::string value = one_line(cut(body, member.value));
    if (value.empty()) return;
    const bool says = member.is_string && value != "\"\"";
    const bool is_text = member.key == "message" || (member.key == "detail" && says);
    // Of each the first counts, and what it cannot be is as if it were not there.
    if (is_text) {
        if (says && refusal.message.empty()) refusal.message = value;
    } else if (member.key == "type") {
        if (says && refusal.type.empty()) refusal.type = value;
    } else if (member.key == "code") {
        if (value != "null" && refusal.code.empty()) refusal.code = value;
    } else if (member.key == "param") {
        if (refusal.param.empty()) refusal.param = value;
    } else {
        if (!refusal.members.empty()) refusal.members += ',';
        refusal.members.append(one_line(cut(body, member.name))).append(":").append(value);
    }
}

// {"error":"text"}, {"detail":"text"}, or the error object itself.
void keep_root(Refusal& refusal, std::string_view body, const RefusalHandler& handler) {
    for (const auto& member : handler.root) {
        const bool is_text = member.key == "error" && member.is_string;
        if (is_text) refusal.message = one_line(cut(body, member.value));
        const bool frame = member.key == "object" || member.key == "request_id" ||
                           member.key == "sequence_number" || member.key == "error" ||
                           (member.key == "type" && cut(body, member.value) == "\"error\"");
        if (!frame) keep(refusal, body, member);
    }
}

// What can be read of anything.
Refusal from_facts(const ErrorFacts& facts) {
    Refusal refusal;
    if (!facts.message.empty()) refusal.message = llm::quoted(facts.message);
    if (!facts.type.empty()) refusal.type = llm::quoted(facts.type);
    if (!facts.code.empty()) refusal.code = llm::quoted(facts.code);
    const auto count = [&](std::string_view name, const std::optional<std::uint64_t>& value) {
        if (!value) return;
        if (!refusal.members.empty()) refusal.members += ',';
        refusal.members.append(llm::quoted(name)).append(":").append(std::to_string(*value));
    };
    count("n_ctx", facts.n_ctx);
    count("n_prompt_tokens", facts.n_prompt_tokens);
    return refusal;
}

}  // namespace

Refusal read_refusal(std::string_view body, std::string_view otherwise) {
    const ErrorFacts facts = read_failure_body(body);
    RefusalHandler handler;
    JsonState<RefusalHandler::text_bytes_max> state;
    JsonScanner scanner(state, handler);
    bool sound = body.size() <= refusal_bytes_max;
    if (sound) {
        scanner.feed(body);
        sound = scanner.finish() && handler.root_is_object;
    }
    Refusal refusal;
    if (!sound) {
        refusal = from_facts(facts);
    } else if (handler.found) {
        for (const auto& member : handler.error)
            keep(refusal, body, member);
    } else {
        keep_root(refusal, body, handler);
    }
    if (refusal.message.empty()) refusal.message = llm::quoted(otherwise);
    refusal.says_too_long = facts.context != ContextSign::none;
    return refusal;
}

bool is_anthropic_error(std::string_view body, std::string_view request_id) {
    simdjson::dom::parser parser(refusal_bytes_max);
    simdjson::dom::element root;
    simdjson::dom::element error;
    const auto says = [](const simdjson::dom::element& in, const char* key) {
        std::string_view text;
        return in[key].get(text) == simdjson::SUCCESS ? text : std::string_view();
    };
    return body.size() <= refusal_bytes_max &&
           parser.parse(body.data(), body.size()).get(root) == simdjson::SUCCESS &&
           root.is_object() && says(root, "type") == "error" &&
           says(root, "request_id") == request_id &&
           root["error"].get(error) == simdjson::SUCCESS && error.is_object() &&
           !says(error, "type").empty() && !says(error, "message").empty();
}

}  // namespace sluice::llm
