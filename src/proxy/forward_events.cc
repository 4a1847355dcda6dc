// The event streams of a forward that pass through pipes (--relay splice): what leaves is read
// behind its leaving, from a copy.
//
// So nothing is held back: a stream that breaks in the middle of an event is cut off, and bytes
// that a backend sends behind its answer are noticed when they are out, and end both connections.
#include "forward.h"
#include "sluice/base/limits.h"

#include <array>
#include <utility>

namespace sluice::proxy {

// The lane of an answer whose head says so much; true: its events leave as they come.
bool Forward::choose_answer_lane(answer::LaneFacts facts) {
    facts.mode = relay_mode();
    facts.event_stream = event_stream_;
    facts.pipe_refused = pipe_refused_;
    exchange_.lane = answer::choose_lane(facts);
    if (!event_stream_ || exchange_.lane.lane != answer::Lane::splice) return false;
    if (tap_.available()) return true;
    facts.pipe_refused = pipe_refused_ = true;
    exchange_.lane = answer::choose_lane(facts);
    return false;
}

// True: the events pass through pipes, or everything is over; the backend is not received from.
bool Forward::splice_events() {
    if (phase_ != Phase::relaying) return phase_ == Phase::finished;
    if (!relay().plan().raw || pipe_refused_) return false;
    net::Stream& from = link_->stream;
    from.hold_receiving();
    // What was on its way into buffers is relayed from there, and leaves first.
    if (from.receiving() || (!tap_.active() && delivery_.unsent() > 0)) return true;
    const bool was_blocked = tap_.active();
    for (;;) {
        const bool nothing_comes =
            events_complete_ || from.awaits_readable() || from.ended() || from.receive_error() != 0;
        if (tap_.empty() && nothing_comes) break;
        const auto progress = tap_.move(from, delivery_.client());
        note_moved();
        if (!watch_copy()) return true;
        if (progress == answer::StreamTap::Progress::refused) return !receive_events_instead();
        if (progress == answer::StreamTap::Progress::waits || tap_.blocked()) break;
        // Others have their turn; this one is called again when there is more.
        if (tap_.empty() && !events_complete_) from.await_readable();
    }
    tap_.rest();
    if (was_blocked && tap_.empty()) note_progress();  // the silence was ours
    if (events_complete_ && tap_.empty()) {
        if (bytes_behind_) delivery_.must_close();
        finish(link_keeps_alive_ && !bytes_behind_);
    }
    return true;
}

void Forward::note_moved() {
    const std::uint64_t moved = tap_.take_moved();
    if (moved == 0) return;
    delivery_.note_sent(moved);
    note_arrival();
}

// Reads what has just left. False: it was not what it should be, and the stream has ended.
bool Forward::watch_copy() {
    std::array<char, 4 * limits::buffer_bytes> space;
    for (auto text = tap_.read_copy(space); !text.empty(); text = tap_.read_copy(space))
        if (!watch(text)) return false;
    return true;
}

bool Forward::watch(std::string_view text) {
    std::size_t leftover = text.size();
    auto progress = http::Progress::complete;
    const std::uint64_t events_before = relay().events();
    if (!events_complete_) progress = relay().watch(text, link_->parser, service_.relay, leftover);
    heard_ = service_.loop.now();
    if (relay().events() > events_before) phase_begun_ = heard_;
    events_complete_ = progress == http::Progress::complete;
    bytes_behind_ |= events_complete_ && leftover > 0;
    if (progress != http::Progress::failed) return true;
    const std::string cause = "The backend " + relay().failure(link_->parser);
    const answer::Break kind = relay().failure_kind();
    drop_link(false);
    lose_answer(kind, cause);
    return false;
}

// There are no pipes, or nothing can be copied: what is left of the stream, as it comes, goes
// through buffers. False: that was its end.
bool Forward::receive_events_instead() {
    pipe_refused_ = true;
    pool_->expect_large(false);
    std::array<char, limits::buffer_bytes> space;
    mem::Chain out(service_.loop.nodes());
    for (auto text = tap_.take_back(space); !text.empty(); text = tap_.take_back(space)) {
        if (!watch(text)) return false;
        if (!out.append_copy(service_.loop.buffers(), text)) {
            relay().lose_place();
            drop_link(false);
            place_.cancel();
            break_off(no_memory(), End::unavailable);
            return false;
        }
    }
    tap_.rest();
    delivery_.client().forget_pipe();
    delivery_.client().send(std::move(out));
    if (!events_complete_) return true;
    if (bytes_behind_) delivery_.must_close();
    finish(link_keeps_alive_ && !bytes_behind_);
    return false;
}

}  // namespace sluice::proxy
