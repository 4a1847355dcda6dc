// Every limit that is not configuration, with its reason. Configurable limits take their defaults
// from here.
#pragma once

#include "sluice/base/clock.h"

#include <cstddef>
#include <cstdint>

namespace sluice::limits {

inline constexpr std::size_t KiB = 1024;
inline constexpr std::size_t MiB = 1024 * KiB;

// --- HTTP -----------------------------------------------------------------------------------
// RFC 9112 section 3 asks for 8000 octets of request line at least.
inline constexpr std::size_t request_line_bytes_max = 8 * KiB;
// A head must fit a few receive buffers; llama-server itself stops at 8 KiB a line.
inline constexpr std::size_t head_bytes_max = 32 * KiB;
// llama-server's own bound is 100 fields.
inline constexpr std::size_t header_fields_max = 100;
// Chunk extensions carry nothing we use; their sum over a message is capped (CVE-2025-55315).
inline constexpr std::size_t chunk_extension_bytes_max = 4 * KiB;
// Trailers are read and dropped.
inline constexpr std::size_t trailer_bytes_max = 8 * KiB;
// RFC 9112 section 2.2: a server should ignore at least one empty line before the request line.
inline constexpr int leading_empty_lines_max = 2;
// A backend may send 103 and the like; more than a few is a fault.
inline constexpr int informational_responses_max = 10;

// --- JSON -----------------------------------------------------------------------------------
// Real tool schemas nest some tens deep; a parser of ours must not be made to nest without end.
inline constexpr std::size_t json_depth_max = 256;
// A model name that is longer is refused; Hugging Face allows 96 a part.
inline constexpr std::size_t model_name_bytes_max = 256;

// --- bodies ---------------------------------------------------------------------------------
// A prompt of a million tokens is some 5 MiB; images and recordings come as base64, which agents
// send again with every turn.
inline constexpr std::size_t request_body_bytes_max = 64 * MiB;
// One SSE event longer than this is relayed unread: the scanner gives up, never the relay.
inline constexpr std::size_t sse_event_bytes_max = 64 * KiB;
// What a stream has said is kept so far while another backend could go on with it: more than any
// model writes in one answer.
inline constexpr std::size_t resumable_text_bytes_max = 1 * MiB;

// --- pools ----------------------------------------------------------------------------------
// A choice keeps its sets in the bits of a word; a box has far fewer backends of a model.
inline constexpr std::size_t pool_backends_max = 64;

// --- buffers --------------------------------------------------------------------------------
// One SSE event of a token is about 240 bytes; see the buffer table in docs/decisions.
inline constexpr std::size_t buffer_bytes = 4 * KiB;
// A buffer id of the kernel has 16 bits.
inline constexpr std::size_t buffers_max = 64 * KiB;
// Buffers lent to the kernel at a time: enough for one turn's receives.
inline constexpr std::size_t buffers_provided = 256;

// Of so much buffer memory, what the bodies of requests that are kept may take. A body's slices
// fill three quarters of their buffers at least (see Chain::append_compact): five eighths of the
// bytes lie in at most five sixths of the buffers.
inline constexpr std::uint64_t request_bytes_of(std::uint64_t buffer_memory) {
    return buffer_memory / 8 * 5;
}

// --- pipes ----------------------------------------------------------------------------------
// From here on a body that nobody reads is spliced: break-even was measured at 32 KiB.
inline constexpr std::size_t spliced_bytes_min = 64 * KiB;
// A pipe's slots hold a page each: 256 of them take what a socket holds.
inline constexpr std::size_t pipe_bytes = 1 * MiB;
inline constexpr std::size_t pipe_bytes_min = 64 * KiB;
// Two descriptors each; more bodies at a time than that go through buffers.
inline constexpr std::size_t pipes_max = 64;
// The end of a large JSON answer is read, for there stands what it cost.
inline constexpr std::size_t read_tail_bytes = 8 * KiB;

}  // namespace sluice::limits
