// Answering: what brings an exchange its answer; driven by the connection that waits for it.
//
// A Forward asks backends for this client alone. A Replay gives what a flight brings to everybody
// who listens to it, or what the cache keeps.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/result.h"
#include "sluice/policy/retry_after.h"
#include "sluice/proxy/statistics.h"

#include <cstdint>

namespace sluice::io {
class Actor;
}
namespace sluice::net {
class Stream;
}

namespace sluice::proxy {

struct Exchange;
struct Service;
class Upload;

class Answering {
public:
    enum class Outcome : std::uint8_t {
        pending,  // goes on
        done,     // the whole answer is queued for the client
        failed,   // no byte was queued: failure() says what to answer
        broken,   // the answer broke off behind its head; the client was told if it could be
    };

    virtual void start() = 0;
    virtual Outcome advance() = 0;
    // Submits what is queued for a backend.
    virtual void flush() = 0;
    // The client is gone, or we stop.
    virtual void abandon() = 0;
    // Ends an answer that has begun, honestly, for a reason of ours; or fails one that has not.
    virtual void interrupt(Error cause, End end) = 0;

    // When something is due; TimerWheel::never when nothing is.
    virtual Instant deadline() const = 0;
    // That moment has passed.
    virtual void expire() = 0;

    virtual const Error& failure() const = 0;
    virtual End failure_end() const = 0;
    // What the client is told of another try, behind a failure.
    virtual policy::RetryAdvice advice() const = 0;
    // Of an answer that is done: what passed may have held an error.
    virtual End answer_end() const = 0;
    // The connection to the client cannot carry another answer.
    virtual bool client_must_close() const = 0;
    // Its end would look like that of the answer, which broke without the client's being told.
    virtual bool client_must_see_reset() const = 0;

    // Behind its end, or abandon(): frees its slot.
    virtual void release() = 0;

protected:
    ~Answering() = default;
};

// For an exchange whose stages are through: another one's answer where it shares, else a backend's.
// Null: too much is under way.
Answering* begin_answering(Service& service, Exchange& exchange, io::Actor& owner,
                           net::Stream& client, Upload* upload);

}  // namespace sluice::proxy
