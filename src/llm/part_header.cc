#include "part_header.h"

#include "sluice/base/assert.h"

#include <algorithm>

namespace sluice::llm {

namespace {

// RFC 9110, section 5.6.2.
bool is_token_char(char c) {
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           others.find(c) != std::string_view::npos;
}

std::string_view take_token(std::string_view& text) {
    const auto end = std::find_if_not(text.begin(), text.end(), is_token_char);
    const std::string_view token = text.substr(0, static_cast<std::size_t>(end - text.begin()));
    text.remove_prefix(token.size());
    return token;
}

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

bool holds_control_but_tab(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F;
    });
}

const char* read_disposition(std::string_view value, PartHeader& header) {
    if (!same_word(take_token(value), "form-data")) return "a part that is not form-data";
    Parameters parameters(value);
    bool named = false;
    for (std::string_view name, content; parameters.next(name, content);) {
        if (same_word(name, "name")) {
            if (named) return "a part with two names";
            if (content.find('\\') != std::string_view::npos) return "a backslash in a part's name";
            named = true;
            header.name = content;
        } else if (same_word(name, "name*")) {
            return "a part with a name in the extended notation";
        } else if (same_word(name, "filename") || same_word(name, "filename*")) {
            header.is_file = true;
        }
    }
    if (parameters.malformed()) return "a Content-Disposition that is not well formed";
    return named ? nullptr : "a part without a name";
}

}  // namespace

bool same_word(std::string_view word, std::string_view lower) {
    return std::equal(word.begin(), word.end(), lower.begin(), lower.end(), [](char a, char b) {
        return (a >= 'A' && a <= 'Z' ? static_cast<char>(a | 0x20) : a) == b;
    });
}

bool Parameters::fail() {
    malformed_ = true;
    return false;
}

void Parameters::skip_spaces() {
    while (!rest_.empty() && is_blank(rest_.front()))
        rest_.remove_prefix(1);
}

bool Parameters::next(std::string_view& name, std::string_view& value) {
    SLUICE_ASSERT(!malformed_);
    skip_spaces();
    if (rest_.empty()) return false;
    if (rest_.front() != ';') return fail();
    rest_.remove_prefix(1);
    skip_spaces();
    if (rest_.empty()) return false;  // a last semicolon is common and says nothing
    name = take_token(rest_);
    if (name.empty() || rest_.empty() || rest_.front() != '=') return fail();
    rest_.remove_prefix(1);
    if (!rest_.empty() && rest_.front() == '"') return take_quoted(value);
    value = take_token(rest_);
    return !value.empty() || fail();
}

bool Parameters::take_quoted(std::string_view& value) {
    const std::size_t end = rest_.find('"', 1);
    if (end == std::string_view::npos) return fail();
    value = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return !value.ends_with('\\') || fail();
}

const char* read_part_header(std::string_view lines, PartHeader& header) {
    constexpr std::string_view crlf = "\r\n";
    SLUICE_ASSERT(lines.ends_with(crlf));
    bool disposed = false;
    while (lines != crlf) {
        const std::string_view line = lines.substr(0, lines.find(crlf));
        lines.remove_prefix(line.size() + crlf.size());
        SLUICE_ASSERT(!lines.empty());
        std::string_view value = line;
        const std::string_view name = take_token(value);
        if (name.empty() || value.empty() || value.front() != ':' || holds_control_but_tab(value)) {
            return "a header line of a part that is not well formed";
        }
        value.remove_prefix(1);
        while (!value.empty() && is_blank(value.front()))
            value.remove_prefix(1);
        while (!value.empty() && is_blank(value.back()))
            value.remove_suffix(1);
        if (same_word(name, "content-disposition")) {
            if (disposed) return "a part with two Content-Disposition lines";
            disposed = true;
            if (const char* problem = read_disposition(value, header)) return problem;
        } else if (same_word(name, "content-transfer-encoding")) {
            // RFC 7578, section 4.7: not to be used. These three change nothing.
            if (!same_word(value, "binary") && !same_word(value, "8bit") &&
                !same_word(value, "7bit")) {
                return "a part with a transfer encoding";
            }
        }
    }
    return disposed ? nullptr : "a part without Content-Disposition";
}

}  // namespace sluice::llm
