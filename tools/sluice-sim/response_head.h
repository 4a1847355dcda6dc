// The head of a response, in the habits of each server.
#pragma once

#include "options.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::model_sim {

enum class Framing : std::uint8_t { length, chunked };

struct ResponseHead {
    Api api = Api::llama;
    int status = 200;
    std::string_view content_type;
    Framing framing = Framing::length;
    std::uint64_t length = 0;
    bool stream = false;
    bool keep_alive = true;
    std::string_view origin = {};  // of the request
    std::string_view fields = {};  // further lines, each with its CRLF
    Duration idle;                 // for Keep-Alive
    std::uint32_t requests_max = 0;
};

void append_head(std::string& out, const ResponseHead& head);

// One chunk of the chunked coding (RFC 9112 section 7.1).
void append_chunk(std::string& out, std::string_view data);
inline constexpr std::string_view last_chunk = "0\r\n\r\n";

}  // namespace sluice::model_sim
