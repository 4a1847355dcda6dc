// Statistics of one shard: plain integers, written by its thread only.
//
// Other shards see them as copies that travel through the mailbox (see shard::Totals), so counting
// costs an addition and no core ever waits for another one's cache line.
#pragma once

#include "sluice/answer/break.h"
#include "sluice/answer/end.h"
#include "sluice/cache/bypass.h"
#include "sluice/cache/directives.h"
#include "sluice/proxy/histogram.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

namespace sluice::proxy {

using answer::End;
using answer::end_name;
using answer::ends;
using EndCounts = std::array<std::uint64_t, ends>;  // by End

// An answer that went out whole may still be a backend's refusal, so requests are counted by the
// class of the status as well: 1 to 5 by its first digit; 0: nothing was answered.
inline constexpr std::size_t status_classes = 6;
constexpr std::size_t class_of_status(int status) {
    return status >= 100 && status < 600 ? static_cast<std::size_t>(status) / 100 : 0;
}

// What one backend did for one model.
struct Served {
    std::array<EndCounts, status_classes> requests{};
    std::uint64_t prompt_tokens = 0;
    std::uint64_t completion_tokens = 0;
    std::uint64_t cached_tokens = 0;  // of the prompt tokens
    // How requests were served, as far as the cache goes, and why it was passed by.
    std::array<std::uint64_t, cache::outcome_count> cache{};
    std::array<std::uint64_t, cache::bypass_count> bypasses{};
    // Of answers that were given again.
    std::uint64_t saved_prompt_tokens = 0;
    std::uint64_t saved_completion_tokens = 0;
    std::uint64_t saved_bytes = 0;  // to clients, heads included
    std::uint64_t saved_us = 0;     // that they took to come, the first time

    void add(const Served& other);
};

struct Statistics {
    // For whom, what and where. The consumer is empty where there are none, the backend for what
    // never reached one, and the model where it was not even known.
    template <class Text>
    struct RowKey {
        Text consumer;
        Text model;
        Text backend;

        template <class Other>
        auto operator<=>(const RowKey<Other>& other) const {
            return std::tie(consumer, model, backend) <=>
                   std::tie(other.consumer, other.model, other.backend);
        }
    };
    using Key = RowKey<std::string>;
    using KeyView = RowKey<std::string_view>;

    std::uint64_t connections = 0;
    std::uint64_t refused_clients = 0;  // connections over a cap
    std::uint64_t exchanges_begun = 0;
    EndCounts exchanges_ended{};
    std::uint64_t retries = 0;          // a request went out a second time
    std::uint64_t retries_refused = 0;  // or did not, because the budget was used up
    std::uint64_t breaker_openings = 0;
    std::array<std::uint64_t, answer::breaks> answers_broken{};  // by Break
    std::uint64_t resumed = 0;                  // streams that went on on another backend
    std::uint64_t uncounted = 0;                // answers of a model whose backend told no usage
    std::map<Key, Served, std::less<>> served;  // as many as consumers have pairs of the catalog

    Histogram<RequestBounds> duration;        // head complete to the answer's last byte sent
    Histogram<RequestBounds> first_token;     // head complete to the first byte of a stream
    Histogram<RequestBounds> between_tokens;  // between reads of a stream
    Histogram<OverheadBounds> overhead;       // our own work on a request and the answer's begin

    Served& row(std::string_view consumer, std::string_view model, std::string_view backend);
    std::uint64_t settled() const;
    void add(const Statistics& other);
};

}  // namespace sluice::proxy
