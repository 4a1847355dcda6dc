#include "response_head.h"

#include "append.h"
#include "sluice/base/assert.h"
#include "sluice/http/writer.h"

#include <array>

namespace sluice::model_sim {
namespace {

void put_server(http::HeadWriter& writer, const ResponseHead& head) {
    switch (head.api) {
        case Api::llama:
            writer.field("Server", "llama.cpp");
            break;
        case Api::vllm:
            writer.field("Server", "uvicorn");
            break;
        case Api::openai:
            writer.field("Server", "sluice-sim");
            break;
        case Api::ollama:
            break;  // says nothing
    }
    // Empty when the request has no Origin, and then llama-server sends it all the same.
    if (head.api == Api::llama || !head.origin.empty())
        writer.field("Access-Control-Allow-Origin", head.origin);
    if (head.api == Api::llama && head.stream) writer.field("X-Accel-Buffering", "no");
}

void put_connection(http::HeadWriter& writer, const ResponseHead& head) {
    if (!head.keep_alive) return writer.field("Connection", "close");
    if (head.api != Api::llama) return;
    const auto seconds = head.idle.as_millis() / 1000;
    writer.field("Keep-Alive",
                 joined("timeout=", seconds,
                        head.requests_max == 0 ? "" : joined(", max=", head.requests_max)));
}

}  // namespace

void append_head(std::string& out, const ResponseHead& head) {
    // The request's own head was bounded, and with it the Origin that comes back here.
    constexpr std::size_t room = 48 * 1024;
    thread_local std::array<char, room> buffer;
    http::HeadWriter writer(buffer);
    writer.status_line(head.status);
    put_server(writer, head);
    if (!head.content_type.empty()) writer.field("Content-Type", head.content_type);
    if (head.framing == Framing::chunked)
        writer.field("Transfer-Encoding", "chunked");
    else
        writer.field("Content-Length", head.length);
    put_connection(writer, head);
    SLUICE_ASSERT(!writer.overflowed());
    append(out, writer.text(), head.fields, "\r\n");
}

void append_chunk(std::string& out, std::string_view data) {
    SLUICE_ASSERT(!data.empty());
    std::array<char, 16> digits;
    std::size_t at = digits.size();
    for (std::size_t size = data.size(); size > 0; size >>= 4)
        digits[--at] = "0123456789abcdef"[size & 15];
    out.append(digits.data() + at, digits.size() - at);
    append(out, "\r\n", data, "\r\n");
}

}  // namespace sluice::model_sim
