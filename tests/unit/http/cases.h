// Tables of messages: what every one of them must come to, whole and byte by byte.
#pragma once

#include "session.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::http::test {

// Keeps NUL bytes of a literal.
template <std::size_t N>
std::string raw(const char (&literal)[N]) {
    return std::string(literal, N - 1);
}

// A text as a test prints it.
inline std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 400)) {
        constexpr std::string_view digits = "0123456789abcdef";
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\r') {
            out += "\\r";
        } else if (c == '\n') {
            out += "\\n";
        } else if (byte < 0x20 || byte > 0x7e) {
            out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
        } else {
            out += c;
        }
    }
    return out;
}

// The outcome of the whole text, after checking that single bytes come to the same, and that it is
// llhttp's own where it sees every byte.
inline Outcome run(const Input& input) {
    const Outcome whole = run_whole(input);
    CAPTURE(printable(input.text));
    CHECK(run_split(input, [] { return std::size_t{1}; }) == whole);
    CHECK(run_thoroughly(input) == whole);
    return whole;
}

inline Outcome run_request(std::string text) {
    return run({Parser::Side::request, std::move(text)});
}

inline Outcome run_response(std::string text, bool to_head_request = false) {
    return run({Parser::Side::response, std::move(text), to_head_request});
}

inline Message only(const Outcome& outcome) {
    CAPTURE(outcome.words);
    CHECK_FALSE(outcome.failed);
    REQUIRE(outcome.messages.size() == 1);
    return outcome.messages[0];
}

// Every text is refused with that status, nothing of it comes out as a message but (`before`) what
// stood in front of the fault, and it is the client's fault.
inline void check_refused(int status, const std::vector<std::string>& texts,
                          std::size_t before = 0) {
    for (const std::string& text : texts) {
        CAPTURE(printable(text));
        const Outcome outcome = run_request(text);
        CHECK(outcome.failed);
        CHECK(outcome.status == status);
        CHECK(outcome.source == Source::client);
        CHECK(outcome.words.size() > 10);
        // Refused for what it is, not because the text stops.
        CHECK(outcome.words.find("connection ended") == std::string::npos);
        CHECK(outcome.messages.size() == before);
    }
}

inline void check_accepted(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
        CAPTURE(printable(text));
        const Outcome outcome = run_request(text);
        CAPTURE(outcome.words);
        CHECK_FALSE(outcome.failed);
        CHECK(outcome.messages.size() == 1);
    }
}

// A POST whose field lines are these, each with its CRLF.
inline std::string post(std::string_view field_lines, std::string_view body = "") {
    std::string text = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:8642\r\n";
    text += field_lines;
    text += "\r\n";
    text += body;
    return text;
}

inline std::string chunked(std::string_view body) {
    return post("Transfer-Encoding: chunked\r\n", body);
}

// A GET with this request line.
inline std::string line(std::string_view request_line) {
    return std::string(request_line) + "\r\nHost: localhost:8642\r\n\r\n";
}

// A GET with this Host field line.
inline std::string host(std::string_view value) {
    return "GET / HTTP/1.1\r\nHost: " + std::string(value) + "\r\n\r\n";
}

inline std::string post_fields(std::string_view field_lines) {
    return post(field_lines);
}

// make(part) for every part of the table.
inline std::vector<std::string> each(const std::function<std::string(std::string_view)>& make,
                                     const std::vector<std::string>& parts) {
    std::vector<std::string> texts;
    for (const std::string& part : parts)
        texts.push_back(make(part));
    return texts;
}

}  // namespace sluice::http::test
