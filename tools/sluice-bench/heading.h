// Heading: what a report is about: by what, when, on whom and how something was measured.
#pragma once

#include "options.h"

#include <string>
#include <vector>

namespace sluice::bench {

// A member of the JSON report's "run", as the page's head says it too.
struct Fact {
    std::string key;
    std::string json;  // its value
    std::string text;  // its value for people; empty: nothing to tell them
};

struct Heading {
    std::string title;
    std::vector<Fact> facts;
};

// `kinds` as they are asked; `seconds_since_1970` when it began. Values of header fields and keys
// are secrets and are not in it.
Heading heading_of(const Options& options, const std::vector<RequestKind>& kinds,
                   std::int64_t seconds_since_1970);

}  // namespace sluice::bench
