// The trailer section behind the last chunk (RFC 9112 section 7.1.2): read strictly, and dropped.
//
// llhttp is not asked here: it would take a Content-Length among the trailers for the message's.
#include "grammar.h"
#include "sluice/http/parser.h"

namespace sluice::http {

Progress Parser::parse_trailers(std::string_view bytes, std::size_t& consumed) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        if (++body_.trailer_bytes > limits::trailer_bytes_max) {
            return fail(431, "The trailers are longer than the 8 KiB that are accepted.");
        }
        const bool last = body_.trailer_part == TrailerPart::final_lf;
        if (!trailer_byte(bytes[at])) return fail(400, "A trailer line is malformed.");
        if (last) {
            phase_ = Phase::complete;
            consumed = at + 1;
            return Progress::complete;
        }
    }
    consumed = bytes.size();
    return Progress::incomplete;
}

// Trailers are only skipped, so nothing but their grammar is looked at: field lines, strictly.
bool Parser::trailer_byte(char c) {
    TrailerPart& part = body_.trailer_part;
    switch (part) {
        case TrailerPart::line_begin:
            part = c == '\r' ? TrailerPart::final_lf : TrailerPart::name;
            body_.had_trailers = body_.had_trailers || c != '\r';
            return c == '\r' || is(token_char, c);
        case TrailerPart::name:
            if (c == ':') part = TrailerPart::value;
            return c == ':' || is(token_char, c);
        case TrailerPart::value:
            if (c == '\r') part = TrailerPart::line_lf;
            return c == '\r' || is(value_char, c);
        case TrailerPart::line_lf:
            part = TrailerPart::line_begin;
            return c == '\n';
        case TrailerPart::final_lf:
            return c == '\n';
    }
    return false;
}

}  // namespace sluice::http
