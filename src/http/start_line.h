// The first line of a message, read strictly: what llhttp lets pass here decides who is asked for
// what, so every byte of it is checked again.
//
// RFC 9112 sections 3 (request line) and 4 (status line). The line comes without its CRLF.
#pragma once

#include "sluice/http/head.h"
#include "verdict.h"

#include <string_view>

namespace sluice::http {

inline constexpr std::size_t first_line_bytes_max = limits::request_line_bytes_max + 2;  // + CRLF

// How many bytes of empty lines stand before the first line, and how many lines that are.
std::size_t skip_empty_lines(std::string_view text, int& lines);

// Fills method_text, target, path, query and minor; host, too, if the target is in absolute form.
// The method itself is llhttp's to know. CONNECT and TRACE are refused here with 501: this gateway
// is never a tunnel and echoes nothing.
Verdict read_request_line(std::string_view line, Head& head);

// Fills minor, status and reason. 101 is refused: nothing of ours asks for an upgrade.
Verdict read_status_line(std::string_view line, Head& head);

}  // namespace sluice::http
