// Where a prompt goes that a backend may have in its KV cache.
//
// A conversation goes home: to the backend that was sent its earlier turns, of several to the one
// that matches most. It stays away only where that is too busy:
// - A full backend is not among those to choose from: waiting for a slot may take minutes, a
//   prefill elsewhere seconds.
// - Up to one request above the load of the least busy one is no reason to move: the next turn
//   would move back.
// - Beyond that a home keeps what saves more than half of the prompt, as long as it has a slot.
//   Where slots are not bounded it may have four more than twice what the least busy one would
//   have at its size: batching is cheap for a GPU, without end it is not.
//
// A conversation that is new, or cannot go home, goes to a least busy backend. Among equals, as all
// are while requests come one by one, the one wins that was sent fewest prompts of late by its
// size; but one that has this whole prompt may be ahead by two and an eighth of all recent ones,
// and one that has a part of it by that part. Were the match to decide alone, the second
// conversation with the same system prompt would join the first, and so would all others: they
// would take each other's cache away while the second GPU idles. Were it not to count, a document
// that is asked about twice would be read twice. Recent prompts, not blocks that are held: a cache
// keeps a few conversations, and how much it was sent an hour ago says nothing about them. (Tried:
// by blocks held, sixteen conversations with a system prompt of 20 KB stayed on one of two.)
//
// Others go by the match alone above a threshold, of 30 % of the prompt (the routers of SGLang and
// vLLM, unless one worker has 64 requests and 1.5 times as many as another) or of 10 % (Ray), or
// add up match, queue and cache use by weights (llm-d). Such bounds are those of clusters: a box
// has some slots a GPU.
#include "balance_set.h"

#include <algorithm>

namespace sluice::policy {

namespace {

// What `candidate` would have in flight at the load of the other.
double at_load_of(const Candidate& other, const Candidate& candidate) {
    return static_cast<double>(other.in_flight) * static_cast<double>(candidate.capacity()) /
           static_cast<double>(other.capacity());
}

bool may_stay(const Candidate& home, const Candidate& least_busy, bool saves_most) {
    const double even = at_load_of(least_busy, home);
    if (home.in_flight <= even + 1) return true;
    if (!saves_most) return false;
    return home.slots != 0 || home.in_flight <= 2 * even + 4;
}

// The home to go to; -1 where there is none.
int find_home(Candidates candidates, CandidateSet set, const PrefixMatch& match,
              const Candidate& least_busy) {
    int best = -1;
    for (const std::size_t i : set) {
        if ((match.homes >> i & 1) == 0) continue;
        const bool saves_most = match.matched_bytes(i) * 2 > match.prompt_bytes;
        if (!may_stay(candidates[i], least_busy, saves_most)) continue;
        if (best >= 0) {
            const auto b = static_cast<std::size_t>(best);
            if (match.matched[i] < match.matched[b]) continue;
            if (match.matched[i] == match.matched[b] && !busier(candidates[b], candidates[i])) {
                continue;
            }
        }
        best = static_cast<int>(i);
    }
    return best;
}

}  // namespace

std::size_t choose_by_prefix(Candidates candidates, CandidateSet set, const PrefixMatch& match) {
    const CandidateSet least = least_busy_of(candidates, set);
    const int home = find_home(candidates, set, match, candidates[least.first()]);
    if (home >= 0) return static_cast<std::size_t>(home);

    double capacity = 0;
    double recent = 0;
    for (const std::size_t i : least) {
        capacity += static_cast<double>(candidates[i].capacity());
        recent += match.recent[i];
    }
    const double mean_capacity = capacity / static_cast<double>(least.size());
    const double lead_of_a_byte =
        (2 + recent / 8) / static_cast<double>(std::max<std::size_t>(match.prompt_bytes, 1));
    CandidateSet best;
    double best_score = 0;
    for (const std::size_t i : least) {
        const double score =
            match.recent[i] * mean_capacity / static_cast<double>(candidates[i].capacity()) -
            static_cast<double>(match.matched_bytes(i)) * lead_of_a_byte;
        if (!best.empty() && score > best_score) continue;
        if (!best.empty() && score < best_score) best = {};
        best_score = score;
        best.add(i);
    }
    return rotate(candidates, best);
}

}  // namespace sluice::policy
