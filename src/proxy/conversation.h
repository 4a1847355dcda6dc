// Which conversation a request belongs to.
#pragma once

#include "sluice/proxy/exchange.h"

#include <cstdint>

namespace sluice::proxy {

// The same number for every turn of a conversation, on every shard and after a restart: of what the
// client says belongs together, else of the prompt up to the end of the first user message. 0: not
// known.
std::uint64_t conversation_of(const RequestState& request);

}  // namespace sluice::proxy
