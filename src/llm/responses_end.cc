#include "sluice/llm/responses_end.h"

#include "error_parts.h"
#include "json_walker.h"
#include "sluice/llm/refusal.h"
#include "sluice/llm/usage.h"

namespace sluice::llm {

namespace {

// The code of a Responses error is a string always. Agents know "context_length_exceeded".
std::string responses_code(const ErrorText& error, const ErrorParts& parts) {
    if (parts.code.starts_with('"')) return parts.code;
    const bool too_long = error.refusal != nullptr && error.refusal->says_too_long;
    return too_long ? "\"context_length_exceeded\"" : parts.type;
}

// With every field that the SDKs' types have.
std::string response_object(const ResponsesPlace& place, std::string_view status,
                            std::string_view error) {
    std::string out = R"({"id":)";
    append_quoted(out, place.id);
    append_member(out, "object", "\"response\"");
    append_member(out, "created_at", std::to_string(place.created_at));
    append_member(out, "status", quoted(status));
    append_member(out, "error", error);
    out += R"(,"incomplete_details":null,"instructions":null,"metadata":{},"model":)";
    append_quoted(out, place.model);
    out += R"(,"output":[],"parallel_tool_calls":true,"temperature":null,"tool_choice":"auto",)"
           R"("tools":[],"top_p":null,"usage":null})";
    return out;
}

std::string response_event(std::string_view type, std::uint64_t number, std::string_view response) {
    std::string out = "event: " + std::string(type) + "\ndata: {\"type\":\"";
    out.append(type).append("\",\"sequence_number\":").append(std::to_string(number));
    out.append(",\"response\":").append(response).append("}\n\n");
    return out;
}

// Keeps what a Responses stream says of itself, which stands in "response".
class PlaceHandler {
public:
    static constexpr bool strict = false;

    explicit PlaceHandler(ResponsesPlace& place) : place_(place) {}

    void on_key(int depth, const JsonText& key) {
        if (depth == 1) outer_ = key.text;
        if (depth == 2) inner_ = key.text;
    }
    void on_string(int depth, const JsonText& string) {
        if (depth == 1 && outer_ == "type") created_ = string.text == "response.created";
        if (depth != 2 || outer_ != "response" || string.text.size() > text_bytes_max) return;
        if (inner_ == "id" && place_.id.empty()) place_.id = unescaped(string.text);
        if (inner_ == "model" && place_.model.empty()) place_.model = unescaped(string.text);
    }
    void on_number(int depth, const JsonNumber& number) {
        if (!number.count) return;
        if (depth == 2 && outer_ == "response" && inner_ == "created_at" && place_.created_at == 0)
            place_.created_at = *number.count;
    }
    void on_literal(int, JsonLiteral, Span) {}
    void on_open(int, bool, std::size_t) {}
    void on_close(int, std::size_t) {}
    bool created() const { return created_; }

private:
    static constexpr std::size_t text_bytes_max = 512;

    // Names with escapes in them are rare enough to be left out.
    static std::string unescaped(std::string_view text) {
        return text.find('\\') == text.npos ? std::string(text) : std::string();
    }

    ResponsesPlace& place_;
    std::string_view outer_;
    std::string_view inner_;
    bool created_ = false;
};

}  // namespace

std::string responses_error(const ErrorText& error, std::uint64_t number) {
    const ErrorParts parts = parts_of(error);
    std::string out = R"({"type":"error")";
    append_member(out, "code", responses_code(error, parts));
    append_member(out, "message", parts.message);
    append_member(out, "param", parts.param);
    append_member(out, "sequence_number", std::to_string(number));
    append_members(out, parts.members);
    out += "}";
    return out;
}

void ResponsesPlace::take(std::string_view data, std::uint32_t number) {
    next_number = number == EventFacts::unnumbered ? next_number + 1 : std::uint64_t{number} + 1;
    if (created) return;
    PlaceHandler handler(*this);
    JsonWalker(data, handler).walk();
    created = handler.created();
}

std::string responses_end(const ResponsesPlace& place, const ErrorText& error, bool error_passed) {
    std::uint64_t number = place.next_number;
    std::string out;
    if (!place.created)
        out += response_event("response.created", number++,
                              response_object(place, "in_progress", "null"));
    if (!error_passed) {
        out += "event: error\ndata: " + responses_error(error, number) + "\n\n";
        ++number;
    }
    const ErrorParts parts = parts_of(error);
    std::string why = R"({"code":)" + responses_code(error, parts);
    append_member(why, "message", parts.message);
    append_member(why, "type", parts.type);
    append_members(why, parts.members);
    why += "}";
    return out + response_event("response.failed", number, response_object(place, "failed", why));
}

}  // namespace sluice::llm
