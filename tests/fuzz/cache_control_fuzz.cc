// Cache-Control of a request: whatever stands there, it is read, each directive is the strictest of
// its kind, and reading it once more changes nothing.
//
// Input: the value of the field.
#include "sluice/base/assert.h"
#include "sluice/cache/directives.h"

#include <cstdint>
#include <string>
#include <string_view>

using namespace sluice;
using namespace sluice::cache;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view value(reinterpret_cast<const char*>(data), size);
    Directives directives;
    add_directives(value, directives);
    Directives again = directives;
    add_directives(value, again);
    SLUICE_ASSERT(again == directives);
    SLUICE_ASSERT(!directives.max_age || directives.max_age->ns >= 0);
    SLUICE_ASSERT(!directives.max_stale || directives.max_stale->ns >= 0);
    SLUICE_ASSERT(directives.min_fresh.ns >= 0);
    // In front of it, so that no quote of its own is open.
    Directives strict;
    add_directives("no-store, max-age=0, only-if-cached, " + std::string(value), strict);
    SLUICE_ASSERT(strict.no_store && strict.only_if_cached && strict.max_age == Duration{});
    SLUICE_ASSERT(strict.no_cache == directives.no_cache);
    SLUICE_ASSERT(use(StoredAge{Duration{}, Duration::seconds(1)}, strict) == Use::refuse);
    const Use empty = use({}, directives);
    SLUICE_ASSERT(empty != Use::hit && empty != Use::stale);
    return 0;
}
