#include "client.h"

#include "lane.h"

#include <cstring>

namespace sluice::bench {

Client::Client(io::Loop& loop, Lane& lane, std::uint32_t id)
    : loop_(loop),
      lane_(lane),
      stream_(loop, *this),
      deadline_(this,
                [](void* self) {
                    auto& client = *static_cast<Client*>(self);
                    client.timed_out_ = true;
                    client.loop_.make_ready(client);
                }),
      reader_(lane.tally(), lane.load().stall),
      id_(id) {}

Client::~Client() {
    SLUICE_ASSERT(over());
    loop_.timers().disarm(deadline_);
}

void Client::begin(const Request& request, std::string_view text, Instant from) {
    SLUICE_ASSERT(idle());
    request_ = &request;
    text_ = text;
    from_ = from;
    told_ = failed_ = timed_out_ = false;
    asking_ = true;
    reader_.begin(request.expectation, from);
    loop_.timers().arm(deadline_, loop_.now() + lane_.load().timeout);
    switch (state_) {
        case State::away:
            return connect();
        case State::ready:
            return send();
        default:
            pending_ = true;  // when it is closed
    }
}

void Client::connect() {
    SLUICE_ASSERT(state_ == State::away);
    pending_ = reused_ = false;
    state_ = State::connecting;
    ++lane_.tally().connections;
    stream_.connect(lane_.load().address);
}

void Client::send() {
    state_ = State::working;
    stream_.send(mem::Slice::of_static(text_));
    stream_.flush();
}

void Client::advance() {
    if (state_ == State::closing) return on_closed();
    if (state_ == State::connecting) {
        if (stream_.error() != 0) return fail(Failure::connect, std::strerror(stream_.error()));
        if (timed_out_) return fail(Failure::timeout, "no connection in time");
        if (!stream_.open()) return;
        stream_.start_receiving();
        send();
    }
    if (state_ == State::working) read();
    if (state_ == State::working || state_ == State::ready) {
        if (stream_.error() != 0 || stream_.ended()) return on_broken();
        stream_.flush();
    }
    if (state_ == State::working && timed_out_) fail(Failure::timeout, "no whole answer in time");
}

void Client::read() {
    const Instant now = monotonic_now();
    const std::uint32_t events_before = reader_.events();
    auto state = AnswerReader::State::more;
    while (state == AnswerReader::State::more && !stream_.received().empty()) {
        const mem::Slice slice = stream_.received().pop_front();
        lane_.tally().bytes_in += slice.size();
        state = reader_.read(slice.text(), now);
    }
    if (const auto events = reader_.events() - events_before; events != 0)
        lane_.on_events(*this, events);
    if (state == AnswerReader::State::failed) return fail(reader_.failure(), reader_.what());
    if (state == AnswerReader::State::more) return;
    if (!stream_.received().empty()) return fail(Failure::bad_http, "bytes behind the answer");
    finish();
}

// The peer closed, or reset the connection.
void Client::on_broken() {
    if (state_ == State::ready) return close();
    // A server may close a kept-alive connection just when it is used again.
    if (reused_ && reader_.silent()) {
        ++lane_.tally().reconnects;
        pending_ = true;
        return close();
    }
    if (stream_.error() != 0) return fail(Failure::reset, std::strerror(stream_.error()));
    if (reader_.end(monotonic_now()) == AnswerReader::State::failed)
        return fail(reader_.failure(), reader_.what());
    finish();
}

void Client::finish() {
    asking_ = false;
    lane_.tally().bytes_out += text_.size();
    if (!lane_.load().keep_alive || !reader_.keep_alive() || stream_.ended()) return close();
    reused_ = true;
    told_ = true;
    state_ = State::ready;
    lane_.on_idle(*this, false);
}

void Client::fail(Failure failure, std::string_view what) {
    lane_.tally().count(failure, what);
    failed_ = true;
    asking_ = false;
    close();
}

void Client::close() {
    state_ = State::closing;
    stream_.close();
    loop_.make_ready(*this);
}

void Client::on_closed() {
    if (!stream_.closed()) return;
    state_ = State::away;
    if (stopping_) return;
    if (pending_) return connect();
    if (std::exchange(told_, true)) return;
    lane_.on_idle(*this, failed_);
}

void Client::stop() {
    stopping_ = true;
    pending_ = false;
    if (state_ == State::working) ++lane_.tally().cut;
    if (state_ != State::away && state_ != State::closing) close();
}

}  // namespace sluice::bench
