// Outbox: the bytes of one connection on their way out, in a buffer that is sent and one that
// fills.
//
// The connection owns the bytes, so a stream that nobody reads costs its own two buffers and never
// those of others. What is being sent stays where it is until the stream says that it is out.
#pragma once

#include "sluice/net/stream.h"

#include <cstddef>
#include <string>

namespace sluice::model_sim {

class Outbox {
public:
    // Where to append; what is in it leaves with the next pump().
    std::string& filling() { return filling_; }
    // Nothing is waiting and nothing is in flight.
    bool empty(const net::Stream& stream) const {
        return filling_.empty() && sent_ == sending_.size() && stream.unsent() == 0;
    }
    // Sends on if the last send is done; at most `piece` bytes a send, 0: all there is.
    void pump(net::Stream& stream, std::size_t piece);
    // Gives memory back that a large answer took.
    void shrink();

private:
    std::string filling_;
    std::string sending_;
    std::size_t sent_ = 0;  // of `sending_`, handed to the stream
};

}  // namespace sluice::model_sim
