// Delivery: one client's side of an answer: the head that it gets, what it is told while it waits,
// the begin that is kept from it, and how the answer ends for it.
//
// It does not know where the answer comes from; whoever brings it reads the body through relay()
// and sends what comes out. A streaming client that hears nothing for minutes gives up (Node's
// after 300 s). From `queue.notice_first` on it gets a comment from time to time, through queue,
// load and prefill, until the backend says something. The first one commits the answer to status
// 200. Behind the first word it gets one after each `heartbeat` in which nothing else came. A
// client that does not read gets none: it would find them all at once.
//
//     state      the client has          next
//     none       nothing                 begun, by a backend's head; committed, by ours
//     begun      the answer's own head   ended, whole or told why not
//     committed  a head that was due     the same; a refusal is told in band
//
// Where the answer is recorded for others (answer/recording.h) there is no client on this side, and
// nobody is told anything: each of them has a delivery of its own.
#pragma once

#include "sluice/answer/recording.h"
#include "sluice/answer/relay.h"
#include "sluice/http/writer.h"
#include "sluice/llm/refusal.h"
#include "sluice/net/stream.h"
#include "sluice/proxy/exchange.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::proxy {

class Delivery {
public:
    // A client that takes nothing holds at most this much of its stream.
    static constexpr std::size_t unsent_bytes_max = 32 * limits::KiB;

    Delivery(Service& service, Exchange& exchange, net::Stream& client)
        : Delivery(service, exchange, &client, nullptr) {}
    Delivery(Service& service, Exchange& exchange, answer::Recording& recording)
        : Delivery(service, exchange, nullptr, &recording) {}

    // What is read of the body, and how it is framed for the client.
    answer::Relay& relay() { return relay_; }
    const answer::Relay& relay() const { return relay_; }
    bool is_recorded() const { return recording_ != nullptr; }
    net::Stream& client() {
        SLUICE_ASSERT(client_ != nullptr);
        return *client_;
    }
    // HTTP/1.0 knows no chunks, and a recording no framing.
    int minor() const { return is_recorded() ? 0 : exchange_.client_minor; }
    // Bytes that nobody has taken yet.
    std::size_t unsent() const {
        return client_ != nullptr ? client_->unsent() : recording_->behind();
    }

    // --- the head ---
    // A head is begun, gets its own fields, is framed, and gets what every answer does and its end.
    void begin_head(http::HeadWriter& writer, int status, std::string_view reason);
    void frame_head(http::HeadWriter& writer, http::Framing out, std::uint64_t length);
    // False: no buffer, or it is too long.
    bool send_head(http::HeadWriter& writer);
    // Where Anthropic's clients look for it; a backend may have named it by itself.
    void name_request(http::HeadWriter& writer);
    void keep_request_id(std::string_view id) {
        backends_id_ = std::make_unique<std::string>(id);  // Anthropic's own servers
    }
    // By which an error in a stream names the request, in Anthropic's dialect.
    std::string_view request_id() const;
    // Begins the answer by ourselves, before a backend does. False: not now. `position`: in the
    // line that it stands in; 0: in none.
    bool commit(std::size_t position);
    bool committed() const { return committed_; }
    // The head that is out says that events come.
    bool promised() const { return promised_; }
    // A stream goes on elsewhere.
    void promise() { committed_ = promised_ = true; }

    // --- the body ---
    // To the client; or kept, while the answer has not said anything that another could not.
    void send(mem::Chain&& bytes);
    // What comes next is kept until one of the two below.
    void withhold(Instant now);
    bool withholding() const { return withholding_; }
    std::size_t withheld_bytes() const { return withheld_.size(); }
    void drop_withheld();
    void release_withheld();

    // --- what the client is told ---
    struct Hearing {
        bool open = false;        // something may be told now, or once it is due
        bool has_spoken = false;  // the backend, and the client gets to hear it
    };
    Instant next_notice(const Hearing& hearing) const;
    Duration first_notice() const { return exchange_.model->setting.queue.notice_first; }
    // Without a first notice the answer's begin is the backend's to say.
    bool may_begin() const { return exchange_.answer_begun || first_notice().ns != 0; }
    // Something will be, or was: the next one is due later.
    void note_told(Instant now) { told_ = now; }
    // What it waits with, or that its stream is still there.
    void insert_notice(bool has_spoken, answer::Recording::Wait wait);
    Instant last_sent() const { return sent_at_; }
    // Bytes left by another way.
    void note_sent(std::uint64_t bytes);

    // --- the end ---
    // Tells the client in band why it is broken, where that can be told.
    void break_off(const Error& error, const llm::Refusal* refusal, std::string_view code) {
        break_off(error, refusal, code, relay_.in_band());
    }
    // The same where another relay has read the stream.
    void break_off(const Error& error, const llm::Refusal* refusal, std::string_view code,
                   const answer::InBand& in_band);
    void must_close() { must_close_ = true; }
    // The connection to the client cannot carry another answer.
    bool client_must_close() const { return must_close_; }
    // Although it broke: the client was told.
    bool ended_properly() const { return ended_properly_; }

private:
    Delivery(Service& service, Exchange& exchange, net::Stream* client,
             answer::Recording* recording);

    Instant head_due() const;
    std::string_view notice(bool has_spoken, answer::Recording::Wait wait);
    bool may_end_properly() const;
    std::string last_event(const Error& error, const llm::Refusal* refusal, std::string_view code,
                           const answer::InBand& in_band) const;

    Service& service_;
    Exchange& exchange_;
    net::Stream* client_;           // null: it is recorded
    answer::Recording* recording_;  // null: it is not
    answer::Relay relay_;
    mem::Chain withheld_head_;  // of an answer that has not said anything yet
    mem::Chain withheld_;
    std::unique_ptr<std::string> backends_id_;  // null: the exchange's
    Instant sent_at_;                           // when the client was last sent something
    Instant told_;                              // when the client was last told that it waits
    Instant withheld_at_;                       // since when the begin of an answer is
    bool withholding_ = false;
    bool committed_ = false;
    bool promised_ = false;
    bool must_close_ = false;
    bool ended_properly_ = false;
};

}  // namespace sluice::proxy
