#include "sluice/net/stream.h"

#include "sluice/io/socket.h"

#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::net {
namespace {

// Slices that one send gathers. Past it the next send takes over: a socket buffer is full by then.
constexpr std::size_t gathered_max = 64;
// When received slices are packed, see keep().
constexpr std::size_t packed_behind = 4;
constexpr std::size_t packed_bytes_max = 1024;

}  // namespace

std::string error_text(int code) {
    return code == Stream::no_address ? "its name does not resolve" : std::strerror(code);
}

Stream::Stream(io::Loop& loop, io::Actor& owner)
    : loop_(loop),
      owner_(&owner),
      receive_(this,
               [](void* self, io::Completion&& completion) {
                   static_cast<Stream*>(self)->on_receive(std::move(completion));
               }),
      send_(this,
            [](void* self, io::Completion&& completion) {
                auto& stream = *static_cast<Stream*>(self);
                if (stream.connect_in_flight_)
                    stream.on_connect(std::move(completion));
                else
                    stream.on_send(std::move(completion));
            }),
      received_(loop.nodes()),
      outbound_(loop.nodes()) {}

Stream::~Stream() {
    SLUICE_ASSERT(state_ == State::closed);
}

// --- life -----------------------------------------------------------------------------------

void Stream::attach(int fd) {
    SLUICE_ASSERT(state_ == State::closed);
    SLUICE_ASSERT(fd >= 0);
    begin(State::open, fd);
}

void Stream::begin(State state, int fd) {
    // One that is used anew has nothing left of what it was before.
    SLUICE_ASSERT(received_.empty() && outbound_.empty());
    SLUICE_ASSERT(!receive_.in_flight() && !send_.in_flight());
    state_ = state;
    fd_ = fd;
    error_ = receive_error_ = 0;
    ended_ = receive_wanted_ = finish_wanted_ = finished_sending_ = resets_ = false;
    bytes_received_ = bytes_sent_ = in_pipe_ = 0;
}

void Stream::connect(const Address& address) {
    SLUICE_ASSERT(state_ == State::closed);
    const bool known = address.family() != AF_UNSPEC;
    const int fd = known ? io::open_stream(address.family()) : -no_address;
    begin(State::connecting, fd);
    // No descriptor is the same to the owner as a connect that failed.
    if (fd < 0) return record_receive_error(-fd);
    connect_in_flight_ = true;
    loop_.ring().connect(send_, fd_, address.raw(), address.size());
}

void Stream::on_connect(io::Completion&& completion) {
    connect_in_flight_ = false;
    if (state_ == State::closing) return join();
    SLUICE_ASSERT(state_ == State::connecting);
    SLUICE_ASSERT(!receive_.in_flight() && bytes_sent_ == 0);
    if (completion.result < 0) return record_receive_error(-completion.result);
    state_ = State::open;
    loop_.make_ready(*owner_);
}

void Stream::record_error(int code) {
    SLUICE_ASSERT(code > 0);
    if (error_ == 0) error_ = code;
    loop_.make_ready(*owner_);
}

void Stream::record_receive_error(int code) {
    if (receive_error_ == 0) receive_error_ = code;
    record_error(code);
}

void Stream::close() {
    if (state_ == State::closed || state_ == State::closing) return;
    state_ = State::closing;
    received_.clear();
    // No FIN goes out, and the operations do not end, while they hold the socket: shut it down and
    // cancel, then wait for their last completions.
    if (receive_.in_flight()) loop_.ring().cancel(receive_);
    if (send_.in_flight()) {
        loop_.ring().cancel(send_);
        io::shut_down(fd_);
    }
    join();
}

void Stream::join() {
    SLUICE_ASSERT(state_ == State::closing);
    if (receive_.in_flight() || send_.in_flight()) return;
    SLUICE_ASSERT(!connect_in_flight_);
    outbound_.clear();
    received_.clear();
    if (fd_ >= 0 && resets_)
        io::reset_socket(std::exchange(fd_, -1));
    else if (fd_ >= 0)
        io::close_socket(std::exchange(fd_, -1));
    state_ = State::closed;
    loop_.make_ready(*owner_);
}

// --- receiving ------------------------------------------------------------------------------

void Stream::start_receiving() {
    SLUICE_ASSERT(state_ == State::open);
    receive_wanted_ = true;
    if (awaits_readable_)
        loop_.ring().cancel(receive_);
    else
        receive_on();
}

void Stream::receive_on() {
    if (receive_.in_flight() || ended_ || receive_error_ != 0) return;
    loop_.ring().receive(receive_, fd_);
}

void Stream::receive_once() {
    SLUICE_ASSERT(state_ == State::open);
    if (receive_.in_flight() || ended_ || receive_error_ != 0) return;
    receive_wanted_ = false;
    loop_.ring().receive_once(receive_, fd_);
}

void Stream::hold_receiving() {
    if (!receive_wanted_) return;
    receive_wanted_ = false;
    if (receive_.in_flight()) loop_.ring().cancel(receive_);
}

void Stream::on_receive(io::Completion&& completion) {
    const bool awaited = std::exchange(awaits_readable_, false);
    if (state_ == State::closing) {
        if (!completion.more) join();
        return;
    }
    SLUICE_ASSERT(state_ == State::open);
    if (awaited) {
        SLUICE_ASSERT(!completion.more && completion.slice.empty());
        if (receive_wanted_) receive_on();
        return loop_.make_ready(*owner_);
    }
    if (completion.result > 0) {
        SLUICE_ASSERT(!ended_);
        bytes_received_ += static_cast<std::uint64_t>(completion.result);
        keep(std::move(completion.slice));
    } else if (completion.result == 0) {
        ended_ = true;
    } else if (completion.result != -ECANCELED) {
        return record_receive_error(-completion.result);
    }
    // Held and wanted again before the cancel came through.
    if (!completion.more && receive_wanted_ && !ended_) loop_.ring().receive(receive_, fd_);
    loop_.make_ready(*owner_);
}

// A peer that sends a few bytes at a time must not hold a buffer for each of them while nobody
// reads: behind some slices that wait already, small ones are packed.
void Stream::keep(mem::Slice slice) {
    const bool packed = received_.slices() >= packed_behind && slice.size() < packed_bytes_max &&
                        received_.append_copy(loop_.buffers(), slice.text());
    if (!packed) received_.append(std::move(slice));
}

// --- sending --------------------------------------------------------------------------------

void Stream::send(mem::Chain&& chain) {
    SLUICE_ASSERT(!finish_wanted_);
    if (state_ == State::open || state_ == State::connecting) outbound_.append(std::move(chain));
}

void Stream::send(mem::Slice slice) {
    SLUICE_ASSERT(!finish_wanted_);
    if (state_ == State::open || state_ == State::connecting) outbound_.append(std::move(slice));
}

void Stream::send_compact(mem::Chain&& chain) {
    SLUICE_ASSERT(!finish_wanted_);
    if (state_ == State::open) outbound_.append_compact(loop_.buffers(), std::move(chain));
}

void Stream::flush() {
    if (state_ != State::open || send_.in_flight() || error_ != 0) return;
    if (outbound_.empty()) {
        if (finish_wanted_ && !finished_sending_) {
            io::shut_down_sending(fd_);
            finished_sending_ = true;
        }
        return;
    }
    std::array<iovec, gathered_max> parts;
    std::size_t count = 0;
    outbound_.for_each([&](const mem::Slice& slice) {
        parts[count++] = {const_cast<char*>(slice.data()), slice.size()};
        return count < parts.size();
    });
    loop_.ring().send(send_, fd_, {parts.data(), count});
}

void Stream::on_send(io::Completion&& completion) {
    SLUICE_ASSERT(!completion.more);
    const bool awaited = std::exchange(awaits_writable_, false);
    if (state_ == State::closing) return join();
    if (awaited) return loop_.make_ready(*owner_);
    if (completion.result < 0) return record_error(-completion.result);
    SLUICE_ASSERT(state_ == State::open);
    bytes_sent_ += static_cast<std::uint64_t>(completion.result);
    outbound_.consume(static_cast<std::size_t>(completion.result));
    loop_.make_ready(*owner_);
}

// --- past user space ------------------------------------------------------------------------

std::ptrdiff_t Stream::fill(io::Pipe& pipe, std::size_t most) {
    SLUICE_ASSERT(state_ == State::open);
    SLUICE_ASSERT(!receiving());
    const std::ptrdiff_t moved = pipe.fill(fd_, most);
    if (moved > 0)
        bytes_received_ += static_cast<std::uint64_t>(moved);
    else if (moved == 0)
        ended_ = true;
    else if (moved == -EAGAIN)
        await_readable();
    else
        record_receive_error(static_cast<int>(-moved));
    return moved;
}

std::ptrdiff_t Stream::drain(io::Pipe& pipe, std::size_t most) {
    SLUICE_ASSERT(state_ == State::open);
    SLUICE_ASSERT(outbound_.empty());
    const std::ptrdiff_t moved = pipe.drain(fd_, most);
    in_pipe_ = pipe.size();
    if (moved > 0)
        bytes_sent_ += static_cast<std::uint64_t>(moved);
    else if (moved == -EAGAIN)
        await_writable();
    else
        record_error(static_cast<int>(-moved));
    return moved;
}

void Stream::await_readable() {
    SLUICE_ASSERT(!receiving());
    if (receive_.in_flight()) return;
    awaits_readable_ = true;
    loop_.ring().wait_readable(receive_, fd_);
}

void Stream::await_writable() {
    if (send_.in_flight()) return;
    awaits_writable_ = true;
    loop_.ring().wait_writable(send_, fd_);
}

void Stream::finish_sending() {
    finish_wanted_ = true;
}

}  // namespace sluice::net
