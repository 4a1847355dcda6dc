// The scanner must find the same events in a stream however it is split, those that a naive reader
// finds, and must account for every byte; read as an event stream and as JSON lines.
//
// Input: the stream. The splits are seeded by its length and its first byte.
#include "sluice/base/prng.h"
#include "streams.h"

#include <cstdint>

using namespace sluice;
using namespace sluice::sse::test;

namespace {

std::vector<std::size_t> random_cuts(std::size_t size, Prng& prng) {
    std::vector<std::size_t> cuts;
    for (std::size_t at = 0; at < size;) {
        at += prng.chance(1, 2) ? prng.between(0, 4) : prng.between(0, 64);
        if (at < size) cuts.push_back(at);
    }
    return cuts;
}

void check(std::string_view stream, const std::vector<Seen>& expected,
           const std::vector<Seen>& expected_lines, const std::vector<std::size_t>& cuts) {
    SLUICE_ASSERT(scan(stream, cuts) == expected);
    SLUICE_ASSERT(scan(stream, cuts, sse::Form::json_lines) == expected_lines);
    SLUICE_ASSERT(relay(stream, cuts, [](const sse::Event&) { return true; }) == stream);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view stream(reinterpret_cast<const char*>(data), size);
    const std::vector<Seen> expected = read_by_reference(stream);
    const std::vector<Seen> lines = read_lines_by_reference(stream);
    check(stream, expected, lines, {});
    if (size <= 512) check(stream, expected, lines, every_offset(stream));
    Prng prng(size * 256 + data[0]);
    for (int i = 0; i < 4; ++i)
        check(stream, expected, lines, random_cuts(size, prng));
    return 0;
}
