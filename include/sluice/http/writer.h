// HeadWriter: writes the head of a message into memory the caller owns.
//
// Pure. Never writes past the given span: what does not fit sets overflowed(), and the caller
// answers 431 or 502. Values are written as they are: they come from a strict parser or from us.
#pragma once

#include "sluice/http/head.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::http {

class HeadWriter {
public:
    explicit HeadWriter(std::span<char> out) : out_(out) {}

    void request_line(std::string_view method, std::string_view target);
    void status_line(int status);                           // with the standard reason phrase
    void status_line(int status, std::string_view reason);  // with the peer's own
    void field(std::string_view name, std::string_view value);
    void field(std::string_view name, std::uint64_t value);

    // Copies end-to-end fields of a head that is forwarded: hop-by-hop fields (RFC 9110 section
    // 7.6.1, also those that Connection names), framing fields and those in `without` do not pass.
    // Fields of our own are written after this call, so that Connection cannot remove them.
    void forward(const Head& head, FieldSet without);

    void lines(std::string_view text);  // whole field lines, each with its CRLF
    void end();                         // the empty line

    bool overflowed() const { return overflowed_; }
    std::string_view text() const { return {out_.data(), size_}; }

private:
    // Whether so many bytes fit; from the first time that they do not, nothing does.
    bool reserve(std::size_t bytes);
    void append(std::string_view text);  // which fits
    void put(std::string_view text);

    std::span<char> out_;
    std::size_t size_ = 0;
    bool overflowed_ = false;
};

// The standard reason phrase of a status code (RFC 9110 section 15); "Unknown" for others.
std::string_view reason_phrase(int status);

}  // namespace sluice::http
