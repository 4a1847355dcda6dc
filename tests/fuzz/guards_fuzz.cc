// Two questions of whatever bytes: the guard is the same whichever comes first, and none fires of a
// text and itself.
//
// Input: the one, a NUL, and the other.
#include "sluice/cache/semantic/guards.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

using namespace sluice::cache::semantic;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::size_t nul = std::min(text.find('\0'), text.size());
    const std::string_view a = text.substr(0, nul);
    const std::string_view b = nul < text.size() ? text.substr(nul + 1) : std::string_view();
    SLUICE_ASSERT(guard(a, b) == guard(b, a));
    SLUICE_ASSERT(guard(a, a) == Guard::none && guard(b, b) == Guard::none);
    SLUICE_ASSERT(guard(a, 2) == Guard::too_many_turns);
    return 0;
}
