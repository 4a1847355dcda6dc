// The parser must say the same about some bytes however they are split, and the same as llhttp
// where that sees every byte of a head; whatever it takes must obey what sluice/http/parser.h
// promises; session.h asserts that for every piece.
//
// Input: one byte of flags (bit 0: a response; bit 1: it answers HEAD), one byte that seeds the
// splits, then the bytes of the connection.
#include "session.h"
#include "sluice/base/prng.h"
#include "sluice/http/path.h"
#include "sluice/http/writer.h"

#include <algorithm>
#include <array>

using namespace sluice;
using namespace sluice::http;
using namespace sluice::http::test;

namespace {

// A head that was taken, forwarded and read again has the same target and no field that was not
// there before: nothing in it can begin a line of its own, or frame a body.
void check_round_trip(std::string_view text) {
    Parser parser(Parser::Side::request);
    Head head;
    if (parser.parse_head(text, head) != Progress::complete) return;
    static std::array<char, limits::head_bytes_max + limits::KiB> room;
    HeadWriter writer(room);
    // Host is the gateway's own, and an Expect that HTTP/1.0 ignores would count in HTTP/1.1.
    constexpr FieldSet without = {FieldId::host, FieldId::expect};
    writer.request_line(head.method_text, head.target);
    writer.forward(head, without);
    writer.field("Host", "localhost");
    writer.end();
    SLUICE_ASSERT(!writer.overflowed());
    const bool fits =
        writer.text().size() <= limits::head_bytes_max && head.count < limits::header_fields_max;
    if (!fits) return;

    Parser second(Parser::Side::request);
    Head again;
    SLUICE_ASSERT(second.parse_head(writer.text(), again) == Progress::complete);
    SLUICE_ASSERT(again.target == head.target && again.method == head.method);
    SLUICE_ASSERT(again.framing == Framing::none && again.bytes == writer.text().size());
    SLUICE_ASSERT(again.count <= head.count + 1 && again.host == "localhost");
}

// A path that passes reads the same after one decoding, as far as its segments go.
void check_path_reading(std::string_view path) {
    if (!check_path(path).ok()) return;
    const auto decoded = decode_segment(path);
    SLUICE_ASSERT(decoded.ok());
    SLUICE_ASSERT(std::ranges::count(decoded.value(), '/') == std::ranges::count(path, '/'));
    SLUICE_ASSERT(decoded.value().find("/../") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const Parser::Side side = (data[0] & 1) != 0 ? Parser::Side::response : Parser::Side::request;
    const bool to_head_request = side == Parser::Side::response && (data[0] & 2) != 0;
    const Input input{side, std::string(data + 2, data + size), to_head_request};
    const Outcome whole = run_whole(input);
    SLUICE_ASSERT(run_thoroughly(input) == whole);
    SLUICE_ASSERT(run_split(input, [] { return std::size_t{1}; }) == whole);
    Prng prng(data[1]);
    for (const std::uint64_t longest : {7, 60, 500}) {
        SLUICE_ASSERT(run_split(input, [&] { return prng.between(1, longest); }) == whole);
    }
    if (side == Parser::Side::request) check_round_trip(input.text);
    check_path_reading(input.text.substr(0, input.text.find(' ')));
    return 0;
}
