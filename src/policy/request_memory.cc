#include "sluice/policy/request_memory.h"

#include "sluice/base/assert.h"

#include <algorithm>

namespace sluice::policy {
namespace {

std::uint8_t bit_of(KnownFor what) {
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(what));
}

}  // namespace

bool RequestMemory::knows(std::uint64_t digest, KnownFor what, Instant now) const {
    SLUICE_ASSERT(digest != 0);
    return std::ranges::any_of(sets_[digest % sets], [&](const Entry& entry) {
        return entry.digest == digest && (entry.known_for & bit_of(what)) != 0 &&
               now < entry.forgotten_at;
    });
}

void RequestMemory::note(std::uint64_t digest, KnownFor what, Instant now) {
    SLUICE_ASSERT(digest != 0);
    Set& set = sets_[digest % sets];
    auto* entry = std::ranges::find(set, digest, &Entry::digest);
    if (entry == set.end()) entry = std::ranges::min_element(set, {}, &Entry::forgotten_at);
    if (entry->digest != digest || entry->forgotten_at <= now) entry->known_for = 0;
    entry->digest = digest;
    entry->known_for |= bit_of(what);
    entry->forgotten_at = all_forgotten_at_ = now + kept;
}

}  // namespace sluice::policy
