#include "sluice/upstream/fetch.h"

#include "sluice/mem/chain.h"

#include <cerrno>
#include <utility>

namespace sluice::upstream {

Fetch::Fetch(io::Loop& loop, io::Actor& owner)
    : loop_(loop), owner_(owner), stream_(loop, *this), deadline_(this, [](void* self) {
          auto& fetch = *static_cast<Fetch*>(self);
          fetch.timed_out_ = true;
          fetch.loop_.make_ready(fetch);
      }) {}

void Fetch::start(const Endpoint& endpoint, std::string_view path, std::string_view key,
                  Duration timeout, std::size_t bytes_max, Until until, std::string_view json) {
    SLUICE_ASSERT(idle());
    SLUICE_ASSERT(!deadline_.armed());
    SLUICE_ASSERT(path.starts_with('/'));
    SLUICE_ASSERT(timeout.ns > 0 && bytes_max > 0);
    running_ = true;
    parser_ = http::Parser(http::Parser::Side::response);  // the last answer may have broken off
    head_done_ = timed_out_ = refused_ = false;
    bytes_max_ = bytes_max;
    until_ = until;
    text_.clear();
    answer_ = {};
    outcome_.reset();
    request_ = json.empty() ? "GET " : "POST ";
    request_ += endpoint.target.path + std::string(path) +
                " HTTP/1.1\r\nHost: " + endpoint.target.host +
                "\r\nAccept: application/json\r\nConnection: close\r\n";
    if (!key.empty()) request_.append("Authorization: Bearer ").append(key).append("\r\n");
    if (!json.empty())
        request_ +=
            "Content-Type: application/json\r\nContent-Length: " + std::to_string(json.size()) +
            "\r\n";
    request_.append(line_).append("\r\n").append(json);
    stream_.connect(endpoint.address());
    mem::Chain request(loop_.nodes());
    if (!request.append_copy(loop_.buffers(), request_))
        return finish(Error::gateway("no buffer for the request"));
    stream_.send(std::move(request));
    loop_.timers().arm(deadline_, loop_.now() + timeout);
}

void Fetch::stop() {
    if (running_) finish(Error::gateway("given up"));
}

void Fetch::advance() {
    if (!running_) {
        SLUICE_ASSERT(outcome_.has_value() && !deadline_.armed());
        if (stream_.closed()) loop_.make_ready(owner_);
        return;
    }
    SLUICE_ASSERT(!stream_.closed());  // only finish() closes it
    if (stream_.open()) {
        stream_.start_receiving();
        stream_.flush();
        read_answer();
        if (!running_) return;
    }
    refused_ = stream_.error() == ECONNREFUSED || stream_.error() == ENOENT ||
               stream_.error() == net::Stream::no_address;
    if (stream_.error() != 0)
        return finish(Error::backend(502, Retry::yes, net::error_text(stream_.error())));
    if (stream_.ended()) {
        if (head_done_ && parser_.finish() == http::Progress::complete)
            return finish(std::move(answer_));
        return finish(Error::backend(502, Retry::yes, "the server closed before its answer ended"));
    }
    if (timed_out_) finish(Error::backend(504, Retry::yes, "no answer in time"));
}

void Fetch::read_answer() {
    SLUICE_ASSERT(running_ && stream_.open());
    while (!stream_.received().empty())
        text_ += stream_.received().pop_front().text();
    if (text_.size() + answer_.body.size() > bytes_max_)
        return finish(Error::backend(502, Retry::no, "the answer is too large"));
    while (!head_done_) {
        http::Head head;
        const auto progress = parser_.parse_head(text_, head);
        if (progress == http::Progress::failed) return finish(parser_.error());
        if (progress == http::Progress::incomplete) return;
        if (head.status >= 200) {
            head_done_ = true;
            answer_.status = head.status;
            answer_.server = head.find(http::FieldId::server);
        }
        text_.erase(0, head.bytes);
    }
    SLUICE_ASSERT(answer_.status >= 200);  // what comes before is not the answer
    if (until_ == Until::head) return finish(std::move(answer_));
    pieces_.clear();
    std::size_t consumed = 0;
    const auto progress = parser_.parse_body(text_, pieces_, consumed);
    for (const auto& piece : pieces_) {
        SLUICE_ASSERT(piece.begin <= piece.end && piece.end <= text_.size());
        answer_.body.append(text_, piece.begin, piece.end - piece.begin);
    }
    text_.clear();
    if (progress == http::Progress::failed) return finish(parser_.error());
    if (progress == http::Progress::complete) finish(std::move(answer_));
}

void Fetch::finish(Result<FetchAnswer> outcome) {
    SLUICE_ASSERT(running_);
    SLUICE_ASSERT(!outcome_.has_value());  // it ends once
    running_ = false;
    outcome_.emplace(std::move(outcome));
    loop_.timers().disarm(deadline_);
    stream_.close();
    loop_.make_ready(*this);
}

}  // namespace sluice::upstream
