#include "sluice/policy/rests.h"

#include "sluice/base/assert.h"

#include <algorithm>

namespace sluice::policy {

void Rests::add(std::uint64_t credential, std::optional<Duration> said, Instant now) {
    const Duration span = said.value_or(unsaid);
    SLUICE_ASSERT(span.ns >= 0);
    std::erase_if(
        rests_, [&](const Rest& rest) { return rest.end <= now || rest.credential == credential; });
    if (rests_.size() == credentials_max)
        rests_.erase(std::ranges::min_element(rests_, {}, &Rest::end));
    rests_.push_back({credential, now + span});
    SLUICE_ASSERT(rests_.size() <= credentials_max);
}

Instant Rests::end_of(std::uint64_t credential) const {
    const auto found = std::ranges::find(rests_, credential, &Rest::credential);
    return found != rests_.end() ? found->end : Instant{};
}

}  // namespace sluice::policy
