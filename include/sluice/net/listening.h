// Who listens where: whether an address leads to a listener, and which process has a port.
//
// Cold path: asks the kernel and reads /proc.
#pragma once

#include "sluice/net/address.h"

#include <string>

namespace sluice::net {

// Whether who connects to `target` comes out at one that listens at `listener`, whatever way the
// two are written: 0.0.0.0 and [::] stand for all of this machine, ::ffff:127.0.0.1 for 127.0.0.1,
// a path for the file there.
bool leads_to(const Address& target, const Address& listener);

// "process 123 (name)" that listens there, or empty where that cannot be known.
std::string holder_of(const Address& address);

}  // namespace sluice::net
