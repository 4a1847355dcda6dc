#include "sluice/policy/request_memory.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <utility>

namespace sluice::policy {
namespace {

constexpr std::uint8_t bit_of(KnownFor what) {
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(what));
}

constexpr std::uint8_t of_deaths = bit_of(KnownFor::ending_servers) | bit_of(KnownFor::being_there);

}  // namespace

const RequestMemory::Entry* RequestMemory::find(std::uint64_t digest, Instant now) const {
    SLUICE_ASSERT(digest != 0);
    const Set& set = sets_[digest % sets];
    const auto* entry = std::ranges::find(set, digest, &Entry::digest);
    return entry != set.end() && now < entry->forgotten_at ? entry : nullptr;
}

bool RequestMemory::knows(std::uint64_t digest, KnownFor what, Instant now) const {
    const Entry* entry = find(digest, now);
    return entry != nullptr && (entry->known_for & bit_of(what)) != 0;
}

PastDeaths RequestMemory::deaths_of(std::uint64_t digest, Instant now) const {
    return knows(digest, KnownFor::being_there, now) ? find(digest, now)->deaths : PastDeaths{};
}

void RequestMemory::note(const RequestNote& note, Instant now) {
    SLUICE_ASSERT(note.digest != 0);
    Set& set = sets_[note.digest % sets];
    auto* entry = std::ranges::find(set, note.digest, &Entry::digest);
    if (note.acquits) {
        if (entry == set.end()) return;
        entry->known_for &= static_cast<std::uint8_t>(~of_deaths);
        entry->deaths = {};
        return;
    }
    if (entry == set.end())
        entry = std::ranges::min_element(set, {}, [now](const Entry& each) {
            const bool deadly = (each.known_for & bit_of(KnownFor::ending_servers)) != 0;
            return std::pair(deadly && now < each.forgotten_at, each.forgotten_at);
        });
    if (entry->digest != note.digest || entry->forgotten_at <= now) {
        entry->known_for = 0;
        entry->deaths = {};
    }
    entry->digest = note.digest;
    entry->known_for |= bit_of(note.what);
    if (note.deaths.count > entry->deaths.count) entry->deaths = note.deaths;
    entry->forgotten_at = all_forgotten_at_ = now + kept;
}

}  // namespace sluice::policy
