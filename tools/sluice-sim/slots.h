// Slots: how many requests are worked on at a time; the others wait, first come first served.
//
// The claim is a member of whoever makes it, and says when it is waiting (linked) or working
// (slot >= 0). Without a bound every claim is granted, and slots are numbered as they are needed.
#pragma once

#include "job.h"
#include "sluice/base/list.h"
#include "sluice/io/loop.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::model_sim {

struct Claim {
    explicit Claim(io::Actor& actor) : owner(actor) {}

    bool waiting() const { return hook.linked(); }
    bool working() const { return slot >= 0; }

    io::Actor& owner;  // is made ready when the claim is granted
    ListHook hook;
    int slot = -1;
    std::uint64_t task = 0;
    std::uint64_t tokens_made = 0;  // kept up by the owner, as is the rest
    std::uint64_t tokens = 0;
    std::uint64_t prompt_tokens = 0;
};

class Slots {
public:
    // `bound` 0: none.
    Slots(io::Loop& loop, std::uint32_t bound) : loop_(loop), bound_(bound), table_(bound) {}

    // Grants it now, or lets it wait.
    void make(Claim& claim);
    // Ends a claim, waiting or working; the first one that waits takes over.
    void end(Claim& claim);

    std::uint32_t bound() const { return bound_; }
    std::size_t working() const { return working_; }
    std::size_t working_most() const { return working_most_; }
    std::size_t waiting() const { return waiting_count_; }
    std::size_t waiting_most() const { return waiting_most_; }
    bool one_free() const { return bound_ == 0 || working_ < bound_; }

    // The answer to GET /slots.
    std::string listing() const;

private:
    void grant(Claim& claim);

    io::Loop& loop_;
    std::uint32_t bound_;
    std::vector<Claim*> table_;
    std::vector<int> freed_;  // without a bound: numbers to use again
    List<Claim, &Claim::hook> waiting_;
    std::size_t working_ = 0;
    std::size_t working_most_ = 0;
    std::size_t waiting_count_ = 0;
    std::size_t waiting_most_ = 0;
    std::uint64_t tasks_ = 0;
};

}  // namespace sluice::model_sim
