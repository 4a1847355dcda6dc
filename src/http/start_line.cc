#include "start_line.h"

#include "grammar.h"

#include <algorithm>

namespace sluice::http {

namespace {

constexpr std::string_view root = "/";
constexpr std::string_view asterisk = "*";

// "HTTP/1.0" or "HTTP/1.1"; RFC 9112 section 2.3: one digit, a dot, one digit, capitals. A higher
// minor version is spoken as the highest one that is known (RFC 9110 section 2.5).
Verdict read_version(std::string_view text, Head& head) {
    const bool shaped = text.size() == 8 && text.starts_with("HTTP/") && is_digit(text[5]) &&
                        text[6] == '.' && is_digit(text[7]);
    if (!shaped) {
        return bad_request("The first line does not end in an HTTP version such as HTTP/1.1.");
    }
    if (text[5] != '1') return {505, "Only HTTP/1.1 and HTTP/1.0 are spoken here."};
    head.minor = text[7] == '0' ? 0 : 1;
    return fine;
}

void split_query(Head& head) {
    const std::size_t mark = head.target.find('?');
    head.path = head.target.substr(0, mark);
    head.query = mark == head.target.npos ? std::string_view{} : head.target.substr(mark + 1);
}

// "http://host[:port]/path?query", cut to its origin-form (RFC 9112 section 3.2.2). An empty path
// is "/"; before a query it stands in no text, so that target and path are set apart.
Verdict read_absolute_target(std::string_view target, Head& head) {
    const std::size_t scheme_end = target.find("://");
    const std::string_view scheme = target.substr(0, scheme_end);
    if (scheme_end == target.npos || !(same_name(scheme, "http") || same_name(scheme, "https"))) {
        return bad_request("The request target neither begins with '/' nor is an http URL.");
    }
    const std::string_view rest = target.substr(scheme_end + 3);
    const std::size_t host_end = std::min(rest.find_first_of("/?"), rest.size());
    head.host = rest.substr(0, host_end);
    if (!is_authority(head.host)) {
        return bad_request("The host of the request target is not of the form host[:port].");
    }
    // RFC 9110 section 7.4: the origin that is asked for is another one than the one that listens.
    if (same_name(scheme, "https")) {
        return {421, "No https is spoken on this port: ask for the same URL with http."};
    }
    head.target = rest.substr(host_end);
    if (head.target.empty()) {
        // RFC 9112 section 3.2.4: an empty path means the server itself for OPTIONS.
        head.target = head.method_text == "OPTIONS" ? asterisk : root;
    }
    return fine;
}

Verdict read_target(std::string_view target, Head& head) {
    if (!all(target_char, target)) {
        return bad_request(
            "The request target holds a character that must be percent-encoded, or a fragment.");
    }
    if (target.front() == '/') {
        head.target = target;
    } else if (target == asterisk && head.method_text == "OPTIONS") {
        head.target = target;
    } else if (const Verdict verdict = read_absolute_target(target, head); verdict.refused()) {
        return verdict;
    }
    split_query(head);
    if (head.path.empty()) {
        head.path = root;
        head.target = {};
    }
    return fine;
}

}  // namespace

Verdict read_request_line(std::string_view line, Head& head) {
    const std::size_t first = line.find(' ');
    const std::size_t second = first == line.npos ? line.npos : line.find(' ', first + 1);
    if (second == line.npos || second == first + 1) {
        return bad_request(
            "The request line is not of the form 'method target version', one space between.");
    }
    head.method_text = line.substr(0, first);
    if (!is_token(head.method_text)) return bad_request("The method is not a token.");
    if (const Verdict verdict = read_version(line.substr(second + 1), head); verdict.refused()) {
        return verdict;
    }
    if (head.method_text == "CONNECT") return {501, "CONNECT is not served: this is no tunnel."};
    if (head.method_text == "TRACE") return {501, "TRACE is not served."};
    return read_target(line.substr(first + 1, second - first - 1), head);
}

Verdict read_status_line(std::string_view line, Head& head) {
    if (const Verdict verdict = read_version(line.substr(0, 8), head); verdict.refused()) {
        return verdict;
    }
    const std::string_view rest = line.substr(8);  // " 200 OK", or " 200" as some servers have it
    const bool shaped = rest.size() >= 4 && rest[0] == ' ' && is_digit(rest[1]) &&
                        is_digit(rest[2]) && is_digit(rest[3]) &&
                        (rest.size() == 4 || rest[4] == ' ');
    if (!shaped) return bad_request("The status line is not of the form 'version code reason'.");
    head.status = (rest[1] - '0') * 100 + (rest[2] - '0') * 10 + (rest[3] - '0');
    if (head.status < 100 || head.status > 599) {
        return bad_request("The status code is no status.");
    }
    if (head.status == 101) return bad_request("The protocol was switched without being asked to.");
    head.reason = rest.size() > 5 ? rest.substr(5) : std::string_view{};
    if (!all(value_char, head.reason)) {
        return bad_request("The reason phrase holds a control character.");
    }
    return fine;
}

}  // namespace sluice::http
