// When a head that is still arriving is worth a look: one pass over the new bytes only.
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

}  // namespace sluice::http
