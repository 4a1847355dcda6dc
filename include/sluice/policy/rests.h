// Rests: whose requests a backend does not want for a while, because it said so (429).
//
// A limit is a credential's: it holds for the requests that bring the same one, on the same model
// of the same backend, for as long as the backend said and no longer. No strikes, no back-off: who
// comes back in time is welcome. Where a backend does not say how long it is `unsaid`.
//
// Pure; on each shard, for each backend of each model. Bounded: beyond credentials_max the rest
// that ends first is forgotten, and the worst that follows is another 429.
#pragma once

#include "sluice/base/clock.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace sluice::policy {

class Rests {
public:
    static constexpr std::size_t credentials_max = 64;
    static constexpr Duration unsaid = Duration::seconds(1);

    // The backend wants nothing of `credential` for as long as it said.
    void add(std::uint64_t credential, std::optional<Duration> said, Instant now);
    // When a request with `credential` may come again; in the past where it may come now.
    Instant end_of(std::uint64_t credential) const;
    // Nobody rests: the usual case.
    bool empty() const { return rests_.empty(); }

private:
    struct Rest {
        std::uint64_t credential = 0;
        Instant end;
    };

    std::vector<Rest> rests_;
};

}  // namespace sluice::policy
