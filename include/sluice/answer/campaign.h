// Campaign: how one request goes about its answer: whom to ask next, or to wait, to turn to another
// model, to give up and why.
//
// Pure: facts in, decisions out. It holds no place and no link and reads no clock; whoever drives
// it says what happened and does what comes back.
//
//     what happened            and                                        next
//     a place was found                                                   attempt
//     all are busy or loading                                             line
//     the line is full, or     another model of the chain `overload`      look, there
//       took too long          none                                       give_up: 429, or timed
//       out
//     none is left             another model of the chain that fits       look, there
//                              one that would rather not be asked is      look, with that, too
//                              none                                       give_up: 503, or the last
//                                                                         try's failure
//     a try failed             it is the answer; it is not kept; it may   give_up
//                              have been done and must not be again; two
//                              have blamed it; hops_max
//                              its server loads, loads_max times at most  look
//                              nobody is left, and it may move            give_up
//                              else, as after a pause
//     a pause is over          servers end under it                       stop
//                              that is not known yet                      pause
//                              leaving that target is free                look
//                              else                                       retry
//
// `retry` is `look` once the retry budget allows it, and until then `pause`.
#pragma once

#include "sluice/base/result.h"
#include "sluice/policy/advice.h"
#include "sluice/policy/failure.h"
#include "sluice/policy/suspicion.h"
#include "sluice/upstream/catalog.h"
#include "sluice/upstream/dispatch.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice::answer {

class Campaign {
public:
    // Tries of one request, whatever the budget allows: a fresh connection is one, too.
    static constexpr std::uint16_t hops_max = 8;

    enum class Step : std::uint8_t {
        attempt,  // at the place that was found
        line,     // stand in it
        look,     // for a place, of model()
        retry,
        pause,
        stop,     // it is not sent to anybody any more: servers end under it
        give_up,  // failure() says why
    };

    // A try that got no answer for the client.
    struct Failed {
        const upstream::Target* target = nullptr;
        policy::FailureClass as = policy::FailureClass::none;
        policy::FallbackChain chain = policy::FallbackChain::none;  // policy::choose_chain()
        Error error;
        bool body_gone = false;    // and what it was sent is not kept
        bool may_be_done = false;  // it was sent, and must not be twice (RFC 9110 section 9.2.2)
    };

    // What there is behind a failed try.
    struct Outlook {
        bool others = false;  // the wish might still be granted: Dispatch::possible()
        bool known_to_fail =
            false;           // the same request lately failed everywhere; where it `doubts()`
        bool loads = false;  // the server is seen to load
        policy::Fate fate = policy::Fate::moves;
    };

    // Of that model, which a server is asked for by that name.
    void begin(const upstream::Model& model, std::string name);

    const upstream::Model& model() const { return *model_; }
    const std::string& name() const { return name_; }
    // What is asked of a target: the part of it that is decided here.
    upstream::Wish wish() const;
    // The same for a request that was never tried.
    upstream::Wish whole_wish() const;

    // --- places ---
    Step found(const upstream::Found& found);
    Step line_is_full();
    // False: no other model is there for that, and it goes on waiting, or not.
    bool leave_line() { return turn_to_fallback(policy::FallbackChain::overload, false); }
    void attempt(const upstream::Target& target);

    // --- tries ---
    // A try failed that is counted, whatever comes next.
    void count_hop(const upstream::Target& target, policy::FailureClass as);
    // The same, and somebody else may do: next() says so. Changes what is wished for.
    void fail(Failed&& failed);
    // Whether the request may be at fault in what failed last: then it matters what is known of it.
    bool doubts() const;
    Step next(const Outlook& outlook);
    // `blames()`, behind next(): what failed is noted as the request's own doing.
    bool blames() const { return blames_; }
    // Behind a pause, and where a stream goes on elsewhere.
    Step again(policy::Fate fate);
    // Nobody waits for the retry budget any longer.
    void tire();
    // Leaving the target at hand is no retry that could become a storm: it listens no more, or the
    // request suits another one better.
    void leave_freely() { free_hop_ = true; }
    // Contexts of that many tokens are too small.
    void want_context(std::uint64_t tokens);
    // From here on the answer is one of this model's: another would not go on with its words.
    void commit_to_model() { fallbacks_over_ = true; }
    // Another try would do harm, whoever makes it.
    void forbid() { harmful_ = true; }

    // --- facts ---
    bool failed() const { return hops_ > 0; }
    bool may_hop(unsigned more = 1) const { return hops_ + more <= hops_max; }
    bool has_fallback(policy::FallbackChain chain) const { return next_fallback(chain) != nullptr; }
    policy::FailureClass failed_as() const { return failed_as_; }
    // An answer passes that is a refusal.
    void set_failed_as(policy::FailureClass as) { failed_as_ = as; }
    // Why it is given up, or the last try was.
    Error& failure() { return failure_; }
    const Error& failure() const { return failure_; }
    // What a client is told of another try; the caller adds what it knows of the time.
    policy::RefusalFacts refusal() const;

private:
    const upstream::Match* next_fallback(policy::FallbackChain chain) const;
    bool turn_to_fallback(policy::FallbackChain chain, bool unwilling);
    bool turn_back();
    void turn(const upstream::Model& model, std::string name);
    Step exhausted(const upstream::Found& found);
    bool is_blamed(const Outlook& outlook);
    Step give_up(Error error);
    std::uint64_t bit_of(const upstream::Target& target) const;

    const upstream::Model* model_ = nullptr;   // that is asked for at the moment
    const upstream::Model* routed_ = nullptr;  // whose fallbacks they are
    std::string name_;
    Error failure_;
    std::vector<const upstream::Model*> turned_to_;  // fallbacks, one after the other
    std::unique_ptr<upstream::Match> unwilling_;     // to be asked when no fallback will do
    const upstream::Target* first_ = nullptr;        // that failed
    const upstream::Target* last_ = nullptr;
    std::uint64_t tried_ = 0;        // targets of the model, a bit each
    std::uint64_t context_min_ = 0;  // tokens
    std::uint16_t hops_ = 0;         // tries that failed
    std::uint8_t loads_ = 0;         // times that a server was loading
    policy::FallbackChain chain_ = policy::FallbackChain::general;  // of the last failure
    policy::FallbackChain begun_chain_ = policy::FallbackChain::none;
    policy::FailureClass failed_as_ = policy::FailureClass::none;  // the last try
    bool final_ = false;          // what failed last is not tried again
    bool unwilling_too_ = false;  // nobody else is left of the model
    bool free_hop_ = false;       // once
    bool fallbacks_over_ = false;
    bool failed_elsewhere_ = false;  // two targets at least were asked in vain
    bool second_opinion_ = false;    // is being asked for: the first said what may be the request's
    bool blames_ = false;
    bool harmful_ = false;
};

}  // namespace sluice::answer
