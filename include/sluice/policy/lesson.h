// Lesson: what a shard has found out of requests that fail and servers that end, for the others.
//
// Shards share nothing: each keeps what is known for itself, learns from its own traffic and tells
// its peers, who take a lesson as they take their own. All of them are rare, plain values. A peer
// knows of it as soon as the message is there, that is before a client who was told can ask again.
#pragma once

#include "sluice/policy/doubts.h"
#include "sluice/policy/request_memory.h"
#include "sluice/policy/suspicion.h"

#include <cstdint>
#include <variant>

namespace sluice::policy {

// At a target, by its number, the same on all shards: a failure that may be the request's own, or
// somebody served behind some of these.
struct DoubtAt {
    std::uint32_t target = 0;
    Doubts::Failure failure;
};
struct ServedAt {
    std::uint32_t target = 0;
    Instant at;
};

using Lesson = std::variant<RequestNote, SuspicionLook, DoubtAt, ServedAt>;

// Who tells them to the other shards.
class Teacher {
public:
    virtual void tell(const Lesson& lesson) = 0;

protected:
    ~Teacher() = default;
};

}  // namespace sluice::policy
