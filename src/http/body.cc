// Bodies that need no llhttp, and how a message ends, well or not.
#include "sluice/base/assert.h"
#include "sluice/http/parser.h"

#include <algorithm>
#include <limits>
#include <string>

namespace sluice::http {

Progress Parser::parse_body(std::string_view bytes, std::vector<BodyPiece>& pieces,
                            std::size_t& consumed) {
    SLUICE_ASSERT(phase_ != Phase::head);
    SLUICE_ASSERT(bytes.size() <= std::numeric_limits<std::uint32_t>::max());
    consumed = 0;
    switch (phase_) {
        case Phase::chunks:
            return parse_chunks(bytes, pieces, consumed);
        case Phase::trailers:
            return parse_trailers(bytes, consumed);
        case Phase::length:
            consumed = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), body_.left));
            body_.left -= consumed;
            if (body_.left == 0) phase_ = Phase::complete;
            break;
        case Phase::until_close:
            consumed = bytes.size();
            break;
        case Phase::head:
        case Phase::complete:
            return Progress::complete;
        case Phase::failed:
            return Progress::failed;
    }
    if (consumed > 0) pieces.push_back({.end = static_cast<std::uint32_t>(consumed)});
    return phase_ == Phase::complete ? Progress::complete : Progress::incomplete;
}

std::uint64_t Parser::opaque_bytes() const {
    switch (phase_) {
        case Phase::length:
            return body_.left;
        case Phase::chunks:
            return body_.chunk_part == ChunkPart::data ? body_.left : 0;
        case Phase::until_close:
            return std::numeric_limits<std::uint64_t>::max();
        default:
            return 0;
    }
}

Progress Parser::finish() {
    if (phase_ == Phase::until_close) phase_ = Phase::complete;
    if (phase_ == Phase::complete) return Progress::complete;
    if (phase_ == Phase::failed) return Progress::failed;
    return fail(400, phase_ == Phase::head ? "The connection ended within the head."
                                           : "The connection ended within the body.");
}

bool Parser::had_trailers() const {
    return body_.had_trailers;
}

const Error& Parser::error() const {
    SLUICE_ASSERT(phase_ == Phase::failed && error_ != nullptr);
    return *error_;
}

Progress Parser::fail(int status, std::string_view words) {
    SLUICE_ASSERT(phase_ != Phase::failed && status >= 400);
    phase_ = Phase::failed;
    std::string message(words);
    if (side_ == Side::request) {
        error_ = std::make_unique<Error>(Error::client(status, std::move(message)));
    } else {
        message.insert(0, "The backend's answer is malformed: ");
        error_ = std::make_unique<Error>(Error::backend(502, Retry::no, std::move(message)));
    }
    return Progress::failed;
}

}  // namespace sluice::http
