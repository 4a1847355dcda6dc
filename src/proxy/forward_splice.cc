// The large bodies of a forward: bytes that nobody has to read leave past user space.
#include "forward.h"

#include <algorithm>
#include <utility>

namespace sluice::proxy {

// Where the last answer was large, so may this one be: only what has to be seen is received, or
// most of a body would be in buffers before it is known to be large.
void Forward::listen() {
    if (pool_->expects_large())
        link_->stream.receive_once();
    else
        link_->stream.start_receiving();
}

// Bytes of the answer's body have come.
void Forward::note_arrival() {
    if (exchange_.first_byte == Instant{}) {
        exchange_.first_byte = service_.loop.now();
        place_.first_byte();
    } else if (event_stream_) {
        service_.statistics.between_tokens.observe(service_.loop.now() - phase_begun_);
    }
}

// What the client has not taken is lost.
void Forward::empty_pipes() {
    if (!run_.active() && !tap_.active()) return;
    if (!tap_.empty()) relay().lose_place();
    run_.end();
    tap_.end();
    delivery_.client().forget_pipe();
}

// True: a run is under way, or everything is over; the backend is not received from here.
bool Forward::splice_body() {
    if (event_stream_) return splice_events();
    if (phase_ != Phase::relaying) return phase_ == Phase::finished;
    if (delivery_.withholding()) return false;
    if (!run_.active() && !begin_run()) return false;
    net::Stream& from = link_->stream;
    // What was on its way into buffers is relayed from there, and leaves first.
    if (from.receiving()) return true;
    if (!run_.has_length() && !measure_run()) return link_ == nullptr;
    if (!run_.moves() && delivery_.unsent() > 0) return true;

    const bool was_blocked = delivery_.unsent() > 0;
    const auto progress = run_.move(from, delivery_.client());
    if (was_blocked && delivery_.unsent() == 0) note_progress();  // the silence was ours
    if (const std::uint64_t moved = run_.take_moved(); moved > 0) {
        delivery_.note_sent(moved);
        note_arrival();
        note_progress();
    }
    if (progress == answer::SpliceRun::Progress::goes_on) service_.loop.make_ready(owner_);
    if (progress == answer::SpliceRun::Progress::complete) end_run();
    return true;
}

// False: this body, or what is left of it, stays in its lane.
bool Forward::begin_run() {
    SLUICE_ASSERT(!event_stream_);
    answer::LaneFacts facts{.mode = relay_mode(),
                            .in = relay().plan().in,
                            .out = relay().plan().out,
                            .bytes_ahead = opaque_bytes(),
                            .bytes_passed = exchange_.bytes_out,
                            .pipe_refused = pipe_refused_};
    auto choice = answer::choose_lane(facts);
    if (choice.lane == answer::Lane::splice && !run_.begin()) {
        pipe_refused_ = facts.pipe_refused = true;
        pool_->expect_large(false);
        choice = answer::choose_lane(facts);
    }
    // The log names the splice lane where any part of a body took it.
    if (!spliced_) exchange_.lane = choice;
    if (choice.lane != answer::Lane::splice) return false;
    spliced_ = true;
    link_->stream.hold_receiving();
    return true;
}

// Bytes that are certain to come, but for those at the end that have to come through a buffer: the
// end of a document, and of a chunk the last byte, where the framing goes on. Where the end is not
// known none of a document can be spared.
std::uint64_t Forward::opaque_bytes() const {
    const bool ends_anywhere = relay().plan().in == http::Framing::until_close;
    if (ends_anywhere && relay().tail_bytes() > 0) return 0;
    const std::uint64_t ahead = link_->parser.opaque_bytes();
    const std::uint64_t least = relay().plan().in == http::Framing::chunked ? 1 : 0;
    return ahead - std::min(ahead, std::max<std::uint64_t>(least, relay().tail_bytes()));
}

// Nothing is on its way into buffers any more, so what is left for the run is known. False: it is
// not worth one.
bool Forward::measure_run() {
    const std::uint64_t bytes = opaque_bytes();
    if (bytes < answer::spliced_bytes_min(service_.settings.relay)) {
        run_.end();
        held_back_ = false;
        listen();
        return false;
    }
    mem::Chain out(service_.loop.nodes());
    if (!relay().begin_run(bytes, service_.loop.buffers(), out)) {
        drop_link(false);
        place_.cancel();
        break_off(no_memory(), End::unavailable);
        return false;
    }
    run_.set_length(bytes);
    delivery_.send(std::move(out));
    return true;
}

void Forward::end_run() {
    const auto progress = link_->parser.skip(run_.length());
    run_.end();
    mem::Chain out(service_.loop.nodes());
    relay().end_run(out);
    delivery_.send(std::move(out));
    if (progress == http::Progress::complete) return finish(link_keeps_alive_);
    held_back_ = false;
    listen();
}

}  // namespace sluice::proxy
