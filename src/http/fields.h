// FieldReader: takes the fields of one head in order and draws their conclusions: how the body is
// framed, whether the connection stays, which host is meant.
//
// Used by the parser for one head and then thrown away. Its refusals come in the order of the text,
// so that a head gets the same answer however it was split; what needs the whole head is decided in
// conclude_*().
#pragma once

#include "field_line.h"
#include "sluice/http/head.h"
#include "verdict.h"

#include <string_view>

namespace sluice::http {

class FieldReader {
public:
    explicit FieldReader(bool request) : request_(request) {}

    // Adds a field to the head. The name is a token, the value trimmed.
    Verdict add(Head& head, const FieldLine& line);

    // Fills framing, content_length, keep_alive, host and expect_continue.
    Verdict conclude_request(Head& head);
    Verdict conclude_response(Head& head, bool to_head_request);

private:
    Verdict add_known(Head& head, FieldId id, std::string_view value);
    Verdict add_content_length(Head& head, std::string_view value);
    void add_connection(std::string_view value);
    Verdict check_host(Head& head) const;
    // One framing, or none, and no room for two readers to choose differently.
    Verdict check_framing(const Head& head) const;

    bool request_;
    bool close_ = false;        // Connection: close
    bool keep_alive_ = false;   // Connection: keep-alive
    bool expectation_ = false;  // Expect: something
    bool strange_expectation_ = false;
    bool underscore_ = false;  // some name has an underscore
    unsigned transfer_encodings_ = 0;
    unsigned hosts_ = 0;
    Verdict coding_;         // of the Transfer-Encoding
    std::string_view host_;  // of the Host field
};

// Content-Length as RFC 9110 section 8.6 has it, and narrower: digits, no leading zero, below 2^63
// (a reader with signed numbers must see the same length).
Verdict read_content_length(std::string_view value, std::uint64_t& length);

// Only `chunked` is understood. A list that is well formed and ends in `chunked` but names another
// coding before it is 501 (RFC 9112 section 6.1); everything else is 400.
Verdict read_transfer_encoding(std::string_view value);

// Whether a name with an underscore reads, to a server that takes '_' for '-' (CGI and its heirs),
// like a field that this gateway or a model server acts on. Such requests are refused with 400;
// other names with underscores are the application's business and pass.
bool is_underscore_twin(std::string_view name);

}  // namespace sluice::http
