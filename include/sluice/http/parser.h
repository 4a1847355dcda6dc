// Parser: reads one direction of one HTTP/1.1 connection, strictly; the only user of llhttp.
//
// Pure: bytes in, facts out. A message is read in two phases:
//   1. parse_head() with the contiguous text of the message from its first byte. It starts anew at
//      every call, so callers ask head_worth_parsing() first and keep no state of their own.
//   2. parse_body() with every following run of bytes, in any split, until `complete`.
// After `failed` the connection is of no further use: answer with error().status and close.
// Strictness (rows 1 to 45 of the fault list): llhttp with no lenient flag, plus the checks that it
// does not make. A refused request is the client's fault with 400, 414, 417, 421, 431, 501 or 505;
// a refused response is the backend's with 502. CONNECT, TRACE, a 101 and expectations other than
// 100-continue never come out as a complete head.
// What is refused does not depend on how the bytes were split. Nothing is allocated but on failure,
// and for the few heads that llhttp must read in another spelling (tabs, HTTP/1.2).
#pragma once

#include "sluice/base/result.h"
#include "sluice/http/head.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace sluice::http {

class FieldReader;
struct Verdict;

enum class Progress : std::uint8_t { incomplete, complete, failed };

// A decoded run of body bytes inside the bytes that were given to parse_body().
// Offsets count from the begin of those bytes.
struct BodyPiece {
    std::uint32_t begin = 0;  // body bytes [begin, end)
    std::uint32_t end = 0;
    // The piece is one whole chunk whose size line (without extension) and closing CRLF lie in the
    // same bytes, at [raw_begin, raw_end): it can be sent on as it is. Never set without chunks.
    bool intact = false;
    std::uint32_t raw_begin = 0;
    std::uint32_t raw_end = 0;
};

class Parser {
public:
    enum class Side : std::uint8_t { request, response };

    explicit Parser(Side side);

    // Reads the head. `text` begins with the message's first byte and may go on behind the head.
    // `complete`: `head` is filled (head.bytes long). `incomplete`: call again with more.
    // For responses, `to_head_request` says that the answer has no body whatever its fields say.
    // An interim 1xx response is a complete head with framing `none`; call again for the next one.
    Progress parse_head(std::string_view text, Head& head, bool to_head_request = false);

    // Whether parse_head() can say anything new about `text`, of which the first `seen` bytes were
    // asked about before: a first line has ended, an empty line is there, a limit is passed, or
    // the first byte already cannot begin a message. Keeps one-byte writes linear.
    static bool head_worth_parsing(std::string_view text, std::size_t seen);

    // Reads body bytes after a complete head; appends what it finds to `pieces`.
    // `consumed` is how many bytes belong to this message; bytes behind them are the next one's.
    // With framing `none` it is complete at once; with `until_close` it never completes by itself.
    // After `failed`, `consumed` says nothing; the pieces are those in front of the fault.
    Progress parse_body(std::string_view bytes, std::vector<BodyPiece>& pieces,
                        std::size_t& consumed);

    // How many bytes of body come for certain before any framing does: the rest of the body, or of
    // the chunk whose data has begun. Without end with `until_close`; 0 where that is not known.
    std::uint64_t opaque_bytes() const;
    // So many of them passed elsewhere, unread. A chunk's last byte must not be among them.
    Progress skip(std::uint64_t bytes);

    // The body's framing stands where a chunk may be put in; without chunks it always does.
    bool between_chunks() const {
        if (phase_ != Phase::chunks) return phase_ == Phase::until_close;
        return body_.chunk_part == ChunkPart::size_line && body_.line_bytes == 0;
    }

    // The peer closed its side: `complete` if the message may end so (RFC 9112 section 8).
    Progress finish();

    // Whether any trailer field was seen (and dropped: RFC 9110 section 6.5.1).
    bool had_trailers() const;

    // After `failed`: the status and the words to answer with.
    const Error& error() const;

private:
    friend struct ParserPeer;  // of the tests: whether both ways of reading fields say the same
    struct HeadPass;           // one call of parse_head()
    struct BodyPass;           // one call of parse_body() within chunks
    struct Hooks;              // what llhttp calls

    // Where the next byte belongs.
    enum class Phase : std::uint8_t {
        head,
        length,
        chunks,
        trailers,
        until_close,
        complete,
        failed
    };
    enum class ChunkPart : std::uint8_t { size_line, data, closing };
    enum class TrailerPart : std::uint8_t { line_begin, name, value, line_lf, final_lf };

    // How far a body has come; new with every head.
    struct Body {
        std::uint64_t left = 0;  // bytes to come: of the body (`length`) or of the chunk (`chunks`)
        std::uint32_t line_bytes = 0;       // of the current size line, or of the closing CRLF
        std::uint32_t line_extension = 0;   // how many of those are extension (finished parts)
        std::uint32_t extension_part = 0;   // of the extension name or value that is being read
        std::uint32_t extension_bytes = 0;  // of all chunks
        std::uint32_t trailer_bytes = 0;
        ChunkPart chunk_part = ChunkPart::size_line;
        TrailerPart trailer_part = TrailerPart::line_begin;
        bool had_trailers = false;
    };

    Progress read_first_line(std::string_view text, std::size_t& fields_begin, Head& head);
    bool read_plain_fields(std::string_view text, std::size_t fields_begin, Head& head,
                           bool to_head_request);
    Progress read_fields(std::string_view text, std::size_t fields_begin, Head& head,
                         bool to_head_request);
    Progress conclude_head(HeadPass& pass, std::string_view text, bool to_head_request);
    Verdict conclude(FieldReader& fields, Head& head, bool to_head_request);
    Progress refused_by_machine(int code, const char* fields_begin);
    Progress begin_body(const Head& head);
    Progress parse_chunks(std::string_view bytes, std::vector<BodyPiece>& pieces,
                          std::size_t& consumed);
    Progress end_chunk_run(const BodyPass& pass);
    Progress parse_trailers(std::string_view bytes, std::size_t& consumed);
    bool trailer_byte(char c);
    Progress fail(int status, std::string_view words);

    // llhttp's state. Its header stays behind its one door, parser.cc, which checks the size.
    alignas(8) std::array<std::byte, 104> machine_{};
    Body body_;
    std::unique_ptr<Error> error_;
    Side side_;
    Phase phase_ = Phase::head;
};

}  // namespace sluice::http
