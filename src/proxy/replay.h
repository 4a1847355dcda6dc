// Replay: gives one client an answer that is not its own alone: what a flight writes, from the
// first byte on and then as it comes, or what is kept.
//
// Each client goes at its own pace: what it has not taken waits in the recording, and holds up
// nobody.
//
//     state    what happens                                   next
//     waiting  the flight has no head yet; notices            giving, or finished: refused
//     judging  a head of ours is out, and the flight's says   finished, told in band
//              something else: its words are waited for
//     giving   bytes go out as the client takes them          finished: whole, or broken
//     finished
#pragma once

#include "answering.h"
#include "delivery.h"
#include "sluice/answer/recording.h"
#include "sluice/proxy/exchange.h"
#include "sluice/proxy/flights.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::proxy {

class Replay final : public Answering, public Flights::Listener {
public:
    // Of the exchange's sharing, which says which of the two. `cursor` is null for what is kept.
    Replay(Service& service, Exchange& exchange, io::Actor& owner, net::Stream& client,
           std::unique_ptr<answer::Cursor> cursor);
    ~Replay();

    void start() override;
    Outcome advance() override;
    void flush() override {}
    void abandon() override;
    void interrupt(Error cause, End end) override;
    Instant deadline() const override;
    void expire() override;
    const Error& failure() const override { return failure_; }
    End failure_end() const override { return failure_end_; }
    policy::RetryAdvice advice() const override { return advice_; }
    End answer_end() const override { return answer_end_; }
    bool client_must_close() const override { return delivery_.client_must_close(); }
    bool client_must_see_reset() const override {
        return outcome_ == Outcome::broken && !delivery_.ended_properly() &&
               delivery_.relay().plan().out == http::Framing::until_close;
    }
    void release() override;

    void hear() override { service_.loop.make_ready(owner_); }

private:
    enum class State : std::uint8_t { waiting, judging, giving, finished };

    bool is_kept() const { return cursor_ == nullptr; }
    const answer::Recording& recording() const { return cursor_->recording(); }
    bool ended() const;
    void begin();
    bool write_head(int status, std::string_view reason, std::string_view fields, bool event_stream,
                    sse::Form form, std::optional<std::uint64_t> length);
    void give();
    std::string_view next() const;
    void consume(std::size_t bytes);
    void finish();
    void end_whole();
    void end_broken();
    void tell_refusal();
    void take_place(const answer::Recording::Place& place);
    void take_facts(const answer::Recording::Ending& ending);
    void fail(Error error, End end, policy::RetryAdvice advice);
    void leave();
    std::string_view kept_body() const;
    Delivery::Hearing hearing() const;
    policy::Deadline client_deadline() const;

    Service& service_;
    Exchange& exchange_;
    io::Actor& owner_;
    Delivery delivery_;
    std::unique_ptr<answer::Cursor> cursor_;
    std::size_t given_ = 0;  // of what is kept
    Error failure_;
    policy::RetryAdvice advice_;
    End failure_end_ = End::backend_error;
    End answer_end_ = End::ok;
    State state_ = State::waiting;
    Outcome outcome_ = Outcome::pending;
};

}  // namespace sluice::proxy
