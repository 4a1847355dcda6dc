#include "tally.h"

namespace sluice::bench {
namespace {

constexpr std::uint64_t Tally::* counters[] = {
    &Tally::requests, &Tally::events,         &Tally::tokens,
    &Tally::stalls,   &Tally::connections,    &Tally::reconnects,
    &Tally::cut,      &Tally::bytes_in,       &Tally::bytes_out,
    &Tally::due,      &Tally::due_unanswered,
};
constexpr Histogram Tally::* histograms[] = {
    &Tally::latency, &Tally::first_token, &Tally::gap, &Tally::delay, &Tally::lag,
};

}  // namespace

void Tally::add(const Tally& other) {
    for (const auto counter : counters)
        this->*counter += other.*counter;
    for (const auto histogram : histograms)
        (this->*histogram).add(other.*histogram);
    for (std::size_t i = 0; i < failures.size(); ++i)
        failures[i] += other.failures[i];
    for (const auto& [status, n] : other.statuses)
        statuses[status] += n;
    if (first_failure.empty()) first_failure = other.first_failure;
}

void Tally::clear() {
    for (const auto counter : counters)
        this->*counter = 0;
    for (const auto histogram : histograms)
        (this->*histogram).clear();
    failures.fill(0);
    statuses.clear();
    first_failure.clear();
}

}  // namespace sluice::bench
