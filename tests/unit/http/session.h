// Session: drives a Parser over one direction of a connection, as the gateway does, and notes what
// comes out. The unit tests and the fuzzer share it.
//
// What a session says about some bytes must not depend on how they were split: run_split() feeds
// them in pieces, with head_worth_parsing() as the gate, and its outcome must equal run_whole()'s.
// Nor on how the fields were read: run_thoroughly() has llhttp see every byte of every head.
// What every piece of a body must obey is asserted here, so that each test and the fuzzer check it.
#pragma once

#include "sluice/base/assert.h"
#include "sluice/http/parser.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::http {

struct ParserPeer {
    // parse_head() without the way that spares llhttp most fields.
    static Progress parse_head(Parser& parser, std::string_view text, Head& head,
                               bool to_head_request) {
        if (parser.phase_ == Parser::Phase::failed) return Progress::failed;
        parser.phase_ = Parser::Phase::head;
        parser.body_ = {};
        std::size_t fields_begin = 0;
        const Progress first = parser.read_first_line(text, fields_begin, head);
        if (first != Progress::complete) return first;
        return parser.read_fields(text.substr(0, limits::head_bytes_max), fields_begin, head,
                                  to_head_request);
    }

    // Whether a head is taken without llhttp seeing every byte of it.
    static bool reads_plainly(Parser::Side side, std::string_view text) {
        Parser parser(side);
        Head head;
        std::size_t fields_begin = 0;
        return parser.read_first_line(text, fields_begin, head) == Progress::complete &&
               parser.read_plain_fields(text, fields_begin, head, false);
    }
};

}  // namespace sluice::http

namespace sluice::http::test {

enum class Way : std::uint8_t { usual, thorough };

struct Message {
    std::string method;
    std::string target;
    std::string host;
    std::string reason;
    int status = 0;
    int minor = 0;
    Framing framing = Framing::none;
    bool keep_alive = false;
    bool expect_continue = false;
    std::vector<std::pair<std::string, std::string>> fields;
    std::string body;
    bool whole = false;  // the body came to its end
    bool trailers = false;

    bool operator==(const Message&) const = default;
};

struct Outcome {
    std::vector<Message> messages;
    bool failed = false;
    int status = 0;  // of the error
    Source source = Source::gateway;
    std::string words;

    bool operator==(const Outcome&) const = default;
};

class Session {
public:
    explicit Session(Parser::Side side, bool to_head_request = false, Way way = Way::usual)
        : parser_(side), to_head_request_(to_head_request), way_(way) {}

    // `gated`: parse_head() is only called when head_worth_parsing() says so.
    void feed(std::string_view bytes, bool gated) {
        while (!outcome_.failed && !bytes.empty()) {
            if (in_body_) {
                bytes.remove_prefix(feed_body(bytes));
                continue;
            }
            text_.append(bytes);
            bytes = {};
            read_heads(gated);
        }
    }

    // The peer closed; whatever is still there must be decided now.
    Outcome end() {
        if (!in_body_ && !text_.empty()) read_heads(false);
        const bool idle = !in_body_ && text_.empty();
        if (!outcome_.failed && !idle) note(parser_.finish());
        if (in_body_ && !outcome_.failed) outcome_.messages.back().whole = true;
        return outcome_;
    }

private:
    // Reads heads, and the bodies between them, until the text is used up.
    void read_heads(bool gated) {
        while (!outcome_.failed && !in_body_ && !text_.empty()) {
            const bool worth = !gated || Parser::head_worth_parsing(text_, seen_);
            seen_ = text_.size();
            if (!worth) return;
            Head head;
            const Progress progress =
                way_ == Way::usual ? parser_.parse_head(text_, head, to_head_request_)
                                   : ParserPeer::parse_head(parser_, text_, head, to_head_request_);
            note(progress);
            if (progress != Progress::complete) return;
            SLUICE_ASSERT(head.bytes <= text_.size());
            outcome_.messages.push_back(describe(head));
            const std::string rest = text_.substr(head.bytes);
            text_.clear();
            seen_ = 0;
            in_body_ = true;
            std::string_view bytes = rest;
            do {
                bytes.remove_prefix(feed_body(bytes));
            } while (in_body_ && !bytes.empty() && !outcome_.failed);
            if (!in_body_) text_ = bytes;
        }
    }

    std::size_t feed_body(std::string_view bytes) {
        std::vector<BodyPiece> pieces;
        std::size_t consumed = 0;
        const Progress progress = parser_.parse_body(bytes, pieces, consumed);
        take(bytes, pieces, consumed, progress != Progress::failed);
        note(progress);
        Message& message = outcome_.messages.back();
        message.trailers = parser_.had_trailers();
        if (progress == Progress::complete) {
            message.whole = true;
            in_body_ = false;
        } else if (progress == Progress::incomplete) {
            SLUICE_ASSERT(consumed == bytes.size());
        }
        return consumed;
    }

    void take(std::string_view bytes, const std::vector<BodyPiece>& pieces, std::size_t consumed,
              bool fine) {
        SLUICE_ASSERT(consumed <= bytes.size());
        const Framing framing = outcome_.messages.back().framing;
        std::uint32_t at = 0;
        for (const BodyPiece& piece : pieces) {
            SLUICE_ASSERT(piece.begin >= at && piece.begin < piece.end);
            SLUICE_ASSERT(piece.end <= (fine ? consumed : bytes.size()));
            at = piece.end;
            const std::string_view data = bytes.substr(piece.begin, piece.end - piece.begin);
            if (piece.intact) {
                SLUICE_ASSERT(framing == Framing::chunked);
                SLUICE_ASSERT(piece.raw_begin < piece.begin && piece.raw_end == piece.end + 2);
                check_chunk(bytes.substr(piece.raw_begin, piece.raw_end - piece.raw_begin), data);
                at = piece.raw_end;
            }
            outcome_.messages.back().body.append(data);
        }
    }

    // `raw` is digits CRLF data CRLF, and the digits say how long the data is.
    static void check_chunk(std::string_view raw, std::string_view data) {
        const std::size_t line = raw.find("\r\n");
        SLUICE_ASSERT(line != raw.npos && line > 0 && line <= 16);
        SLUICE_ASSERT(raw.substr(0, line).find_first_not_of("0123456789abcdefABCDEF") == raw.npos);
        SLUICE_ASSERT(std::stoull(std::string(raw.substr(0, line)), nullptr, 16) == data.size());
        SLUICE_ASSERT(raw.size() == line + 2 + data.size() + 2);
        SLUICE_ASSERT(raw.substr(line + 2, data.size()) == data && raw.ends_with("\r\n"));
    }

    void note(Progress progress) {
        if (progress != Progress::failed) return;
        outcome_.failed = true;
        outcome_.status = parser_.error().status;
        outcome_.source = parser_.error().source;
        outcome_.words = parser_.error().message;
    }

    static Message describe(const Head& head) {
        Message message;
        message.method = head.method_text;
        message.target = head.target;
        message.host = head.host;
        message.reason = head.reason;
        message.status = head.status;
        message.minor = head.minor;
        message.framing = head.framing;
        message.keep_alive = head.keep_alive;
        message.expect_continue = head.expect_continue;
        for (const Field& field : head.fields())
            message.fields.emplace_back(field.name, field.value);
        return message;
    }

    Parser parser_;
    bool to_head_request_;
    Way way_;
    bool in_body_ = false;
    std::string text_;
    std::size_t seen_ = 0;
    Outcome outcome_;
};

struct Input {
    Parser::Side side = Parser::Side::request;
    std::string text;
    bool to_head_request = false;
};

inline Outcome run_whole(const Input& input) {
    Session session(input.side, input.to_head_request);
    session.feed(input.text, false);
    return session.end();
}

inline Outcome run_thoroughly(const Input& input) {
    Session session(input.side, input.to_head_request, Way::thorough);
    session.feed(input.text, false);
    return session.end();
}

// `next_size` says how many bytes come next; it is asked until the text is used up.
inline Outcome run_split(const Input& input, const std::function<std::size_t()>& next_size) {
    Session session(input.side, input.to_head_request);
    std::string_view rest = input.text;
    while (!rest.empty()) {
        // A copy of the exact size, so that a sanitizer sees any look behind its end.
        const std::vector<char> bytes(
            rest.begin(),
            rest.begin() + static_cast<std::ptrdiff_t>(std::min(rest.size(), next_size())));
        session.feed({bytes.data(), bytes.size()}, true);
        rest.remove_prefix(bytes.size());
    }
    return session.end();
}

}  // namespace sluice::http::test
