// Origin::Connection: one connection to the bench's own backend.
#pragma once

#include "origin.h"

namespace sluice::bench {

class Origin::Connection final : public io::Actor {
public:
    Connection(Origin& origin, int fd);

    // The stream's next event leaves. False: it was the last one, or the peer takes nothing.
    bool send_event(Instant now);
    std::uint64_t stream() const { return stream_number_; }
    void close() { stream_.close(); }

    void advance() override;
    void bury() override;

private:
    enum class Reading : std::uint8_t { head, body };

    bool read_request();
    void answer();
    void begin_stream();
    void begin_flood();
    void flood();
    void end_stream();

    Origin& origin_;
    net::Stream stream_;
    http::HeadReader head_reader_;
    http::Parser parser_{http::Parser::Side::request};
    std::vector<http::BodyPiece> pieces_;
    Reading reading_ = Reading::head;
    bool streaming_ = false;
    bool flood_wanted_ = false;  // by the request
    bool flooding_ = false;
    std::uint32_t id_ = 0;  // of the stream; 0: the request asks for a document
    std::uint32_t sent_ = 0;
    std::uint64_t stream_number_ = 0;
    std::size_t position_;  // in all_
    friend class Origin;
};

}  // namespace sluice::bench
