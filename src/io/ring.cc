// The ring on io_uring; with its set-up the only user of liburing.
#include "sluice/io/ring.h"

#include "ring_setup.h"
#include "sluice/base/limits.h"

#include <liburing.h>

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

namespace sluice::io {
namespace {

// Not in every header yet: an idle ring does not count as waiting for I/O (Linux 6.15).
constexpr unsigned enter_no_iowait = 1U << 7;
constexpr unsigned feature_no_iowait = 1U << 17;

// Parts of gathered sends that one turn can queue; past it the queue is submitted in between.
constexpr std::size_t iovecs_a_turn = 4096;

// user_data: tag (8 bits), generation (24), index into the table of operations (32).
enum class Tag : std::uint64_t { operation = 0, ignored = 1, message = 2 };
constexpr std::uint64_t payload_mask = (std::uint64_t{1} << 56) - 1;
constexpr std::uint32_t generation_mask = 0xff'ffff;

constexpr std::uint64_t user_data(Tag tag, std::uint64_t payload) {
    return static_cast<std::uint64_t>(tag) << 56 | payload;
}

}  // namespace

// --- the state behind Ring ------------------------------------------------------------------

struct RingCore {
    explicit RingCore(mem::BufferPool& pool)
        : buffers(pool),
          lent_ids(pool.count()),
          iovecs(iovecs_a_turn),
          messages(submission_entries) {}

    struct Slot {
        Operation* operation = nullptr;
        std::uint32_t generation = 0;
    };

    io_uring_sqe& entry();
    std::uint64_t identify(const Operation& operation) const;
    void begin(Operation& operation, Operation::Kind kind, int fd);
    void end(Operation& operation);
    void submit_accept(Operation& operation);
    enum class Take : std::uint8_t { all, one_buffer };
    void submit_receive(Operation& operation, Take take = Take::all);
    void receive_in_turn(Operation& operation);
    void submit_poll(Operation& operation, Operation::Kind kind, int fd, unsigned events);
    void submit_gathered(Operation& operation, std::span<const iovec> parts, int flags);
    void submit_early();
    void reuse_arrays();
    void lend_buffers();
    void enter(Instant now, Instant deadline);
    void reap();
    std::uint16_t take_back(const io_uring_cqe& cqe);
    void complete(const io_uring_cqe& cqe);
    void complete_receive(Operation& operation, const io_uring_cqe& cqe);
    void complete_accept(Operation& operation, const io_uring_cqe& cqe);
    void deliver(Operation& operation, Completion&& completion);

    mem::BufferPool& buffers;
    io_uring ring{};
    io_uring_buf_ring* buffer_ring = nullptr;
    std::size_t lent = 0;        // buffers the kernel holds
    std::vector<bool> lent_ids;  // which ones

    std::vector<Slot> table;
    std::vector<std::uint32_t> free_slots;
    std::size_t in_flight = 0;

    List<Operation, &Operation::waiting_> starved;  // receives without a buffer, oldest first
    std::vector<Operation*> cancelled;  // starved ones that were cancelled: told in the next turn

    std::vector<iovec> iovecs;  // of this turn's sends: the kernel copies them at submission
    std::size_t iovecs_used = 0;
    std::vector<msghdr> messages;
    std::size_t messages_used = 0;

    void* message_owner = nullptr;
    Ring::MessageHandler message_handler = nullptr;
    RingCounters counters;
};

io_uring_sqe& RingCore::entry() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    if (sqe == nullptr) {
        submit_early();
        sqe = io_uring_get_sqe(&ring);
    }
    SLUICE_ASSERT(sqe != nullptr);
    return *sqe;
}

// A queue is full before the turn's end: what is in it goes to the kernel now.
void RingCore::submit_early() {
    ++counters.extra_submits;
    io_uring_submit(&ring);
    reuse_arrays();
}

// A submission may be short (no memory): what the kernel has not taken still needs its vectors.
void RingCore::reuse_arrays() {
    if (io_uring_sq_ready(&ring) == 0) iovecs_used = messages_used = 0;
}

std::uint64_t RingCore::identify(const Operation& operation) const {
    const Slot& slot = table[operation.slot_];
    return user_data(Tag::operation, std::uint64_t{slot.generation} << 32 | operation.slot_);
}

void RingCore::begin(Operation& operation, Operation::Kind kind, int fd) {
    SLUICE_ASSERT(!operation.in_flight());
    SLUICE_ASSERT(fd >= 0);
    if (free_slots.empty()) {
        free_slots.push_back(static_cast<std::uint32_t>(table.size()));
        table.emplace_back();
    }
    operation.slot_ = free_slots.back();
    free_slots.pop_back();
    SLUICE_ASSERT(table[operation.slot_].operation == nullptr);
    table[operation.slot_].operation = &operation;
    operation.kind_ = kind;
    operation.fd_ = fd;
    operation.cancelled_ = operation.once_ = false;
    ++in_flight;
}

// The generation moves on, so that a completion that comes late for this slot is recognised.
void RingCore::end(Operation& operation) {
    SLUICE_ASSERT(operation.in_flight());
    SLUICE_ASSERT(in_flight > 0);
    Slot& slot = table[operation.slot_];
    SLUICE_ASSERT(slot.operation == &operation);
    // Who waits for a buffer is neither told nor cancelled yet: it has not ended.
    SLUICE_ASSERT(!operation.waiting_.linked());
    slot.operation = nullptr;
    slot.generation = (slot.generation + 1) & generation_mask;
    free_slots.push_back(operation.slot_);
    operation.kind_ = Operation::Kind::idle;
    --in_flight;
}

void RingCore::submit_accept(Operation& operation) {
    SLUICE_ASSERT(operation.kind_ == Operation::Kind::accept && !operation.cancelled_);
    auto& sqe = entry();
    io_uring_prep_multishot_accept(&sqe, operation.fd_, nullptr, nullptr,
                                   SOCK_NONBLOCK | SOCK_CLOEXEC);
    io_uring_sqe_set_data64(&sqe, identify(operation));
}

void RingCore::submit_receive(Operation& operation, Take take) {
    // One that is to end is not armed again: its cancel has passed by.
    SLUICE_ASSERT(operation.kind_ == Operation::Kind::receive && !operation.cancelled_);
    auto& sqe = entry();
    if (operation.once_ || take == Take::one_buffer)
        io_uring_prep_recv(&sqe, operation.fd_, nullptr, 0, 0);
    else
        io_uring_prep_recv_multishot(&sqe, operation.fd_, nullptr, 0, 0);
    sqe.flags |= IOSQE_BUFFER_SELECT;
    sqe.buf_group = buffer_group;
    io_uring_sqe_set_data64(&sqe, identify(operation));
}

// Nobody overtakes those that found no buffer: a peer that sends more than is read would have all
// of them, turn by turn, and others none.
void RingCore::receive_in_turn(Operation& operation) {
    SLUICE_ASSERT(operation.kind_ == Operation::Kind::receive && !operation.cancelled_);
    if (starved.empty())
        submit_receive(operation);
    else
        starved.push_back(operation);
}

void RingCore::submit_poll(Operation& operation, Operation::Kind kind, int fd, unsigned events) {
    begin(operation, kind, fd);
    auto& sqe = entry();
    io_uring_prep_poll_add(&sqe, fd, events);
    io_uring_sqe_set_data64(&sqe, identify(operation));
}

// The kernel copies the message and its vector when the entry is submitted (FEAT_SUBMIT_STABLE), so
// both live in arrays that are used anew after every submission.
void RingCore::submit_gathered(Operation& operation, std::span<const iovec> parts, int flags) {
    SLUICE_ASSERT(parts.size() <= iovecs.size());
    if (iovecs_used + parts.size() > iovecs.size() || messages_used == messages.size())
        submit_early();
    SLUICE_ASSERT(iovecs_used + parts.size() <= iovecs.size() && messages_used < messages.size());
    auto& sqe = entry();
    iovec* vector = iovecs.data() + iovecs_used;
    std::copy(parts.begin(), parts.end(), vector);
    iovecs_used += parts.size();
    msghdr& message = messages[messages_used++];
    message = {};
    message.msg_iov = vector;
    message.msg_iovlen = parts.size();
    io_uring_prep_sendmsg(&sqe, operation.fd_, &message, static_cast<unsigned>(flags));
    io_uring_sqe_set_data64(&sqe, identify(operation));
}

// Fills up what the kernel may write into, published once a turn, and wakes as many starved
// receives as there are new buffers: waking more would only starve them again. Each gets one: a
// multishot would take dozens.
void RingCore::lend_buffers() {
    const int mask = io_uring_buf_ring_mask(limits::buffers_provided);
    int added = 0;
    const std::size_t target = std::min(limits::buffers_provided, lent + buffers.lendable(lent));
    while (lent < target) {
        const auto buffer = buffers.lend();
        io_uring_buf_ring_add(buffer_ring, buffer.data,
                              static_cast<unsigned>(buffers.buffer_bytes()), buffer.id, mask,
                              added++);
        ++lent;
        lent_ids[buffer.id] = true;
    }
    // More would overwrite entries that the kernel has not looked at.
    SLUICE_ASSERT(lent <= limits::buffers_provided);
    if (added > 0) io_uring_buf_ring_advance(buffer_ring, added);
    for (std::size_t woken = 0; woken < lent && !starved.empty(); ++woken)
        submit_receive(starved.pop_front(), Take::one_buffer);
}

// One system call: submits what is queued, runs deferred work, waits.
void RingCore::enter(Instant now, Instant deadline) {
    auto& sq = ring.sq;
    if (sq.sqe_head != sq.sqe_tail) {
        sq.sqe_head = sq.sqe_tail;
        io_uring_smp_store_release(sq.ktail, sq.sqe_tail);
    }
    const unsigned to_submit = sq.sqe_tail - io_uring_smp_load_acquire(sq.khead);

    const bool wait = deadline > now && cancelled.empty() && io_uring_cq_ready(&ring) == 0;
    __kernel_timespec timeout{};
    io_uring_getevents_arg arg{};
    if (wait && deadline != Instant{INT64_MAX}) {
        const Duration left = deadline - now;
        timeout.tv_sec = left.ns / 1'000'000'000;
        timeout.tv_nsec = left.ns % 1'000'000'000;
        arg.ts = reinterpret_cast<std::uint64_t>(&timeout);
    }
    unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    if ((ring.features & feature_no_iowait) != 0) flags |= enter_no_iowait;
    // ETIME, EINTR, EBUSY and EAGAIN all mean: look at what is there and come back.
    const int result = io_uring_enter2(static_cast<unsigned>(ring.ring_fd), to_submit, wait ? 1 : 0,
                                       flags, reinterpret_cast<sigset_t*>(&arg), sizeof(arg));
    SLUICE_ASSERT(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
                  result == -EAGAIN);
    if (io_uring_cq_has_overflow(&ring)) ++counters.overflows;
    reuse_arrays();
    ++counters.turns;
}

void RingCore::reap() {
    io_uring_cqe* cqe = nullptr;
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_for_each_cqe(&ring, head, cqe) {
        complete(*cqe);
        ++seen;
    }
    io_uring_cq_advance(&ring, seen);
    counters.completions += seen;

    std::vector<Operation*> told;
    told.swap(cancelled);
    for (Operation* operation : told) {
        // It is in no list and not in the kernel: nothing else ends it.
        SLUICE_ASSERT(operation->cancelled_ && !operation->waiting_.linked());
        deliver(*operation, {.result = -ECANCELED});
    }
}

void RingCore::complete(const io_uring_cqe& cqe) {
    const auto tag = static_cast<Tag>(cqe.user_data >> 56);
    if (tag == Tag::ignored) return;
    if (tag == Tag::message) {
        SLUICE_ASSERT(message_handler != nullptr);
        message_handler(message_owner, cqe.user_data & payload_mask);
        return;
    }
    const auto index = static_cast<std::uint32_t>(cqe.user_data);
    const auto generation = static_cast<std::uint32_t>(cqe.user_data >> 32) & generation_mask;
    SLUICE_ASSERT(index < table.size());
    Operation* operation = table[index].operation;
    if (operation == nullptr || table[index].generation != generation) {
        ++counters.stale;
        if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
            buffers.give_back(take_back(cqe));
        }
        return;
    }
    switch (operation->kind_) {
        case Operation::Kind::receive:
            return complete_receive(*operation, cqe);
        case Operation::Kind::accept:
            return complete_accept(*operation, cqe);
        default:
            return deliver(*operation, {.result = cqe.res});
    }
}

// The buffer that the kernel chose for this completion is ours again.
std::uint16_t RingCore::take_back(const io_uring_cqe& cqe) {
    const auto id = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    SLUICE_ASSERT(lent > 0);
    SLUICE_ASSERT(lent_ids[id]);
    lent_ids[id] = false;
    --lent;
    return id;
}

void RingCore::complete_receive(Operation& operation, const io_uring_cqe& cqe) {
    Completion completion{.result = cqe.res, .more = (cqe.flags & IORING_CQE_F_MORE) != 0};
    if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
        const auto id = take_back(cqe);
        if (cqe.res > 0)
            completion.slice = buffers.filled(id, static_cast<std::size_t>(cqe.res));
        else
            buffers.give_back(id);
    }
    // Bytes come in a buffer of ours or not at all.
    SLUICE_ASSERT((cqe.res > 0) == !completion.slice.empty());
    if (!completion.more && !operation.cancelled_) {
        if (cqe.res == -ENOBUFS) {
            ++counters.starved;
            starved.push_back(operation);
            return;
        }
        if (cqe.res > 0 &&
            !operation.once_) {  // it was of one buffer, or the kernel ended the multishot
            receive_in_turn(operation);
            completion.more = true;
        }
    }
    if (completion.result == -ENOBUFS) completion.result = -ECANCELED;
    deliver(operation, std::move(completion));
}

void RingCore::complete_accept(Operation& operation, const io_uring_cqe& cqe) {
    Completion completion{.result = cqe.res, .more = (cqe.flags & IORING_CQE_F_MORE) != 0};
    if (!completion.more && !operation.cancelled_) {
        const bool passing = cqe.res == -ECONNABORTED || cqe.res == -EINTR || cqe.res == -EAGAIN;
        if (cqe.res >= 0 || passing) {
            submit_accept(operation);
            completion.more = true;
        }
        if (passing) return;
    }
    deliver(operation, std::move(completion));
}

void RingCore::deliver(Operation& operation, Completion&& completion) {
    if (!completion.more) end(operation);
    operation.handler_(operation.owner_, std::move(completion));
}

// --- Ring -----------------------------------------------------------------------------------

Ring::Ring(std::unique_ptr<RingCore> core) : core_(std::move(core)) {}

Ring::~Ring() {
    SLUICE_ASSERT(core_->in_flight == 0);
    io_uring_free_buf_ring(&core_->ring, core_->buffer_ring, limits::buffers_provided,
                           buffer_group);
    io_uring_queue_exit(&core_->ring);
    for (std::size_t id = 0; id < core_->lent_ids.size(); ++id)
        if (core_->lent_ids[id]) core_->buffers.give_back(static_cast<std::uint16_t>(id));
}

Result<std::unique_ptr<Ring>> Ring::create(mem::BufferPool& buffers) {
    auto core = std::make_unique<RingCore>(buffers);
    if (const int error = set_up(core->ring); error < 0) return setup_error(-error);
    int error = 0;
    core->buffer_ring =
        io_uring_setup_buf_ring(&core->ring, limits::buffers_provided, buffer_group, 0, &error);
    if (core->buffer_ring == nullptr) {
        io_uring_queue_exit(&core->ring);
        return setup_error(-error);
    }
    return std::unique_ptr<Ring>(new Ring(std::move(core)));
}

void Ring::accept(Operation& operation, int listen_fd) {
    core_->begin(operation, Operation::Kind::accept, listen_fd);
    core_->submit_accept(operation);
}

void Ring::connect(Operation& operation, int fd, const sockaddr* address, socklen_t size) {
    SLUICE_ASSERT(address != nullptr);
    SLUICE_ASSERT(size > 0 && size <= sizeof(sockaddr_storage));
    core_->begin(operation, Operation::Kind::connect, fd);
    auto& sqe = core_->entry();
    io_uring_prep_connect(&sqe, fd, address, size);
    io_uring_sqe_set_data64(&sqe, core_->identify(operation));
}

void Ring::receive(Operation& operation, int fd) {
    core_->begin(operation, Operation::Kind::receive, fd);
    core_->receive_in_turn(operation);
}

void Ring::receive_once(Operation& operation, int fd) {
    core_->begin(operation, Operation::Kind::receive, fd);
    operation.once_ = true;
    core_->receive_in_turn(operation);
}

void Ring::wait_readable(Operation& operation, int fd) {
    core_->submit_poll(operation, Operation::Kind::readable, fd, POLLIN | POLLRDHUP);
}

void Ring::wait_writable(Operation& operation, int fd) {
    core_->submit_poll(operation, Operation::Kind::writable, fd, POLLOUT);
}

void Ring::send(Operation& operation, int fd, std::span<const iovec> parts) {
    SLUICE_ASSERT(!parts.empty());
    core_->begin(operation, Operation::Kind::send, fd);
    // WAITALL: the kernel goes on after a short send by itself.
    constexpr int flags = MSG_NOSIGNAL | MSG_WAITALL;
    if (parts.size() == 1) {
        auto& sqe = core_->entry();
        io_uring_prep_send(&sqe, fd, parts[0].iov_base, parts[0].iov_len, flags);
        io_uring_sqe_set_data64(&sqe, core_->identify(operation));
        return;
    }
    core_->submit_gathered(operation, parts, flags);
}

void Ring::cancel(Operation& operation) {
    if (!operation.in_flight() || operation.cancelled_) return;
    operation.cancelled_ = true;
    if (operation.waiting_.linked()) {
        operation.waiting_.unlink();
        core_->cancelled.push_back(&operation);
        return;
    }
    auto& sqe = core_->entry();
    io_uring_prep_cancel64(&sqe, core_->identify(operation), 0);
    io_uring_sqe_set_data64(&sqe, user_data(Tag::ignored, 0));
}

int Ring::fd() const {
    return core_->ring.ring_fd;
}

void Ring::post(int ring_fd, std::uint64_t payload) {
    SLUICE_ASSERT((payload & ~payload_mask) == 0);
    SLUICE_ASSERT(ring_fd >= 0);
    auto& sqe = core_->entry();
    io_uring_prep_msg_ring(&sqe, ring_fd, 0, user_data(Tag::message, payload), 0);
    io_uring_sqe_set_data64(&sqe, user_data(Tag::ignored, 0));
}

void Ring::on_message(void* owner, MessageHandler handler) {
    SLUICE_ASSERT(handler != nullptr);
    core_->message_owner = owner;
    core_->message_handler = handler;
}

void Ring::turn(Instant now, Instant deadline) {
    core_->lend_buffers();
    core_->enter(now, deadline);
    core_->reap();
}

std::size_t Ring::in_flight() const {
    return core_->in_flight;
}
const RingCounters& Ring::counters() const {
    return core_->counters;
}

}  // namespace sluice::io
