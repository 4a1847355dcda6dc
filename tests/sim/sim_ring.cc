#include "sim_ring.h"

#include "sluice/base/assert.h"
#include "sluice/base/limits.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::io {
namespace {

constexpr Duration lateness_max = Duration::millis(2);
constexpr int rounds_max = 3;       // completions that one operation may have in a turn
constexpr unsigned slot_bits = 20;  // the low bits of a flight's number say where it stands
constexpr std::uint64_t slot_mask = (std::uint64_t{1} << slot_bits) - 1;

bool can_read(const sim::Endpoint& end) {
    return !end.arrived.empty() || end.end_arrived || end.reading_shut || end.error != 0;
}

}  // namespace

RingCore::RingCore(mem::BufferPool& pool)
    : simulation(sim::Simulation::current()), buffers(pool), ring_fd(simulation.add(*this)) {}

RingCore::~RingCore() {
    SLUICE_ASSERT(in_flight == 0);
    for (const auto& buffer : lent_buffers)
        buffers.give_back(buffer.id);
    simulation.remove(*this);
}

// --- flights --------------------------------------------------------------------------------

RingCore::Flight& RingCore::begin(Operation& operation, Operation::Kind kind, int fd) {
    SLUICE_ASSERT(!operation.in_flight());
    if (free_slots.empty()) {
        free_slots.push_back(static_cast<std::uint32_t>(table.size()));
        table.emplace_back();
        SLUICE_ASSERT(table.size() <= slot_mask);
    }
    operation.slot_ = free_slots.back();
    free_slots.pop_back();
    operation.kind_ = kind;
    operation.fd_ = fd;
    operation.cancelled_ = operation.once_ = false;
    Flight& flight = table[operation.slot_];
    flight = {};
    flight.operation = &operation;
    flight.number = ++numbers << slot_bits | operation.slot_;
    ++in_flight;
    SLUICE_ASSERT(busy(flight) == 0);
    ++busy(flight);
    queue.push_back({.kind = Submission::Kind::start, .number = flight.number});
    return flight;
}

RingCore::Flight* RingCore::find(std::uint64_t number) {
    Flight& flight = table[number & slot_mask];
    return flight.operation != nullptr && flight.number == number ? &flight : nullptr;
}

void RingCore::end(Flight& flight) {
    SLUICE_ASSERT(in_flight > 0);
    --busy(flight);
    free_slots.push_back(flight.operation->slot_);
    flight.operation->kind_ = Operation::Kind::idle;
    flight.operation = nullptr;
    --in_flight;
}

int& RingCore::busy(const Flight& flight) {
    const auto kind = flight.operation->kind_;
    const bool reads = kind == Operation::Kind::accept || kind == Operation::Kind::receive ||
                       kind == Operation::Kind::readable;
    return reads ? socket(flight).receiving : socket(flight).sending;
}

sim::Socket& RingCore::socket(const Flight& flight) {
    return simulation.network().socket(flight.operation->fd_);
}

void RingCore::cancel(Operation& operation) {
    if (!operation.in_flight() || operation.cancelled_) return;
    operation.cancelled_ = true;
    queue.push_back({.kind = Submission::Kind::cancel, .number = table[operation.slot_].number});
}

// --- a turn ---------------------------------------------------------------------------------

void RingCore::turn(Instant now, Instant deadline) {
    ++counters.turns;
    const bool stalls = simulation.happens(simulation.faults().stalls);
    simulation.pass(stalls ? simulation.random_delay(simulation.faults().stall_max) : Duration{});
    found_no_buffer = false;
    lend_buffers();
    submit();
    const bool waits = deadline > now;
    while (!collect() && messages.empty() && !found_no_buffer && waits) {
        if (simulation.now() >= deadline || !simulation.wait(*this, deadline)) break;
    }
    deliver();
}

void RingCore::lend_buffers() {
    const std::size_t lent = lent_buffers.size();
    const std::size_t target = std::min(limits::buffers_provided, lent + buffers.lendable(lent));
    while (lent_buffers.size() < target)
        lent_buffers.push_back(buffers.lend());
    std::size_t woken = 0;
    for (Flight& flight : table) {
        if (woken == lent_buffers.size()) break;
        if (flight.operation == nullptr || !flight.starved) continue;
        flight.starved = false;
        ++woken;
    }
}

void RingCore::submit() {
    for (const Submission& submission : std::exchange(queue, {})) {
        if (submission.kind == Submission::Kind::post) {
            simulation.after({}, [&world = simulation, submission] {
                RingCore* there = world.ring(submission.ring_fd);
                if (there != nullptr) there->hear(submission.payload);
            });
            continue;
        }
        Flight* flight = find(submission.number);
        if (flight == nullptr) continue;
        if (submission.kind == Submission::Kind::start)
            start(*flight);
        else
            ask_to_end(*flight);
    }
}

void RingCore::start(Flight& flight) {
    if (flight.target) simulation.network().connect(flight.operation->fd_, *flight.target);
}

// The end comes now or later, and sometimes the operation still achieves something before.
void RingCore::ask_to_end(Flight& flight) {
    if (flight.over) return;
    flight.last_words = simulation.happens(simulation.faults().target_wins);
    flight.cancel_due = simulation.now() + lateness();
}

// How long a completion takes from here on; an event then, so that time does not pass over it.
Duration RingCore::lateness() {
    if (!simulation.happens(simulation.faults().late_completions)) return {};
    const Duration delay = simulation.random_delay(lateness_max);
    simulation.after(delay, [] {});
    return delay;
}

// --- what completes -------------------------------------------------------------------------

bool RingCore::possible(Flight& flight) {
    const sim::Socket& at = socket(flight);
    const auto* end = at.endpoint.get();
    switch (flight.operation->kind_) {
        case Operation::Kind::accept:
            return !at.waiting.empty();
        case Operation::Kind::connect:
            return at.connected.has_value();
        case Operation::Kind::receive:
            if (end == nullptr || flight.starved) return false;
            return can_read(*end);
        case Operation::Kind::readable:
            return end != nullptr && can_read(*end);
        case Operation::Kind::send:
        case Operation::Kind::writable:
            if (end == nullptr) return false;
            return end->error != 0 || end->other->end_sent || sim::Network::room(*end) > 0;
        case Operation::Kind::idle:
            break;
    }
    return false;
}

std::vector<RingCore::Flight*> RingCore::shuffled() {
    std::vector<Flight*> flights;
    for (Flight& flight : table)
        if (flight.operation != nullptr && !flight.over) flights.push_back(&flight);
    for (std::size_t i = flights.size(); i > 1; --i)
        std::swap(flights[i - 1], flights[simulation.prng().below(i)]);
    return flights;
}

// Rounds over all flights in random order: completions of different operations change places, those
// of one operation do not. True: there is something to deliver.
bool RingCore::collect() {
    const auto flights = shuffled();
    for (int round = 0; round < rounds_max; ++round) {
        for (Flight* flight : flights) {
            if (flight->over) continue;
            if (flight->cancel_due && *flight->cancel_due <= simulation.now()) {
                end_cancelled(*flight);
            } else if (!possible(*flight)) {
                flight->due.reset();
            } else {
                if (!flight->due) flight->due = simulation.now() + lateness();
                if (*flight->due <= simulation.now()) perform(*flight);
            }
        }
    }
    return !collected.empty();
}

void RingCore::perform(Flight& flight) {
    flight.due.reset();
    switch (flight.operation->kind_) {
        case Operation::Kind::accept:
            return perform_accept(flight);
        case Operation::Kind::connect:
            return perform_connect(flight);
        case Operation::Kind::receive:
            return perform_receive(flight);
        case Operation::Kind::send:
            return perform_send(flight);
        case Operation::Kind::readable:
        case Operation::Kind::writable:
            return collect_result(flight, 1);
        case Operation::Kind::idle:
            break;
    }
    SLUICE_ASSERT(false);
}

void RingCore::collect_result(Flight& flight, int result, bool more) {
    collected.push_back({flight.number, result, more, std::nullopt});
    flight.over = !more;
}

void RingCore::perform_accept(Flight& flight) {
    const int fd = simulation.network().accept(flight.operation->fd_);
    collect_result(flight, fd, fd >= 0);
}

void RingCore::perform_connect(Flight& flight) {
    collect_result(flight, *socket(flight).connected);
}

void RingCore::perform_receive(Flight& flight) {
    sim::Endpoint& end = *socket(flight).endpoint;
    if (end.arrived.empty()) return collect_result(flight, -end.error);
    if (lent_buffers.empty() || simulation.happens(simulation.faults().starved)) {
        ++counters.starved;
        flight.starved = true;
        found_no_buffer = true;
        return;
    }
    std::size_t size = std::min(end.arrived.size(), buffers.buffer_bytes());
    if (size > 1 && simulation.happens(simulation.faults().short_receives))
        size = simulation.prng().between(1, size);
    const auto buffer = lent_buffers.front();
    lent_buffers.pop_front();
    std::memcpy(buffer.data, end.arrived.data(), size);
    simulation.network().consume(end, size);
    flight.over = flight.operation->once_;
    collected.push_back({flight.number, static_cast<int>(size), !flight.over, buffer.id});
}

void RingCore::perform_send(Flight& flight) {
    sim::Endpoint& end = *socket(flight).endpoint;
    if (end.error != 0 || end.other->end_sent) {
        const int error = end.error != 0 && simulation.prng().chance(1, 2) ? end.error : EPIPE;
        return collect_result(flight, flight.moved > 0 ? flight.moved : -error);
    }
    std::size_t room = sim::Network::room(end);
    while (room > 0 && !flight.parts.empty()) {
        iovec& part = flight.parts.front();
        const std::size_t size = std::min(room, part.iov_len);
        simulation.network().write(end, {static_cast<const char*>(part.iov_base), size});
        part.iov_base = static_cast<char*>(part.iov_base) + size;
        part.iov_len -= size;
        room -= size;
        flight.moved += static_cast<int>(size);
        if (part.iov_len == 0) flight.parts.erase(flight.parts.begin());
    }
    if (flight.parts.empty() || simulation.happens(simulation.faults().short_sends))
        collect_result(flight, flight.moved);
}

void RingCore::end_cancelled(Flight& flight) {
    const std::size_t before = collected.size();
    if (flight.last_words && possible(flight)) perform(flight);
    if (flight.over) return;
    const bool spoke = collected.size() > before;
    const auto kind = flight.operation->kind_;
    flight.over = true;
    if (kind == Operation::Kind::send)
        return collect_result(flight, flight.moved > 0 ? flight.moved : -ECANCELED);
    // What the target did just now may itself have been the end: the cancel found nothing.
    if (spoke && simulation.prng().chance(1, 2))
        collected.back().more = false;
    else
        collect_result(flight, -ECANCELED);
}

// --- handlers -------------------------------------------------------------------------------

void RingCore::deliver() {
    for (const std::uint64_t payload : std::exchange(messages, {})) {
        SLUICE_ASSERT(message_handler != nullptr);
        message_handler(message_owner, payload);
        ++counters.completions;
    }
    for (const Collected& entry : std::exchange(collected, {})) {
        ++counters.completions;
        Flight* flight = find(entry.number);
        SLUICE_ASSERT(flight != nullptr);
        Operation& operation = *flight->operation;
        Completion completion{.result = entry.result, .more = entry.more};
        if (entry.buffer)
            completion.slice =
                buffers.filled(*entry.buffer, static_cast<std::size_t>(entry.result));
        simulation.note(entry.number << 16 ^ static_cast<std::uint64_t>(entry.result));
        if (!entry.more) end(*flight);
        operation.handler_(operation.owner_, std::move(completion));
    }
}

// --- Ring -----------------------------------------------------------------------------------

Ring::Ring(std::unique_ptr<RingCore> core) : core_(std::move(core)) {}
Ring::~Ring() = default;

Status Ring::probe() {
    return Done{};
}

Result<std::unique_ptr<Ring>> Ring::create(mem::BufferPool& buffers) {
    return std::unique_ptr<Ring>(new Ring(std::make_unique<RingCore>(buffers)));
}

void Ring::accept(Operation& operation, int listen_fd) {
    core_->begin(operation, Operation::Kind::accept, listen_fd);
}

void Ring::connect(Operation& operation, int fd, const sockaddr* address, socklen_t size) {
    sockaddr_storage storage{};
    std::memcpy(&storage, address, size);
    core_->begin(operation, Operation::Kind::connect, fd).target.emplace(storage, size);
}

void Ring::receive(Operation& operation, int fd) {
    core_->begin(operation, Operation::Kind::receive, fd);
}

void Ring::receive_once(Operation& operation, int fd) {
    core_->begin(operation, Operation::Kind::receive, fd);
    operation.once_ = true;
}

void Ring::wait_readable(Operation& operation, int fd) {
    core_->begin(operation, Operation::Kind::readable, fd);
}

void Ring::wait_writable(Operation& operation, int fd) {
    core_->begin(operation, Operation::Kind::writable, fd);
}

void Ring::send(Operation& operation, int fd, std::span<const iovec> parts) {
    SLUICE_ASSERT(!parts.empty());
    core_->begin(operation, Operation::Kind::send, fd).parts.assign(parts.begin(), parts.end());
}

void Ring::cancel(Operation& operation) {
    core_->cancel(operation);
}

int Ring::fd() const {
    return core_->ring_fd;
}

void Ring::post(int ring_fd, std::uint64_t payload) {
    SLUICE_ASSERT(payload >> 56 == 0);
    core_->queue.push_back(
        {.kind = RingCore::Submission::Kind::post, .ring_fd = ring_fd, .payload = payload});
}

void Ring::on_message(void* owner, MessageHandler handler) {
    core_->message_owner = owner;
    core_->message_handler = handler;
}

void Ring::turn(Instant now, Instant deadline) {
    core_->turn(now, deadline);
}

std::size_t Ring::in_flight() const {
    return core_->in_flight;
}
const RingCounters& Ring::counters() const {
    return core_->counters;
}

}  // namespace sluice::io
