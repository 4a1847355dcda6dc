// Client: one connection of the load: sends a request, reads its answer, and asks for the next.
#pragma once

#include "answer_reader.h"
#include "sluice/io/loop.h"
#include "sluice/net/stream.h"
#include "workload.h"

#include <cstdint>
#include <string>

namespace sluice::bench {

class Lane;

class Client final : public io::Actor {
public:
    Client(io::Loop& loop, Lane& lane, std::uint32_t id);
    ~Client();

    // Sends `text` (which must live until it is answered), over a new connection if there is none.
    // Its times count from `from`. Only while idle().
    void begin(const Request& request, std::string_view text, Instant from);
    bool idle() const {
        return !pending_ && state_ != State::connecting && state_ != State::working;
    }
    std::uint32_t id() const { return id_; }
    // A request is under way: neither answered nor failed. Its times count from from().
    bool asking() const { return asking_; }
    Instant from() const { return from_; }

    // Gives up what is going on; over() some turns later.
    void stop();
    bool over() const { return state_ == State::away; }

    // Room for a request's text that is this client's own.
    std::string own_text;

    void advance() override;
    void bury() override {}

private:
    enum class State : std::uint8_t {
        away,  // no connection
        connecting,
        ready,    // connected, nothing asked
        working,  // waits for an answer
        closing,
    };

    void connect();
    void send();
    void read();
    void on_broken();
    void finish();
    void fail(Failure failure, std::string_view what);
    void close();
    void on_closed();

    io::Loop& loop_;
    Lane& lane_;
    net::Stream stream_;
    io::Timer deadline_;
    AnswerReader reader_;
    const Request* request_ = nullptr;
    std::string_view text_;
    Instant from_;
    std::uint32_t id_;
    State state_ = State::away;
    bool pending_ = false;  // a request waits for a connection
    bool reused_ = false;   // the connection has carried an answer before
    bool timed_out_ = false;
    bool stopping_ = false;
    bool told_ = true;  // the lane knows that the last request is over
    bool failed_ = false;
    bool asking_ = false;
};

}  // namespace sluice::bench
