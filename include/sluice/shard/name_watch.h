// NameWatch: looks up the names of backends that have one, at the start and from time to time.
//
// Off the shards' threads, for a look-up may take as long as it likes. A name that is not found is
// a backend that is down until it is. Names share a few threads, so that one whose server says
// nothing holds up few others. They are not joined: a look-up cannot be ended, and the end of the
// gateway does not wait for it.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/upstream/endpoint.h"

#include <memory>
#include <vector>

namespace sluice::shard {

class NameWatch {
public:
    NameWatch() = default;
    ~NameWatch();
    NameWatch(const NameWatch&) = delete;
    NameWatch& operator=(const NameWatch&) = delete;

    // Once. Returns when each was looked up, and soon in any case.
    void start(std::vector<std::shared_ptr<const upstream::Endpoint>> endpoints);

private:
    struct State;
    std::shared_ptr<State> state_;  // shared with the threads, which may outlive this
};

}  // namespace sluice::shard
