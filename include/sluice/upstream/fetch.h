// Fetch: one question to a backend, a GET or a POST of some JSON, with a deadline and a bound on
// the answer; for probes, not for clients' requests.
//
// A member of the object that asks; it may be started again when it is idle. The owner is made
// ready when the outcome is there.
#pragma once

#include "sluice/http/parser.h"
#include "sluice/io/loop.h"
#include "sluice/net/stream.h"
#include "sluice/upstream/endpoint.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::upstream {

struct FetchAnswer {
    int status = 0;
    std::string server;  // its Server field
    std::string body;
};

class Fetch final : public io::Actor {
public:
    // What of an answer is waited for.
    enum class Until : std::uint8_t { head, end };

    Fetch(io::Loop& loop, io::Actor& owner);

    // `endpoint` must live until idle(). Only one at a time. `key`: the server's, or empty.
    // `json`: what is posted; empty: it is a GET.
    void start(const Endpoint& endpoint, std::string_view path, std::string_view key,
               Duration timeout, std::size_t bytes_max, Until until = Until::end,
               std::string_view json = {});
    // A line (with its CRLF) of every request from now on.
    void add_line(std::string line) { line_ = std::move(line); }
    // Nothing is going on and nothing is in flight; outcome() is set after the first start.
    bool idle() const { return !running_ && stream_.closed(); }
    const std::optional<Result<FetchAnswer>>& outcome() const { return outcome_; }
    // It failed because nobody listens there, or because nobody knows where that is.
    bool refused() const { return refused_; }
    // Gives up what is going on; idle() some turns later.
    void stop();

    void advance() override;
    void bury() override {}

private:
    void read_answer();
    void finish(Result<FetchAnswer> outcome);

    io::Loop& loop_;
    io::Actor& owner_;
    net::Stream stream_;
    http::Parser parser_{http::Parser::Side::response};
    io::Timer deadline_;
    std::string line_;
    std::string request_;
    std::string text_;  // the answer as it comes: head, and body bytes that are not decoded yet
    FetchAnswer answer_;
    std::optional<Result<FetchAnswer>> outcome_;
    std::vector<http::BodyPiece> pieces_;
    std::size_t bytes_max_ = 0;
    Until until_ = Until::end;
    bool running_ = false;
    bool head_done_ = false;
    bool timed_out_ = false;
    bool refused_ = false;
};

}  // namespace sluice::upstream
