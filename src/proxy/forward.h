// Forward: sends one exchange's request to a backend and relays the answer to the client.
//
// Asks the shard's dispatch for a place at a target, waits in line where there is none, leases a
// link, sends, relays, and gives everything back. Until a byte of a backend's answer is on its way
// to the client it moves on by itself: to the next target of the pool, then to the models that the
// settings name for the cause, as far as the retry budget goes; and once to a fresh connection when
// a kept-alive one turns out to be closed (RFC 9112 section 9.3.1). But one that servers end under
// stops (policy/suspicion.h), the same one is refused when it comes again, and what must not be
// done twice is sent again only where nothing of it was taken (RFC 9110 section 9.2.2). A refusal
// is held until it is known that nobody else will do. A streaming client is told of its waiting by
// comments, which commit the answer to status 200. After the first byte a stream goes on elsewhere
// only where the model says `resume`.
#pragma once

#include "answering.h"
#include "delivery.h"
#include "inquest.h"
#include "sluice/answer/campaign.h"
#include "sluice/answer/held_answer.h"
#include "sluice/answer/recording.h"
#include "sluice/answer/relay.h"
#include "sluice/answer/resumption.h"
#include "sluice/answer/splice_run.h"
#include "sluice/answer/stream_tap.h"
#include "sluice/http/head_reader.h"
#include "sluice/http/writer.h"
#include "sluice/llm/refusal.h"
#include "sluice/llm/token_rate.h"
#include "sluice/net/stream.h"
#include "sluice/policy/advice.h"
#include "sluice/policy/failure.h"
#include "sluice/policy/retry_budget.h"
#include "sluice/policy/timeouts.h"
#include "sluice/policy/wait_queue.h"
#include "sluice/proxy/exchange.h"
#include "sluice/upstream/dispatch.h"
#include "sluice/upstream/pool.h"
#include "upload.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::proxy {

class Forward final : public Answering, public upstream::Dispatch::Waiting {
public:
    // `owner` is made ready by the backend's events; `client` is where the answer goes. `upload`
    // is the request's body where that is not kept, else null.
    Forward(Service& service, Exchange& exchange, io::Actor& owner, net::Stream& client,
            Upload* upload);
    // For whoever listens to the recording; its body is kept.
    Forward(Service& service, Exchange& exchange, io::Actor& owner, answer::Recording& recording);
    ~Forward();  // asserts that no link and no place is held

    void start() override;
    Outcome advance() override;
    void flush() override;
    void abandon() override;
    void interrupt(Error cause, End end) override;
    Instant deadline() const override;
    void expire() override;

    const Error& failure() const override { return campaign_.failure(); }
    End failure_end() const override { return failure_end_; }
    policy::RetryAdvice advice() const override;
    // What passed through pipes may have held an error.
    End answer_end() const override {
        return relay().passed_error() || disguised_ ? End::backend_error : End::ok;
    }
    bool client_must_close() const override { return delivery_.client_must_close(); }
    bool client_must_see_reset() const override {
        return outcome_ == Outcome::broken && !delivery_.ended_properly() &&
               relay().plan().out == http::Framing::until_close;
    }
    void release() override;

    // --- of one that is recorded ---
    answer::Recording::Wait wait() const;
    answer::InBand in_band() const { return relay().in_band(); }

    // The dispatch has a place for it now.
    upstream::Found take_place() override;

private:
    static Error no_memory() {
        return {Source::gateway, Retry::yes, 503,
                "The gateway is out of buffer memory (--buffers). Try again later."};
    }

    enum class Phase : std::uint8_t {
        idle,
        queued,      // for a slot, or until a model is loaded
        pausing,     // until the retry budget lets it try again
        connecting,  // to the place it has
        waiting,     // for the answer's head
        holding,     // a refusal, until it is read
        relaying,
        finished,
    };

    // --- choosing and trying (forward.cc) ---
    upstream::Wish wish() const;
    upstream::Wish complete(upstream::Wish wish) const;
    void find_place();
    void follow();
    void take(answer::Campaign::Step step);
    void wait_for_budget();
    void look_again_later();
    bool wait_in_line(const upstream::Found& found);
    void leave_line();
    void note_wait();  // it is over
    std::uint64_t digest();
    std::uint64_t identity();
    void note_try();
    void log_hop(policy::FailureClass failure);
    upstream::TryEnd try_end(policy::FailureClass failure, const policy::FailureFacts& facts);
    void release_place(const policy::FailureFacts& facts);
    void move_on(const policy::FailureFacts& facts, Error error);
    std::optional<Duration> known_wait() const;
    void give_up();
    void give_up(Error error);
    void start_try();
    void try_target(upstream::Pool::Freshness freshness);
    void on_link_lost(int code);
    void on_link_ended();
    // Whose credential the backend saw.
    policy::Credential credential() const {
        return exchange_.target->setting.key.empty() ? policy::Credential::client
                                                     : policy::Credential::gateway;
    }
    void drop_link(bool reusable);
    void give_up_link();
    void fail(Error error);
    void enter(Phase phase);
    void note_progress() { phase_begun_ = heard_ = service_.loop.now(); }

    // --- connections that break, servers that end (forward_deaths.cc) ---
    void lose(const std::string& cause, policy::AttemptEnd end);
    void lose_try(const std::string& cause, policy::AttemptEnd end, bool dead);
    bool begin_again();
    policy::FailureFacts facts_of(answer::Break kind, const llm::ErrorFacts& said,
                                  bool dead = false) const;
    void lose_answer(answer::Break kind, std::string cause, End end = End::backend_error);
    void lose_end(std::string cause);
    bool look_for_listener();
    void see_dead(const std::string& cause);
    void note_break();
    void look_back();
    bool is_known();
    policy::Fate fate();
    void stop_moving();
    bool refuse_known();
    void name_inquest();
    void end_inquest(bool served);

    // --- the request (forward_request.cc) ---
    bool nothing_taken() const;
    bool send_request();
    void pass_body();
    Instant upload_silent_since() const;
    // Since when the backend has done nothing, where that is its doing.
    Instant silent_since() const {
        return upload_ == nullptr ? phase_begun_ : upload_silent_since();
    }

    // --- the answer's head (forward_answer.cc) ---
    bool read_head();
    void fail_answer(const std::string& what);
    void begin_answer(const http::Head& head);
    bool write_answer_head(const http::Head& head, http::Framing out);
    void forward_fields(http::HeadWriter& writer, const http::Head& head);
    policy::RetryAdvice advice_for(const answer::HeldAnswer& held) const;
    bool send_head(http::HeadWriter& writer);
    void hold(const http::Head& head);
    void hold_slice(const mem::Slice& slice);
    bool pass_on_held();
    void judge_held();
    void relay_held();
    bool refuses_addition(const llm::ErrorFacts& said) const;
    void ask_plainly();
    void refuse_coding();
    void note_plain_answer();
    void drop_withheld();
    void stop_withholding();
    bool judge_begin();
    bool judge_document();
    bool judge_stream();
    bool is_refused() const;
    void refuse_instead();
    void refuse_document();
    void expect_events();
    std::string refused() const;
    bool may_withhold(const http::Head& head, bool readable) const;

    // --- the answer's body (forward_relay.cc, forward_splice.cc, forward_events.cc) ---
    void pass_on();
    void relay_received();
    void relay_slice(const mem::Slice& slice);
    void pace();
    void end_answer(bool reusable);
    void take_usage();
    std::uint64_t written_tokens(const llm::TokenRate& rate) const;
    void finish(bool reusable);
    void break_off(Error error, End end, const llm::Refusal* refusal = nullptr);
    void listen();
    void note_arrival();
    void empty_pipes();
    bool choose_answer_lane(answer::LaneFacts facts);
    bool splice_body();
    bool splice_events();
    void note_moved();
    bool watch_copy();
    bool watch(std::string_view text);
    bool receive_events_instead();
    bool begin_run();
    bool measure_run();
    void end_run();
    std::uint64_t opaque_bytes() const;
    // The silence is the client's doing.
    bool waits_for_client() const {
        return held_back_ || ((run_.active() || tap_.active()) && delivery_.unsent() > 0);
    }

    // --- going on elsewhere (forward_resume.cc) ---
    void prepare_to_resume();
    bool try_resume(policy::FailureClass failure, std::string& cause);
    bool plan_to_resume();
    void end_at_length();
    void begin_resumed();

    // --- telling a client that it waits (forward_notice.cc) ---
    Delivery::Hearing hearing() const;
    bool may_be_no_stream() const;
    bool has_spoken() const;
    void tell();
    policy::Deadline phase_deadline() const;
    Instant server_alive() const;
    bool was_alive(const policy::Deadline& deadline) const;
    void expire_phase(const policy::Deadline& deadline);

    // What is recorded has to be read.
    config::RelayMode relay_mode() const {
        return delivery_.is_recorded() ? config::RelayMode::buffer : service_.settings.relay;
    }
    answer::Relay& relay() { return delivery_.relay(); }
    const answer::Relay& relay() const { return delivery_.relay(); }
    std::uint32_t server() const { return exchange_.target->endpoint->id; }
    const std::string& backend() const { return exchange_.target->endpoint->url; }

    Service& service_;
    Exchange& exchange_;
    io::Actor& owner_;
    Upload* upload_;  // null: the request's body is kept
    Delivery delivery_;
    answer::Campaign campaign_;
    upstream::Place place_;
    policy::RetryBudget::Retry retry_;  // held while a second try is under way
    Inquest inquest_;                   // which servers ended meanwhile
    upstream::Pool* pool_ = nullptr;
    upstream::Link* link_ = nullptr;
    http::HeadReader head_reader_;
    answer::SpliceRun run_;  // of the answer's body, when it is large
    answer::StreamTap tap_;  // of its events, where these shall be spliced
    std::unique_ptr<answer::HeldAnswer> held_answer_;
    std::unique_ptr<answer::Resumption> resume_;  // of a stream that may go on elsewhere
    std::optional<Duration>
        retry_after_;      // until it may help to try again, as far as that is known
    Instant phase_begun_;  // or the last progress in it
    Instant heard_;        // the last byte of the backend, comments too; else as `phase_begun_`
    Instant queued_at_;
    Instant check_at_;                     // while pausing
    std::uint64_t digest_ = 0;             // 0: not asked for yet
    std::uint64_t link_bytes_before_ = 0;  // what the link had received when it was leased
    std::uint64_t link_sent_before_ = 0;   // and sent
    int interim_answers_ = 0;
    std::uint32_t tries_ = 0;  // of which a backend may have seen something
    Phase phase_ = Phase::idle;
    Outcome outcome_ = Outcome::pending;
    End failure_end_ = End::backend_error;
    bool body_expected_ = false;
    bool event_stream_ = false;  // the answer comes in events, of this form
    sse::Form form_ = sse::Form::event_stream;
    bool usage_injected_ = false;  // into the request to this target
    bool plainly_ = false;         // it is asked again without what we add
    bool link_keeps_alive_ = false;
    bool held_back_ = false;        // the client is slow: the backend's receive is on hold
    bool pipe_refused_ = false;     // none was to be had: not asked for again
    bool spliced_ = false;          // a part of the answer was
    bool events_complete_ = false;  // the copy of them says so
    bool bytes_behind_ = false;     // and something came behind them
    bool disguised_ = false;        // a refusal that said 200
    bool retried_link_ = false;     // a fresh one, after a kept-alive one was closed
    bool sends_again_ = false;      // and that one may have brought the request there
    bool waits_for_load_ = false;
    bool server_lived_ = false;  // when its time was over
    bool resumes_ = false;       // the stream of one backend has ended in its middle
    bool sent_ = false;          // the request, perhaps: it is not known that nobody read it
};

}  // namespace sluice::proxy
