// Which conversation a request belongs to.
#pragma once

#include "sluice/proxy/exchange.h"

#include <cstdint>

namespace sluice::proxy {

// The session that the client names; 0: none. The first of the fields that agents send without
// being told to, `conversation` or `prompt_cache_key` in the body, and the session in
// `metadata.user_id`.
//
// It is a user's session: requests of several conversations may belong to it (titles, sub-agents).
// So it leads to a backend and never to a slot, and it is only a preference: a busy backend is not
// waited for, and one that is known to have more than half of the prompt beyond what the session's
// has wins (see PrefixIndex): another prompt of the session has nothing to gain there.
std::uint64_t session_of(const RequestState& request);

// The same number for every turn of a conversation, on every shard and after a restart: of the
// session, else of the prompt up to the end of the first user message. 0: not known.
std::uint64_t conversation_of(const RequestState& request);

}  // namespace sluice::proxy
