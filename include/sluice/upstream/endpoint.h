// Endpoint: the identity of one model server; never changes once made, shared by all shards. Only
// where its name leads may change.
#pragma once

#include "sluice/net/address.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace sluice::upstream {

// What kind of server answers there, as far as it shows. It decides nothing about routing, only
// about habits on the wire.
enum class Kind : std::uint8_t { unknown, llama_server, ollama, vllm, lm_studio };
// For people: "llama-server"; empty for one that is not known.
std::string_view kind_name(Kind kind);

// Where a name leads by now. Written by one thread, read by all; addresses stay where they are.
class Whereabouts {
public:
    const net::Address* now() const { return now_.load(std::memory_order_acquire); }
    void move_to(const net::Address& address);

private:
    // A name that leads to ever new places is a fault of its own; it stays at the last of these.
    static constexpr std::size_t places_max = 256;
    std::deque<net::Address> places_;  // the writer's own
    std::atomic<const net::Address*> now_{nullptr};
};

struct Endpoint {
    std::uint32_t id = 0;  // dense; indexes the pools of a shard
    std::string url;       // as it was given: for people
    net::Url target;
    mutable Whereabouts whereabouts = {};  // of a name: see shard/name_watch.h

    // Of family AF_UNSPEC while its name leads nowhere.
    const net::Address& address() const {
        const net::Address* found = whereabouts.now();
        return found != nullptr ? *found : target.address;
    }
};

}  // namespace sluice::upstream
