// StalledClients: connections beside the measured load that each ask for a long answer and never
// read it.
//
// What a gateway does with the bytes for them shows in the latency of the others. They take little
// themselves: a small receive buffer, and segments as small as a narrow link has them, since a
// kernel gives a connection room by its segments; with those of the loopback it would take
// megabytes for each before the gateway noticed anything. Plain sockets that no ring watches: while
// the load runs they cost the bench nothing.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/result.h"
#include "sluice/net/address.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::bench {

struct StalledLoad {
    std::uint32_t count = 0;
    std::string text;                      // of the request that each sends
    Duration fill = Duration::seconds(1);  // before the load begins
};

// What became of them.
struct StalledCount {
    std::uint32_t asked = 0;     // how many there should be
    std::uint32_t at_begin = 0;  // open when the measured window began
    std::uint32_t at_end = 0;    // and when it was over
    std::uint32_t answered = 0;  // got the begin of an answer with a status of 2xx
    std::uint32_t refused = 0;   // got another status
    std::uint64_t unread = 0;    // bytes in their kernel's buffers, at the end
    std::string first_refusal;   // its status line
};

class StalledClients {
public:
    // `load` must live as long.
    explicit StalledClients(const StalledLoad& load) : load_(load) {}
    ~StalledClients();  // resets what is open
    StalledClients(const StalledClients&) = delete;
    StalledClients& operator=(const StalledClients&) = delete;

    // Begins all connections. An error when the system has no socket for one of them; one that
    // finds nobody is only not open.
    Status open(const net::Address& address);
    // Sends what can be sent of the requests.
    void send();

    // A gateway that gave a client up may say so behind the bytes that nobody reads. It is asked:
    // an empty line, which servers pass over (RFC 9112 2.2), is answered with a reset where the
    // connection is gone. Nothing is measured any more then. No Unix socket needs it.
    void probe();
    // No probe is under way.
    bool settled() const;

    void count_begin();
    void count_end();
    const StalledCount& count() const { return count_; }

private:
    struct Client {
        int fd = -1;
        std::size_t sent = 0;  // of the request
        enum class Answer : std::uint8_t { none, good, bad } answer = Answer::none;
    };

    std::uint32_t count_open() const;
    void look_at_answer(Client& client);

    const StalledLoad& load_;
    bool on_tcp_ = false;
    std::vector<Client> clients_;
    StalledCount count_;
};

}  // namespace sluice::bench
