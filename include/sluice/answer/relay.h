// Relay: turns what a backend sends as a body into what the client gets, slice by slice.
//
// Holds no socket: slices in, chain out, so that every lane is tested byte by byte. The received
// buffer is the sent buffer; bytes are generated only where framing must be written anew.
//
// An event stream is released at event boundaries: a part of an event waits (in its own buffers, up
// to limits::sse_event_bytes_max) until its end is there, so that the stream can be ended honestly
// at any moment and an event can be taken out whole. Whole events leave in the turn they came in.
#pragma once

#include "sluice/answer/break.h"
#include "sluice/base/limits.h"
#include "sluice/http/parser.h"
#include "sluice/llm/errors.h"
#include "sluice/llm/response_reader.h"
#include "sluice/llm/responses_end.h"
#include "sluice/llm/resume.h"
#include "sluice/llm/resumed_stream.h"
#include "sluice/llm/usage.h"
#include "sluice/mem/chain.h"
#include "sluice/sse/scanner.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::answer {

struct RelayPlan {
    http::Framing in = http::Framing::none;    // how the backend frames the body
    http::Framing out = http::Framing::none;   // how the client gets it
    std::uint64_t length = 0;                  // of the body, where `in` is `length`
    bool event_stream = false;                 // events that can be read, in this form
    sse::Form form = sse::Form::event_stream;  // where that is a guess, what its type says
    bool readable = false;                     // otherwise JSON whose usage is read
    bool hide_usage_event = false;  // the client did not ask for the event that only reports usage
    bool examined = false;          // of such a document it is asked whether it is an error
    // It may be an event stream, whatever its type says: its first byte tells.
    bool guessed = false;
    bool must_finish = false;  // a stream that says how a generation ended
    bool responses = false;    // events of the Responses API, which are numbered
    // Every byte leaves as it comes, framing included, and at once: events that nobody holds back.
    bool raw = false;
    // What the events say is kept, and an error among them breaks the stream; or the stream goes on
    // with another one's, in its words. Both outlive the relay's body.
    llm::ResumeJournal* journal = nullptr;
    llm::ResumedStream* resumed = nullptr;
};

// Working memory of one turn, shared by all relays of a shard so that no slice allocates.
struct RelayScratch {
    struct Span {
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
    };
    std::vector<http::BodyPiece> pieces;
    std::vector<Span> released;  // body bytes of the slice that leave now
    std::vector<Span> waiting;   // body bytes of the slice that begin an unfinished event
};

// The framing a client gets for a backend's framing: what it can read, and what leaves the bytes
// alone where possible.
http::Framing choose_framing(http::Framing in, int client_minor, bool length_changes);

// What the client of a stream was told by it of its failing.
struct InBand {
    bool passed_error = false;  // an error event has gone out
    bool saw_done = false;      // and an end of its dialect
    bool erred = false;         // an error event was kept from it
    std::string error_text;     // that event
    llm::ResponsesPlace place;  // of a stream of the Responses API
};

class Relay {
public:
    explicit Relay(mem::NodePool& nodes) : held_(nodes) {}

    void begin(const RelayPlan& plan);
    const RelayPlan& plan() const { return plan_; }

    // Reads `slice` through the backend's parser and appends what may leave to `out`.
    // `complete`: the body has ended and `out` has its end. `failed`: the backend broke its
    // framing, and nothing of this slice was taken; or its stream, and `out` has the events before
    // that; or out_of_buffers(). `leftover`: bytes of the slice behind the body.
    http::Progress take(const mem::Slice& slice, http::Parser& parser, RelayScratch& scratch,
                        mem::BufferPool& buffers, mem::Chain& out, std::size_t& leftover);

    // Raw events that leave by another way: reads this copy of them, as take() does.
    http::Progress watch(std::string_view text, http::Parser& parser, RelayScratch& scratch,
                         std::size_t& leftover);
    // Raw bytes that were read here were lost on their way.
    void lose_place() { between_chunks_ = false; }
    // Whether end() may say that the body is whole: not in the middle of a raw chunk.
    bool can_end() const { return between_chunks_; }

    // Body bytes that pass this by, in runs that nobody reads: what goes to the client before a run
    // of that many bytes (false: out_of_buffers()), and what goes behind it.
    [[nodiscard]] bool begin_run(std::uint64_t bytes, mem::BufferPool& buffers, mem::Chain& out);
    void end_run(mem::Chain& out);
    // Bytes of the body's end that are still wanted, to find the usage there.
    std::size_t tail_bytes() const {
        return plan_.readable && !usage().known ? limits::read_tail_bytes : 0;
    }
    // Nothing comes any more; the end of a stream may end its last event.
    void see_end() {
        if (read_end()) held_.clear();
    }
    // The backend's stream ended as its framing allows (until_close): the end for the client.
    // False: out_of_buffers(), and the body is not whole.
    [[nodiscard]] bool end(mem::BufferPool& buffers, mem::Chain& out);
    // The stream broke: an error event at an event boundary, and the end of the body if it is to
    // end properly. False when the client cannot be told in band (not an event stream, a body of
    // declared length, or a raw stream that stands in the middle of an event): then there is none.
    bool break_off(std::string_view event, bool properly, mem::BufferPool& buffers,
                   mem::Chain& out);

    // What another relay has read already passes as it is; an event of it may have its begin here
    // and its end in a later call. False: no buffer.
    [[nodiscard]] bool pass(std::string_view bytes, mem::BufferPool& buffers, mem::Chain& out);
    // A part of an event is out, and its end is not.
    bool inside_event() const { return oversized_; }

    // A comment, or another whole event of ours, between two of the stream. False when it is not
    // between two, or there is no buffer.
    bool insert(std::string_view event, mem::BufferPool& buffers, mem::Chain& out);
    // What broke, when take() failed for the backend's sake: "broke its framing: ...".
    std::string failure(const http::Parser& parser) const;
    // The same of an error that the stream held: "ended its stream with an error: ...".
    std::string error_failure() const;
    Break failure_kind() const;

    // What a document that is examined turns out to be; once it has ended, or has become too long
    // for an error, one of the latter two.
    enum class Document : std::uint8_t { undecided, error, answer };
    Document document() const { return document_; }

    // What passed so far.
    const llm::Usage& usage() const;
    bool saw_done() const { return saw_done_; }
    bool saw_error() const { return saw_error_; }
    bool saw_finish() const { return saw_finish_; }
    // The stream ended with an error event, which the client has got: it needs no other one.
    bool passed_error() const { return passed_error_; }
    // It was kept from the client after all.
    void withdraw_error() { passed_error_ = false; }
    // A generation has begun and did not say how it ended; or one of its choices did not. Or the
    // stream ended in the middle of an event.
    bool unfinished() const {
        return cut_ || (plan_.must_finish && content_events_ > 0 && !saw_done_ && !saw_error_ &&
                        (!saw_finish_ || open_choices_ != 0));
    }
    // Behind see_end(): the stream's last words are an end in its dialect, however its framing
    // ended.
    bool said_its_end() const {
        return !cut_ && !erred_ &&
               (saw_done_ || (saw_finish_ && open_choices_ == 0 && !saw_error_));
    }
    // An event was an error, and was not passed on.
    bool erred() const { return erred_; }
    // A client gains nothing from what has come so far: no word, and nothing that precedes one.
    bool says_nothing() const { return !notable_ && !spoke_; }
    // Something of what was generated has come, whether it is counted or not.
    bool spoke() const { return spoke_; }
    // The first error object that the stream held; its begin.
    const std::string& error_text() const { return error_text_; }
    InBand in_band() const {
        return {passed_error_, saw_done_, erred_, error_text_, responses_place()};
    }
    // Where a stream of the Responses API stands.
    llm::ResponsesPlace responses_place() const {
        return place_ == nullptr ? llm::ResponsesPlace{} : *place_;
    }
    // Events that were not comments, nor said as little.
    std::uint64_t events() const { return events_; }
    // Events that carried generated text: about as many as tokens.
    std::uint64_t content_events() const { return content_events_; }
    // Of that text, as it is written in JSON; of an answer that is no stream too.
    std::uint64_t content_bytes() const { return content_bytes_ + reader_.content_bytes(); }
    // Events that carried a piece without text: of a tool call.
    std::uint64_t textless_events() const { return textless_events_; }
    // The answer is read: what is not told of it can be estimated.
    bool reads() const { return plan_.event_stream || plan_.readable; }
    // Framing could not be written for want of a buffer; take() failed for that, not the backend.
    bool out_of_buffers() const { return out_of_buffers_; }

private:
    explicit Relay(mem::Chain&& held) : held_(std::move(held)) {}

    // How the slice at hand was read.
    struct Reading {
        bool release_held = false;  // the event that was held has its end in this slice
        bool cut = false;           // an event was taken out
    };

    Reading read_pieces(std::string_view text, RelayScratch& scratch);
    void read_document(std::string_view part);
    void read_whole_document(std::string_view part);
    void examine(std::string_view part);
    void settle_guess(std::string_view text);
    bool read_end();
    void scan_events(std::string_view text, const http::BodyPiece& piece, RelayScratch& scratch,
                     Reading& reading);
    llm::EventFacts read_event(const sse::Event& event);
    http::Progress take_resumed(const mem::Slice& slice, http::Parser& parser,
                                RelayScratch& scratch, mem::BufferPool& buffers, mem::Chain& out,
                                std::size_t& leftover);
    void rewrite_events(std::string_view run, std::string& rewritten);
    bool keep(const sse::Event& event, const llm::EventFacts& facts);
    void give_up_long_event(RelayScratch& scratch, Reading& reading);
    static void release_waiting(RelayScratch& scratch, Reading& reading);
    bool emit_raw(const mem::Slice& slice, const RelayScratch& scratch, std::size_t consumed,
                  bool complete, mem::Chain& out);
    bool emit(mem::Chain&& body, mem::BufferPool& buffers, mem::Chain& out);
    bool emit_size_line(std::uint64_t size, mem::BufferPool& buffers, mem::Chain& out);

    RelayPlan plan_;
    sse::Scanner scanner_;
    llm::ResponseReader reader_;
    llm::Usage usage_;  // of events, or of a document that came in one piece
    mem::Chain held_;   // the begin of an event whose end has not come
    std::unique_ptr<llm::ResponsesPlace> place_;  // of a stream of that API
    std::unique_ptr<std::string> tail_;           // of a document whose middle was not read
    Document document_ = Document::undecided;
    bool oversized_ =
        false;  // the event that is passing is longer than may be held, or ours to pass
    std::string passed_end_;  // of pass(): its last bytes, as many as may end an event
    bool out_of_buffers_ = false;
    bool saw_done_ = false;
    bool saw_error_ = false;
    bool saw_finish_ = false;
    bool notable_ = false;    // an event was
    bool spoke_ = false;      // an event did
    bool malformed_ = false;  // the same
    bool cut_ = false;        // the stream ends in the middle of one
    bool erred_ = false;      // an event was an error, and is not passed on
    bool passed_error_ = false;
    std::uint32_t open_choices_ = 0;   // that were begun and have no end of their own; as bits
    std::uint32_t ended_choices_ = 0;  // that have one, whatever they said behind it
    std::uint64_t events_ = 0;
    bool between_chunks_ = true;  // the raw framing that has left is
    bool ended_inside_ = false;   // the stream ended in the middle of an event
    std::uint64_t content_events_ = 0;
    std::uint64_t content_bytes_ = 0;
    std::uint64_t textless_events_ = 0;
    std::string error_text_;
};

}  // namespace sluice::answer
