#include "sluice/llm/errors.h"

#include "error_parts.h"
#include "json_text.h"
#include "sluice/base/assert.h"
#include "sluice/llm/refusal.h"

#include <algorithm>
#include <array>

namespace sluice::llm {

namespace {

std::string_view anthropic_error_type(int status) {
    switch (status) {
        case 401:
            return "authentication_error";
        case 403:
            return "permission_error";
        case 404:
            return "not_found_error";
        case 413:
            return "request_too_large";
        case 429:
            return "rate_limit_error";
        case 503:
        case 529:
            return "overloaded_error";
        case 504:
            return "timeout_error";
        default:
            return status < 500 ? "invalid_request_error" : "api_error";
    }
}

std::string openai_body(const ErrorText& error) {
    const ErrorParts parts = parts_of(error);
    std::string out = R"({"error":{"message":)" + parts.message;
    append_member(out, "type", parts.type);
    append_member(out, "param", parts.param);
    append_member(out, "code", parts.code);
    append_members(out, parts.members);
    out += "}}";
    return out;
}

// The types that Anthropic's SDKs know.
bool is_anthropic_type(std::string_view quoted_type) {
    static constexpr std::array<std::string_view, 11> types{
        "\"invalid_request_error\"", "\"authentication_error\"", "\"billing_error\"",
        "\"permission_error\"",      "\"not_found_error\"",      "\"conflict_error\"",
        "\"request_too_large\"",     "\"rate_limit_error\"",     "\"api_error\"",
        "\"overloaded_error\"",      "\"timeout_error\""};
    return std::ranges::find(types, quoted_type) != types.end();
}

// A backend's type of another dialect stands beside that of this one, with its code.
std::string anthropic_body(const ErrorText& error) {
    const ErrorParts parts = parts_of(error);
    const bool foreign = error.refusal != nullptr && !is_anthropic_type(parts.type);
    const bool own = error.refusal == nullptr || foreign;
    std::string out = R"({"type":"error","error":{"type":)";
    out += own ? quoted(anthropic_error_type(error.status)) : parts.type;
    append_member(out, "message", parts.message);
    if (error.refusal != nullptr && !error.refusal->type.empty() && foreign)
        append_member(out, "backend_type", parts.type);
    if (error.refusal != nullptr && !error.refusal->code.empty())
        append_member(out, "code", parts.code);
    if (error.refusal != nullptr && !error.refusal->param.empty())
        append_member(out, "param", parts.param);
    append_members(out, parts.members);
    out += R"(},"request_id":)";
    append_nullable(out, error.request_id);
    out += "}";
    return out;
}

std::string ollama_body(const ErrorText& error) {
    return R"({"error":)" + parts_of(error).message + "}";
}

// llama-server's own: `code` is the status as a number.
std::string llama_body(const ErrorText& error) {
    const ErrorParts parts = parts_of(error);
    const bool told = error.refusal != nullptr && !error.refusal->code.empty();
    std::string out = R"({"error":{"code":)" + (told ? parts.code : std::to_string(error.status));
    append_member(out, "message", parts.message);
    append_member(out, "type", parts.type);
    append_members(out, parts.members);
    out += "}}";
    return out;
}

constexpr std::string_view hex_digits = "0123456789abcdef";

void append_escape(std::string& out, unsigned char c) {
    const std::array<char, 6> escape{'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]};
    out.append(escape.data(), escape.size());
}

// Sound UTF-8; DEL and C1, which JSON allows, would be commands to a terminal.
void append_visible(std::string& out, std::string_view text) {
    for (std::size_t from = 0;;) {
        const std::size_t at = text.find_first_of("\x7F\xC2", from);
        if (at == text.npos) break;
        const auto next = static_cast<unsigned char>(at + 1 < text.size() ? text[at + 1] : 0xFF);
        from = at + 1;
        if (text[at] == '\xC2' && next >= 0xA0) continue;
        const bool is_pair = text[at] == '\xC2';
        out += text.substr(0, at);
        append_escape(out, is_pair ? next : 0x7F);
        text.remove_prefix(at + (is_pair ? 2 : 1));
        from = 0;
    }
    out += text;
}

}  // namespace

std::string error_body(Dialect dialect, const ErrorText& error) {
    switch (dialect) {
        case Dialect::openai:
        case Dialect::responses:
            break;
        case Dialect::anthropic:
            return anthropic_body(error);
        case Dialect::ollama:
            return ollama_body(error);
        case Dialect::llama_native:
            return llama_body(error);
    }
    return openai_body(error);
}

std::string error_event(Dialect dialect, sse::Form form, const ErrorText& error) {
    if (form == sse::Form::json_lines) return error_body(dialect, error) + "\n";
    switch (dialect) {
        case Dialect::openai:
        case Dialect::ollama:
        case Dialect::llama_native:
            break;
        case Dialect::responses:
            return "event: error\ndata: " + responses_error(error, 0) + "\n\n";
        case Dialect::anthropic:
            return "event: error\ndata: " + anthropic_body(error) + "\n\n";
    }
    return "data: " + error_body(dialect, error) + "\n\n";
}

std::string_view error_type(int status) {
    switch (status) {
        case 401:
            return "authentication_error";
        case 403:
            return "permission_error";
        case 429:
            return "rate_limit_error";
        default:
            return status < 500 ? "invalid_request_error" : "server_error";
    }
}

std::string message_of(std::string_view text) {
    std::string message;
    message.reserve(text.size());
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = at;
        while (end < text.size() && is_digit(text[end]))
            ++end;
        const std::string_view figure = text.substr(at, end - at);
        bool reads_as_status = false;
        for (std::size_t i = 0; i + 3 <= figure.size(); ++i)
            reads_as_status |= figure[i] == '4' || figure[i] == '5';
        if (reads_as_status)
            message.append(figure.size(), '#');
        else
            message += figure;
        if (end < text.size()) message += text[end++];
        at = end;
    }
    SLUICE_ASSERT(message.size() == text.size());
    return message;
}

void append_json_escaped(std::string& out, std::string_view text) {
    static constexpr std::string_view replacement = "\xEF\xBF\xBD";
    const char* p = text.data();
    const char* const end = p + text.size();
    while (p != end) {
        const char* q = skip_utf8(skip_plain_text(p, end), end);
        append_visible(out, {p, static_cast<std::size_t>(q - p)});
        p = q;
        if (p == end) return;
        const auto c = static_cast<unsigned char>(*p);
        if (c >= 0x80) {
            out += replacement;
        } else if (c == '"' || c == '\\') {
            out += '\\';
            out += *p;
        } else if (c == '\n') {
            out += "\\n";
        } else if (c < 0x20) {
            append_escape(out, c);
        } else {
            continue;  // plain text behind a non-ASCII letter
        }
        ++p;
    }
}

}  // namespace sluice::llm
