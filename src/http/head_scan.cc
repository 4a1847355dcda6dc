// When a head that is still arriving is worth a look: one pass over the new bytes only. And the
// line it begins with.
#include "grammar.h"
#include "sluice/base/assert.h"
#include "sluice/http/parser.h"
#include "start_line.h"

namespace sluice::http {

// How many bytes of empty lines stand before the first line; counts `lines`.
std::size_t skip_empty_lines(std::string_view text, int& lines) {
    std::size_t at = 0;
    while (text.substr(at, 2) == "\r\n") {
        at += 2;
        ++lines;
    }
    return at;
}

bool Parser::head_worth_parsing(std::string_view text, std::size_t seen) {
    SLUICE_ASSERT(seen <= text.size());
    if (text.size() >= limits::head_bytes_max) return true;
    int empty_lines = 0;
    const std::size_t begin = skip_empty_lines(text, empty_lines);
    if (empty_lines > limits::leading_empty_lines_max) return true;
    const std::string_view message = text.substr(begin);
    if (message.empty() || message == "\r") return false;
    const std::size_t old = seen > begin ? seen - begin : 0;
    if (old == 0 && !is(token_char, message.front())) return true;
    const bool in_first_line = message.substr(0, old).find('\n') == message.npos;
    for (std::size_t lf = message.find('\n', old); lf != message.npos;
         lf = message.find('\n', lf + 1)) {
        if (in_first_line) return true;
        const std::string_view before = message.substr(0, lf);
        if (before.ends_with('\n') || before.ends_with("\n\r")) return true;
    }
    return in_first_line && message.size() >= first_line_bytes_max;
}

// `complete` once the first line is there and well formed.
Progress Parser::read_first_line(std::string_view text, std::size_t& fields_begin, Head& head) {
    const bool request = side_ == Side::request;
    int empty_lines = 0;
    const std::size_t begin = request ? skip_empty_lines(text, empty_lines) : 0;
    if (empty_lines > limits::leading_empty_lines_max) {
        return fail(400, "There are too many empty lines before the request line.");
    }
    const std::string_view window = text.substr(begin, first_line_bytes_max);
    if (window.empty() || (request && window == "\r")) return Progress::incomplete;
    if (!is(token_char, window.front())) {
        return fail(400, "The first byte cannot begin an HTTP message.");
    }
    const std::size_t lf = window.find('\n');
    if (lf == window.npos) {
        if (window.size() < first_line_bytes_max) return Progress::incomplete;
        return fail(414, "The first line is longer than the 8 KiB that are accepted.");
    }
    if (window[lf - 1] != '\r') return fail(400, "The first line does not end in CRLF.");
    fields_begin = begin + lf + 1;
    const std::string_view line = window.substr(0, lf - 1);
    const Verdict verdict = request ? read_request_line(line, head) : read_status_line(line, head);
    return verdict.refused() ? fail(verdict.status, verdict.words) : Progress::complete;
}

}  // namespace sluice::http
