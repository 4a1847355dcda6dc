#include "comparison.h"

namespace sluice::bench {
namespace {

// f(of the target, of the first one) for each round in which both have the figure.
template <class F>
Spread over_rounds(const TargetRounds& target, const TargetRounds& first, std::string_view key,
                   F&& f) {
    std::vector<double> values;
    for (std::size_t i = 0; i < std::min(target.rounds.size(), first.rounds.size()); ++i) {
        const Metric* mine = find(target.rounds[i], key);
        const Metric* theirs = find(first.rounds[i], key);
        if (mine != nullptr && theirs != nullptr) f(values, mine->value, theirs->value);
    }
    return spread_of(std::move(values));
}

}  // namespace

Comparison::Comparison(std::vector<std::string> names) {
    for (auto& name : names)
        targets_.push_back(
            {.name = std::move(name), .rounds = {}, .tally = {}, .process_ended = false});
}

void Comparison::add(std::size_t target, const Measured& measured) {
    SLUICE_ASSERT(target < targets_.size());
    targets_[target].rounds.push_back(metrics_of(measured));
    targets_[target].tally.add(measured.tally);
    targets_[target].process_ended |= measured.process_ended;
}

// A figure may be known of some targets only: the first one is often not a gateway with a --pid.
std::vector<Metric> Comparison::keys() const {
    std::vector<Metric> keys;
    for (const auto& target : targets_)
        for (const auto& round : target.rounds)
            for (const auto& metric : round)
                if (find(keys, metric.key) == nullptr) keys.push_back(metric);
    return keys;
}

Spread Comparison::values(std::size_t target, std::string_view key) const {
    return over_rounds(targets_[target], targets_[target], key,
                       [](auto& values, double mine, double) { values.push_back(mine); });
}

Spread Comparison::ratios(std::size_t target, std::string_view key) const {
    return over_rounds(targets_[target], targets_.front(), key,
                       [](auto& values, double mine, double first) {
                           if (first != 0) values.push_back(mine / first);
                       });
}

Spread Comparison::differences(std::size_t target, std::string_view key) const {
    return over_rounds(
        targets_[target], targets_.front(), key,
        [](auto& values, double mine, double first) { values.push_back(mine - first); });
}

}  // namespace sluice::bench
