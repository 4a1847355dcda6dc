// Directives: what a request's Cache-Control asks of the cache, and what becomes of the request.
//
// Pure. RFC 9111 section 5.2.1, read so that a doubt is settled for the one who asks for less of
// the cache:
// - names in any case; a value with or without quotes; white space around names, '=' and values;
//   a comma inside of quotes ends nothing; what is not known is passed over (section 5.2.3);
// - one that comes twice, in one field or in two: the strictest holds (section 4.2.1 leaves that
//   open);
// - a number is digits and nothing else; one that is too large is the largest (section 1.2.2);
//   where "max-age" has none that can be read it is 0, "min-fresh" is without end, and "max-stale"
//   is not there. "max-stale" without a value takes any age;
// - "Pragma" is not read (section 5.4).
//
// What becomes of it (use()); `ttl` is how long an answer is fresh:
//   no-store                     bypass: nothing is read, joined or kept
//   no-cache                     miss: nothing is read or joined; what is generated may be kept
//   no answer is stored          miss
//   older than max-age           miss
//   fresh for min-fresh more     hit
//   over, but not by more than
//   max-stale                    stale
//   else                         miss
// With only-if-cached a miss and a bypass are refused (504, section 5.2.1.7).
#pragma once

#include "sluice/base/clock.h"
#include "sluice/http/head.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::cache {

struct Directives {
    bool no_store = false;
    bool no_cache = false;
    bool only_if_cached = false;
    std::optional<Duration> max_age;
    std::optional<Duration> max_stale;
    Duration min_fresh;

    bool operator==(const Directives&) const = default;
};

// The value of one field.
void add_directives(std::string_view value, Directives& directives);
// Of all Cache-Control fields of a request.
Directives read_directives(const http::Head& head);

enum class Use : std::uint8_t { hit, stale, miss, bypass, refuse };

struct StoredAge {
    Duration age;
    Duration ttl;
};
Use use(std::optional<StoredAge> stored, const Directives& directives);

// --- what the client is told ---
// How a request was served, as far as the cache goes.
// `partial`: some items of a batch were kept, and the others asked for.
enum class Outcome : std::uint8_t { hit, miss, bypass, joined, stale, partial };
inline constexpr std::size_t outcome_count = static_cast<std::size_t>(Outcome::partial) + 1;

// For the field, metrics and logs: the enumerator's name.
std::string_view name_of(Outcome outcome);
// Of the Age field (RFC 9111 section 5.1): whole seconds.
std::uint64_t age_seconds(Duration age);

}  // namespace sluice::cache
