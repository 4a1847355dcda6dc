// Endpoint: the identity of one model server; never changes once made, shared by all shards.
#pragma once

#include <cstdint>
#include <string>

#include "sluice/net/address.h"

namespace sluice::upstream {

// What kind of server answers there, as far as it shows. It decides nothing about routing, only
// about habits on the wire.
enum class Kind : std::uint8_t { unknown, llama_server, ollama, vllm };

struct Endpoint {
    std::uint32_t id = 0;  // dense; indexes the pools of a shard
    std::string url;       // as it was given: for people
    net::Url target;
};

}  // namespace sluice::upstream
