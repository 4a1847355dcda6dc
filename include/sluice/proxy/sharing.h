// Sharing: what an exchange has to do with the answers that others get.
//
// Only exchanges have one whose answer may be shared: see stages/share.cc. It holds what the home
// of its key has said until a Replay takes that over, and gives it back where none does.
//
// A batch of embeddings is looked for item by item first. Where all items are kept its document is
// the answer; else the home of the whole request is asked as for any other, and whoever leads asks
// for the rest.
#pragma once

#include "sluice/cache/answer.h"
#include "sluice/cache/directives.h"
#include "sluice/cache/embeddings.h"
#include "sluice/llm/endpoints.h"
#include "sluice/proxy/flights.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::proxy {

class Sharing final : public FlightAsker, public ItemsAsker {
public:
    Sharing(Flights& flights, io::Loop& loop) : flights_(flights), loop_(loop) {}
    ~Sharing();

    void ask(FlightQuestion&& question);
    // Instead: which answers are to go.
    void purge(const state::Purge& what) { flights_.purge(what, *this, ticket_); }
    // The same for a batch.
    void ask(FlightQuestion&& question, cache::EmbeddingBatch&& batch);
    bool ready() const { return ready_; }
    void told(FlightAnswer&& answer) override;
    void seen(std::vector<cache::Found>&& found) override;

    const FlightKey& key() const { return question_.key; }
    const FlightQuestion& question() const { return question_; }
    const FlightAnswer& answer() const { return answer_; }
    // To be gone through once: held on to, it would keep all of the recording.
    answer::Recording::Door take_door() { return std::exchange(answer_.door, {}); }
    // What whoever leads asks for less by; null: it is no batch. With what it knows of its tokens.
    std::unique_ptr<cache::EmbeddingBatch> take_batch() { return std::move(batch_); }
    bool knows_some() const { return knows_some_; }
    std::uint64_t known_tokens() const { return known_tokens_; }
    // Somebody listens or gives it from now on, and will leave it by himself.
    void hand_over() { handed_over_ = true; }

    // Behind `hit` and `stale`: puts the answer into the form that the request asks for. False: it
    // has none, and another has to be made.
    bool fit(const llm::Endpoint& endpoint, bool streamed, bool with_usage);
    // Asks once more, for an answer that is not kept.
    void ask_anew();
    std::string_view body() const { return body_; }
    std::string_view content_type() const { return content_type_; }
    bool is_stream() const { return stream_; }
    sse::Form form() const { return form_; }

    io::Actor* waiter = nullptr;  // made ready with it
    cache::ScopeKind scope = cache::ScopeKind::consumer;
    std::string scope_name;
    bool keeps = false;  // the answer is to be kept

private:
    void ask_home();
    void decide_batch(std::vector<cache::Found>&& found);
    bool put_together(Duration oldest, bool stale);

    Flights& flights_;
    io::Loop& loop_;
    FlightQuestion question_;
    FlightAnswer answer_;
    std::uint64_t ticket_ = 0;  // 0: it waits for nothing of the home
    std::uint64_t look_ = 0;    // 0: it waits for no items
    bool ready_ = false;
    bool handed_over_ = false;
    // --- of a batch ---
    std::unique_ptr<cache::EmbeddingBatch> batch_;  // few requests are one
    bool knows_some_ = false;
    std::uint64_t known_tokens_ = 0;
    // --- of a kept answer ---
    std::string converted_;
    std::string_view body_;  // in that, or in the answer
    std::string_view content_type_;
    bool stream_ = false;
    sse::Form form_ = sse::Form::event_stream;
};

}  // namespace sluice::proxy
