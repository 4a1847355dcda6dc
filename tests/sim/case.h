// Case: one request of the gateway simulation: what the client says, what its backend shall do, and
// what became of it. The Ledger holds the cases of a run.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/line_sink.h"
#include "sluice/base/prng.h"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::sim {

// How a backend answers a request, and how it fails at it.
struct Plan {
    enum class Shape : std::uint8_t {
        events_chunked,
        events_until_close,
        json_length,
        json_chunked
    };
    enum class Failure : std::uint8_t {
        none,
        reset,      // in the middle of its answer
        ends,       // the same, with a FIN
        stalls,     // the same, and says nothing more
        bad_head,   // the answer is not HTTP
        bad_chunk,  // its framing breaks in the middle
    };

    Shape shape = Shape::json_length;
    Failure failure = Failure::none;
    int status = 200;
    std::vector<std::string> pieces;  // of the body; an event each in a stream
    std::string usage_event;          // a stream's, in front of its last piece, when asked for
    std::uint64_t completion_tokens = 0;
    unsigned cut_percent = 100;  // how much of the answer is sent before it fails
    Duration first_byte{};
    Duration pause{};      // at most, between two writes
    bool interim = false;  // 103 comes first
    bool closes = false;   // the server ends the connection behind the answer, and says so
    bool closes_unannounced = false;  // the same, and does not say so
    bool early = false;  // it answers before it has read the request; where it stalls it reads none

    bool events() const {
        return shape == Shape::events_chunked || shape == Shape::events_until_close;
    }
    std::string body(bool with_usage) const;
};

// What several ask for, in words that mean the same; see question.h.
struct Question {
    std::size_t number = 0;
    std::string model;
    std::string content;
    bool stream = false;
    bool may_fail = false;  // its only backend is down
    int backends = 1;
    Plan plan;  // each server answers the same, and fails at it for some of those who ask
    bool servers_fail = false;
};

struct Case {
    enum class Kind : std::uint8_t {
        forwarded,  // to a backend
        own,        // the gateway's own 200
        refused,    // a well-formed request that it refuses
        malformed,  // not HTTP: refused, and the connection closed
    };
    enum class Outcome : std::uint8_t {
        open,
        right,       // the whole right answer
        error,       // the gateway's own error
        broken,      // the answer broke off, visibly
        unanswered,  // the connection ended before
    };

    std::size_t number = 0;
    Kind kind = Kind::forwarded;
    std::string wire;           // the request as it is sent
    std::string upstream_body;  // as the backend must get it, but for an injected stream_options
    std::string expected_body;  // of an own answer; empty: not compared
    int expected_status = 200;
    bool head = false;  // a HEAD request
    bool http_1_0 = false;
    bool closes = false;  // the client asks for the connection to be closed
    bool asks_usage = false;
    bool may_fail = false;  // the only backend that would answer it is down
    int backends = 1;       // that may be asked
    bool generic = false;   // of a generic route: a body that nobody reads
    Plan plan;
    const Question* question = nullptr;  // that others ask, too; null: nobody else does

    // --- what happened ---
    Outcome outcome = Outcome::open;
    bool begun = false;           // the client has begun to send it
    Instant sent_at{};            // all of it
    Instant over_at{};            // it was answered, or the client left
    bool usage_was_sent = false;  // by the backend
    bool client_left = false;
    Instant left_at{};
    bool leaving_shows = false;  // to the gateway, at once
    int seen_by_backends = 0;
    Instant first_seen_at{};        // by one of them
    bool backend_busy = false;      // got the request, and neither finished nor lost the connection
    bool backend_was_busy = false;  // when the client left, and it showed
    Instant backend_free_at{};      // when it heard of it
    int logged = 0;
    std::string logged_line;

    // Its answer may be one that a server failed at: its own, or another's that it listens to.
    bool server_may_fail() const {
        return plan.failure != Plan::Failure::none ||
               (question != nullptr && question->servers_fail);
    }
};

// All cases of a run; also the access log, which must tell each of them once.
class Ledger final : public LineSink {
public:
    explicit Ledger(Prng& prng) : prng_(prng) {}

    // A new random request.
    Case& add();
    Question& add_question();
    Case& ask(const Question& question);
    Case* find(std::string_view id);  // "case-7"; null: none of ours
    std::deque<Case>& cases() { return cases_; }
    const std::deque<Question>& questions() const { return questions_; }
    std::size_t lines() const { return lines_; }
    void write(std::string_view line) override;

    // Failures may hit a request that did nothing wrong: faults of the network, scarce memory, a
    // backend that is down, a gateway that drains.
    bool lenient = false;
    bool backend_b_is_down = false;
    // Events leave before they are read: what is broken comes through, and the connection ends.
    bool events_spliced = false;
    bool half_close_tolerated = false;  // a client's FIN does not mean that it left
    bool has_routes = false;            // generic ones, for large bodies among others

private:
    void make_forwarded(Case& made);
    void make_upload(Case& made);
    void make_own(Case& made);
    void make_refused(Case& made);
    void make_malformed(Case& made);
    void make_plan(Plan& plan, bool stream);
    void make_failure(Plan& plan);
    bool meets_nobody(int backends, const Plan& plan) const;
    std::string question_body(const Question& question, bool asks_usage);
    void make_events(Plan& plan);
    std::string chat_body(const Case& made, std::string_view model, bool stream);
    std::string post(const Case& made, std::string_view path, std::string_view body);
    std::string get(const Case& made, std::string_view method, std::string_view path);
    std::string in_chunks(std::string_view body);
    std::size_t some_size(unsigned magnitude_max);
    static std::string pattern(std::size_t size);

    Prng& prng_;
    std::deque<Case> cases_;
    std::deque<Question> questions_;
    std::size_t lines_ = 0;
};

}  // namespace sluice::sim
