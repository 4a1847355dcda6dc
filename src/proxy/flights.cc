#include "sluice/proxy/flights.h"

#include "flight.h"
#include "sluice/base/limits.h"

#include <algorithm>
#include <utility>

namespace sluice::proxy {
namespace {

using Kind = FlightMessage::Kind;

// What is written of an answer is kept up to that, for whoever comes late.
constexpr std::size_t recording_bytes_max = 16 * limits::MiB;

// How long a kept answer is there behind its time, for clients that say `max-stale`.
constexpr Duration kept_stale = Duration::seconds(3600);

FlightAnswer lead(std::shared_ptr<answer::Recording> recording) {
    auto door = recording->door();
    return {.kind = FlightAnswer::Kind::lead,
            .recording = std::move(recording),
            .door = std::move(door)};
}

}  // namespace

Flights::Flights(io::Loop& loop, std::uint64_t seed)
    : loop_(loop),
      seed_(seed),
      patience_(this, [](void* self) { static_cast<Flights*>(self)->give_up_looks(); }),
      clear_again_(this, [](void* self) { static_cast<Flights*>(self)->ask_to_clear(); }) {}

Flights::~Flights() {
    loop_.timers().disarm(patience_);
    loop_.timers().disarm(clear_again_);
    SLUICE_ASSERT(listeners_.empty() && flights_.empty());
}

std::size_t Flights::KeyHash::operator()(const FlightKey& key) const {
    const std::uint64_t form = (key.streamed ? 1U : 0U) + (key.with_usage ? 2U : 0U);
    return static_cast<std::size_t>(cache::mix_key(key.key, seed) + form);
}

void Flights::join(std::uint16_t shard, std::uint16_t shards, Peers& peers) {
    SLUICE_ASSERT(shard < shards && shards <= 64);
    shard_ = shard;
    shards_ = shards;
    if (shards > 1) peers_ = &peers;
}

void Flights::keep_answers(std::uint64_t bytes) {
    store_ = std::make_unique<cache::Store>(cache::StoreBounds{.bytes = bytes, .stale = kept_stale},
                                            seed_);
}

std::uint16_t Flights::home_of(const cache::Key& key) const {
    return static_cast<std::uint16_t>(key.hash() % shards_);
}

void Flights::send(std::uint16_t shard, Kind kind, const FlightKey& key,
                   std::shared_ptr<answer::Recording> recording) {
    SLUICE_ASSERT(peers_ != nullptr && shard != shard_);
    auto message = std::make_unique<FlightMessage>();
    message->kind = kind;
    message->from = shard_;
    message->question.key = key;
    message->recording = std::move(recording);
    peers_->send(shard, std::move(message));
}

// --- a request ------------------------------------------------------------------------------

std::optional<FlightAnswer> Flights::ask(const FlightQuestion& question, FlightAsker& asker,
                                         std::uint64_t& ticket) {
    // What nobody else may have and nothing may be kept of needs no home.
    if (!question.joins && !question.reads && !question.directives.only_if_cached)
        return lead(std::make_shared<answer::Recording>(recording_bytes_max, false));
    const std::uint16_t home = home_of(question.key);
    const bool here = home == shard_;
    if (here && !ask_disk(question, shard_, last_ticket_ + 1)) return decide(question, shard_);
    ticket = ++last_ticket_;
    asked_.emplace(ticket, Asked{&asker, question.key});
    if (here) return std::nullopt;
    auto message = std::make_unique<FlightMessage>();
    message->kind = Kind::ask;
    message->from = shard_;
    message->ticket = ticket;
    message->question = question;
    peers_->send(home, std::move(message));
    return std::nullopt;
}

void Flights::forget(std::uint64_t ticket) {
    const auto found = asked_.find(ticket);
    SLUICE_ASSERT(found != asked_.end());
    found->second.asker = nullptr;
}

// At the home of the key.
FlightAnswer Flights::decide(const FlightQuestion& question, std::uint16_t from) {
    SLUICE_ASSERT(home_of(question.key) == shard_);
    if (auto kept = look_up(question)) return std::move(*kept);
    if (question.directives.only_if_cached) return {.kind = FlightAnswer::Kind::refused};
    if (!question.joins)
        return lead(std::make_shared<answer::Recording>(recording_bytes_max, false));
    Home& home = homes_[question.key];
    if (home.recording == nullptr) {
        home.recording = std::make_shared<answer::Recording>(recording_bytes_max);
        home.door = home.recording->door();
        home.shard = from;
        home.listeners = 1;
        return lead(home.recording);
    }
    if (!home.door) return {};
    ++home.listeners;
    return {.kind = FlightAnswer::Kind::join, .recording = home.recording, .door = home.door};
}

std::optional<FlightAnswer> Flights::look_up(const FlightQuestion& question) {
    if (!question.reads || store_ == nullptr) return std::nullopt;
    // A message comes before the turn has its time, and the last one may be long ago.
    auto found = store_->find(question.key.key, monotonic_now(), question.directives);
    if (!found) return std::nullopt;
    const bool stale = found.age >= found.ttl;
    return FlightAnswer{.kind = stale ? FlightAnswer::Kind::stale : FlightAnswer::Kind::hit,
                        .recording = nullptr,
                        .door = {},
                        .kept = std::move(found.answer),
                        .age = found.age};
}

void Flights::listen(Listener& listener, const std::shared_ptr<answer::Recording>& recording) {
    recording->add_shard(shard_);
    listeners_.try_emplace(recording.get()).first->second.push_back(listener);
}

void Flights::leave(Listener& listener, const FlightKey& key,
                    const std::shared_ptr<answer::Recording>& recording) {
    listener.listener_hook.unlink();
    const auto found = listeners_.find(recording.get());
    SLUICE_ASSERT(found != listeners_.end());
    if (found->second.empty()) listeners_.erase(found);
    if (!recording->is_shared()) return unwanted(*recording);
    if (home_of(key) == shard_) return left(key, recording);
    send(home_of(key), Kind::left, key, recording);
}

// What nobody waits for any more.
void Flights::give_back(const FlightKey& key, FlightAnswer&& answer) {
    using enum FlightAnswer::Kind;
    const auto recording = std::move(answer.recording);
    const auto door = std::move(answer.door);  // gone before what it leads to
    if (recording == nullptr || !recording->is_shared()) return;
    const bool here = home_of(key) == shard_;
    if (answer.kind == lead) {
        // Who was told to join meanwhile would wait for ever.
        recording->end({.end = End::unavailable,
                        .error = {Source::gateway, Retry::yes, 503,
                                  "The request whose answer this one was to share was given up "
                                  "before a backend was asked. Send it again."}});
        progress(recording);
    }
    if (answer.kind == lead && here) return ended(key, recording, nullptr, {}, {});
    if (answer.kind == lead) return send(home_of(key), Kind::over, key, recording);
    if (here) return left(key, recording);
    send(home_of(key), Kind::left, key, recording);
}

void Flights::left(const FlightKey& key, const std::shared_ptr<answer::Recording>& recording) {
    const auto found = homes_.find(key);
    if (found == homes_.end() || found->second.recording != recording) return;  // it is over
    SLUICE_ASSERT(found->second.listeners > 0);
    if (--found->second.listeners > 0) return;
    const std::uint16_t shard = found->second.shard;
    homes_.erase(found);
    if (shard == shard_) return unwanted(*recording);
    send(shard, Kind::unwanted, key, recording);
}

// --- a flight -------------------------------------------------------------------------------

void Flights::begun(Flight& flight) {
    const bool added = flights_.emplace(&flight.recording(), &flight).second;
    SLUICE_ASSERT(added);
}

void Flights::progress(const std::shared_ptr<answer::Recording>& recording) {
    for (std::uint64_t untold = recording->take_untold(); untold != 0; untold &= untold - 1) {
        const auto shard = static_cast<std::uint16_t>(__builtin_ctzll(untold));
        if (shard != shard_) {
            send(shard, Kind::progress, {}, recording);
            continue;
        }
        recording->note_look(shard_);
        wake(*recording);
    }
}

void Flights::shut(const FlightKey& key, const std::shared_ptr<answer::Recording>& recording) {
    if (!recording->is_shared()) return;
    if (home_of(key) != shard_) return send(home_of(key), Kind::shut, key, recording);
    const auto found = homes_.find(key);
    if (found != homes_.end() && found->second.recording == recording) found->second.door = {};
}

void Flights::over(Flight& flight, const FlightKey& key,
                   const std::shared_ptr<answer::Recording>& recording,
                   std::shared_ptr<const cache::Answer> kept, Duration ttl, Instant since) {
    const auto found = flights_.find(&flight.recording());
    SLUICE_ASSERT(found != flights_.end());
    flights_.erase(found);
    progress(recording);
    if (!recording->is_shared() && kept == nullptr) return;
    if (home_of(key) == shard_) return ended(key, recording, std::move(kept), ttl, since);
    auto message = std::make_unique<FlightMessage>();
    message->kind = Kind::over;
    message->from = shard_;
    message->question.key = key;
    message->question.ttl = ttl;
    message->since = since;
    message->recording = recording;
    message->kept = std::move(kept);
    peers_->send(home_of(key), std::move(message));
}

void Flights::ended(const FlightKey& key, const std::shared_ptr<answer::Recording>& recording,
                    std::shared_ptr<const cache::Answer> kept, Duration ttl, Instant since) {
    const auto found = homes_.find(key);
    if (found != homes_.end() && found->second.recording == recording) homes_.erase(found);
    if (kept == nullptr || store_ == nullptr || since <= purged_at_) return;
    const auto stored = store_->insert(key.key, kept, monotonic_now(), ttl);
    if (disk_ == nullptr) return;
    if (stored == cache::Stored::stored || stored == cache::Stored::replaced)
        disk_->put(key.key, std::move(kept), wall_now(), ttl);
}

void Flights::unwanted(const answer::Recording& recording) {
    const auto found = flights_.find(&recording);
    if (found != flights_.end()) found->second->end_unwanted();
}

void Flights::wake(const answer::Recording& recording) {
    const auto found = listeners_.find(&recording);
    if (found == listeners_.end()) return;
    found->second.for_each([](Listener& listener) { listener.hear(); });
}

void Flights::cut_off() {
    for (const auto& [recording, flight] : flights_)
        flight->cut_off();
}

// --- other shards ---------------------------------------------------------------------------

void Flights::told(std::uint64_t ticket, FlightAnswer&& answer) {
    const auto found = asked_.find(ticket);
    SLUICE_ASSERT(found != asked_.end());
    const Asked asked = found->second;
    asked_.erase(found);
    if (asked.asker == nullptr) return give_back(asked.key, std::move(answer));
    asked.asker->told(std::move(answer));
}

void Flights::tell(std::uint16_t shard, std::uint64_t ticket, FlightAnswer&& answer) {
    if (shard == shard_) return told(ticket, std::move(answer));
    auto message = std::make_unique<FlightMessage>();
    message->kind = Kind::told;
    message->from = shard_;
    message->ticket = ticket;
    message->answer = std::move(answer);
    peers_->send(shard, std::move(message));
}

void Flights::receive(FlightMessage&& message) {
    if (closed_) return;
    const FlightKey& key = message.question.key;
    switch (message.kind) {
        case Kind::ask:
            if (ask_disk(message.question, message.from, message.ticket)) return;
            return tell(message.from, message.ticket, decide(message.question, message.from));
        case Kind::told:
            return told(message.ticket, std::move(message.answer));
        case Kind::found:
            return found(message.ticket, std::move(message.on_disk));
        case Kind::left:
            return left(key, message.recording);
        case Kind::unwanted:
            return unwanted(*message.recording);
        case Kind::progress:
            message.recording->note_look(shard_);
            return wake(*message.recording);
        case Kind::shut:
            return shut(key, message.recording);
        case Kind::over:
            return ended(key, message.recording, std::move(message.kept), message.question.ttl,
                         message.since);
        case Kind::purge:
            return purge_here(message.purge, message.since, message.from, message.ticket);
        case Kind::purged:
            return purged(message.ticket, message.answer.purged);
        case Kind::cleared:
            return cleared(message.ticket, message.answer.purged.disk);
        case Kind::look:
            return look_for(std::move(message));
        case Kind::seen:
            return seen(std::move(message));
        case Kind::keep:
            return keep_here(std::move(message.items->kept), message.question.ttl, message.since);
    }
}

}  // namespace sluice::proxy
