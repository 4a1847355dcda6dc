#include "sluice/llm/errors.h"

#include "json_text.h"

#include <array>

namespace sluice::llm {

namespace {

void append_quoted(std::string& out, std::string_view text) {
    out += '"';
    append_json_escaped(out, text);
    out += '"';
}

// A string, or null where there is none.
void append_nullable(std::string& out, std::string_view text) {
    if (text.empty()) {
        out += "null";
    } else {
        append_quoted(out, text);
    }
}

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
    std::string out = R"({"error":{"message":)";
    append_quoted(out, error.message);
    out += R"(,"type":)";
    append_quoted(out, error_type(error.status));
    out += R"(,"param":)";
    append_nullable(out, error.param);
    out += R"(,"code":)";
    append_nullable(out, error.code);
    out += "}}";
    return out;
}

std::string responses_event(const ErrorText& error) {
    std::string out = R"({"type":"error","code":)";
    append_quoted(out, error.code.empty() ? error_type(error.status) : error.code);
    out += R"(,"message":)";
    append_quoted(out, error.message);
    out += R"(,"param":)";
    append_nullable(out, error.param);
    out += "}";
    return out;
}

std::string anthropic_body(const ErrorText& error) {
    std::string out = R"({"type":"error","error":{"type":)";
    append_quoted(out, anthropic_error_type(error.status));
    out += R"(,"message":)";
    append_quoted(out, error.message);
    out += R"(},"request_id":)";
    append_nullable(out, error.request_id);
    out += "}";
    return out;
}

std::string ollama_body(const ErrorText& error) {
    std::string out = R"({"error":)";
    append_quoted(out, error.message);
    out += "}";
    return out;
}

// llama-server's own: `code` is the status as a number.
std::string llama_body(const ErrorText& error) {
    std::string out = R"({"error":{"code":)" + std::to_string(error.status) + R"(,"message":)";
    append_quoted(out, error.message);
    out += R"(,"type":)";
    append_quoted(out, error_type(error.status));
    out += "}}";
    return out;
}

constexpr std::string_view hex = "0123456789abcdef";

void append_escape(std::string& out, unsigned char c) {
    const std::array<char, 6> escape{'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
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
            return "event: error\ndata: " + responses_event(error) + "\n\n";
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
