// RequestReader: the text of the request that a connection receives, whole, and where its body is.
//
// All of a request is kept in one piece: a simulation has no reason to be frugal with its own
// input, and GET /sim/last-request shows exactly what came.
#pragma once

#include "sluice/base/result.h"
#include "sluice/http/parser.h"
#include "sluice/mem/chain.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::model_sim {

class RequestReader {
public:
    RequestReader() : parser_(http::Parser::Side::request) {}

    // Takes all bytes of the chain.
    void take(mem::Chain& received);

    // First the head; `head` points into our text until the next take().
    http::Progress read_head(http::Head& head);
    // Then the body, after every take().
    http::Progress read_body();
    // After `failed`.
    Error error() const;

    // Of a complete request.
    std::string_view body() const;
    std::string_view message() const { return std::string_view(text_).substr(0, end_); }

    // Goes on to the next request, which may have come already.
    void next();

    bool empty() const { return text_.empty(); }
    std::size_t bytes_ahead() const { return text_.size() - end_; }
    void shrink();

private:
    std::string text_;          // from the request's first byte on
    std::string chunked_body_;  // decoded
    std::vector<http::BodyPiece> pieces_;
    http::Parser parser_;
    std::size_t seen_ = 0;  // of an incomplete head, looked at in vain
    std::size_t head_bytes_ = 0;
    std::size_t end_ = 0;  // of what is read
    bool chunked_ = false;
    bool too_large_ = false;
};

}  // namespace sluice::model_sim
