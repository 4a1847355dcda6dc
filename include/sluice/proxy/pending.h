// Pending: what a stage waits for. Destroying it gives the wait up.
#pragma once

#include "sluice/io/loop.h"

namespace sluice::proxy {

class Pending {
public:
    virtual bool ready() const = 0;
    // Made ready with it. Set by whoever runs the stages.
    io::Actor* waiter = nullptr;

protected:
    ~Pending() = default;
};

}  // namespace sluice::proxy
