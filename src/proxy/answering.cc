#include "answering.h"

#include "flight.h"
#include "forward.h"
#include "replay.h"

#include <memory>
#include <utility>

namespace sluice::proxy {
namespace {

// What an exchange listens to; null: nothing, or what is kept.
std::unique_ptr<answer::Cursor> begin_listening(Service& service, Exchange& exchange) {
    Sharing& sharing = *exchange.sharing;
    SLUICE_ASSERT(sharing.ready());
    const FlightAnswer& answer = sharing.answer();
    if (answer.recording == nullptr) return nullptr;
    auto cursor = std::make_unique<answer::Cursor>(answer.recording, sharing.take_door());
    if (answer.kind != FlightAnswer::Kind::lead) return cursor;
    FlightPlan plan{.key = sharing.key(),
                    .keep = sharing.keeps,
                    .ttl = sharing.question().ttl,
                    .scope = sharing.scope,
                    .scope_name = sharing.scope_name,
                    .batch = sharing.take_batch()};
    if (Flight::begin(service, exchange, std::move(plan), answer.recording) == nullptr)
        return nullptr;
    return cursor;
}

}  // namespace

Answering* begin_answering(Service& service, Exchange& exchange, io::Actor& owner,
                           net::Stream& client, Upload* upload) {
    SLUICE_ASSERT(exchange.model != nullptr && !exchange.answer_begun);
    if (exchange.sharing != nullptr) {
        const bool kept = exchange.sharing->answer().kept != nullptr;
        auto cursor = begin_listening(service, exchange);
        if (cursor != nullptr || kept) {
            Answering* replay =
                service.replays.create(service, exchange, owner, client, std::move(cursor));
            SLUICE_ASSERT(replay != nullptr);  // an exchange has one at most
            exchange.sharing->hand_over();
            return replay;
        }
        exchange.sharing = nullptr;
        exchange.cache.reset();
    }
    return service.forwards.create(service, exchange, owner, client, upload);
}

}  // namespace sluice::proxy
