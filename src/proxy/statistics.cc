#include "sluice/proxy/statistics.h"

namespace sluice::proxy {

void Served::add(const Served& other) {
    for (std::size_t status = 0; status < status_classes; ++status)
        for (std::size_t end = 0; end < ends; ++end)
            requests[status][end] += other.requests[status][end];
    prompt_tokens += other.prompt_tokens;
    completion_tokens += other.completion_tokens;
    cached_tokens += other.cached_tokens;
    for (std::size_t i = 0; i < cache.size(); ++i)
        cache[i] += other.cache[i];
    for (std::size_t i = 0; i < bypasses.size(); ++i)
        bypasses[i] += other.bypasses[i];
    saved_prompt_tokens += other.saved_prompt_tokens;
    saved_completion_tokens += other.saved_completion_tokens;
    saved_bytes += other.saved_bytes;
    saved_us += other.saved_us;
}

Served& Statistics::row(std::string_view consumer, std::string_view model,
                        std::string_view backend) {
    const auto found = served.find(KeyView{consumer, model, backend});
    if (found != served.end()) return found->second;
    return served[{std::string(consumer), std::string(model), std::string(backend)}];
}

std::uint64_t Statistics::settled() const {
    std::uint64_t sum = 0;
    for (const auto n : exchanges_ended)
        sum += n;
    return sum;
}

void Statistics::add(const Statistics& other) {
    connections += other.connections;
    refused_clients += other.refused_clients;
    exchanges_begun += other.exchanges_begun;
    for (std::size_t i = 0; i < ends; ++i)
        exchanges_ended[i] += other.exchanges_ended[i];
    retries += other.retries;
    retries_refused += other.retries_refused;
    breaker_openings += other.breaker_openings;
    for (std::size_t i = 0; i < answer::breaks; ++i)
        answers_broken[i] += other.answers_broken[i];
    resumed += other.resumed;
    uncounted += other.uncounted;
    for (const auto& [key, row] : other.served)
        served[key].add(row);
    duration.add(other.duration);
    first_token.add(other.first_token);
    between_tokens.add(other.between_tokens);
    overhead.add(other.overhead);
}

}  // namespace sluice::proxy
