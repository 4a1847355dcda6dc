// Connection: one client's connection; reads requests, has them answered one after another.
//
// Every request is read by one strict parser, goes through the pipeline's stages and is answered by
// the gateway itself or through a Forward. Pipelined requests wait in their buffers until the
// answer before them is out. A client that leaves ends its request in every phase.
#pragma once

#include "answering.h"
#include "reading_on.h"
#include "sluice/http/head_reader.h"
#include "sluice/net/stream.h"
#include "sluice/proxy/exchange.h"
#include "sluice/proxy/pipeline.h"
#include "sluice/proxy/service.h"
#include "upload.h"

#include <cstdint>
#include <memory>
#include <string>

namespace sluice::proxy {

class Connection final : public io::Actor, public OpenConnection {
public:
    // Takes over an accepted socket; `client` is its address for logs and X-Forwarded-For.
    // `door` outlives it.
    Connection(Service& service, int fd, std::string client, const Door& door);
    // It is told this whole answer, and not listened to.
    void turn_away(std::string_view answer);

    void advance() override;
    void bury() override;
    void drain() override;
    void cut_off() override;
    void look_again() override { service_.loop.make_ready(*this); }
    void stop_reading_on() override;

private:
    enum class State : std::uint8_t {
        idle,        // between requests
        head,        // part of a head is there
        body,        // reading a request's body
        deciding,    // a stage waits for something
        forwarding,  // a backend is at work
        discarding,  // answered before the body was read; reads the rest of it
        finishing,   // the answer is queued; waits until it is out
        lingering,   // FIN sent; reads on so that the answer is not lost to a reset (RFC 9112 9.6)
        closing,
    };

    void run();
    bool step();
    bool read_head();
    bool read_body();
    bool read_coded_body();
    bool take_coded(CodedBody& coded);
    bool decode_some(CodedBody& coded, std::size_t& left);
    void end_coded_body(const CodedBody& coded);
    bool discard_body();
    bool forward();
    bool finish();
    bool linger();

    void begin_exchange(const http::Head& head);
    void keep_request(const http::Head& head);
    std::string path_begun() const;
    bool run_head_stages(const http::Head& head);
    bool charge_body(std::uint64_t bytes);
    void body_complete();
    bool decide();
    void run_body_stages();
    void wait_for_stage();
    void begin_answer();
    bool prepare_upload(const http::Head& head);
    bool begin_upload();
    void end_upload();
    Instant upload_deadline() const;
    void give_up_upload();
    void end_forward();
    void reply(Reply&& reply);
    void reply_without_buffers();
    void refuse(const Error& error);
    void reply_to_failure();
    void settle(End end);
    void leave(End end);
    void close_gracefully();
    void begin_reading_on();
    void enter(State state);
    void check_state() const;

    bool worth_discarding() const;
    // How often a client is looked after that is not listened to, while a backend works for it.
    static constexpr Duration look_gap = Duration::millis(50);

    bool client_left() const;
    bool client_hung_up() const;
    Instant deadline() const;
    static Error body_too_slow();
    Duration write_stall() const;
    Duration parting() const;
    void on_deadline();
    void watch_deadline();

    Service& service_;
    net::Stream stream_;
    http::Parser parser_{http::Parser::Side::request};
    http::HeadReader head_reader_;
    io::Timer timer_;
    std::string client_;
    const Door& door_;                // that it came through
    policy::ConsumerKey client_key_;  // of its address
    Exchange* exchange_ = nullptr;
    Answering* answering_ = nullptr;
    std::unique_ptr<Upload> upload_;  // a body that is not kept; null: it is, or there is none
    Instant entered_;                 // the state
    Instant body_begun_;
    Instant next_look_;       // for a client that is not listened to
    Instant write_progress_;  // when the client last took bytes
    std::uint64_t sent_before_ = 0;
    ReadingOn reading_on_;
    State state_ = State::idle;
    std::uint8_t stage_ = 0;     // that is next, or waits
    End settle_as_ = End::ok;    // what the answer that is going out amounts to
    bool close_after_ = false;   // no further request on this connection
    bool body_pending_ = false;  // the request's body is not read to its end
    bool more_comes_ = false;    // behind the answer, as far as is known: it was an early one
    bool timer_fired_ = false;
};

}  // namespace sluice::proxy
