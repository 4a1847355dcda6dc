// The body of a request that comes compressed: decoded as it comes, within the limits of any other.
#include "connection.h"

#include <algorithm>
#include <utility>

namespace sluice::proxy {
namespace {

// Decoded at a time: a few bytes may stand for very many, and others wait for their turn.
constexpr std::size_t decoded_bytes_a_step = 64 * limits::KiB;

}  // namespace

bool Connection::read_coded_body() {
    SLUICE_ASSERT(upload_ == nullptr);  // that is for bytes that nobody reads
    CodedBody& coded = *exchange_->request->coded;
    std::size_t left = decoded_bytes_a_step;
    for (;;) {
        while (coded.has_more()) {
            if (left == 0) {
                service_.loop.make_ready(*this);
                return false;
            }
            if (!decode_some(coded, left)) return true;
        }
        if (!body_pending_) {
            end_coded_body(coded);
            return true;
        }
        if (stream_.received().empty()) break;
        if (!take_coded(coded)) return true;
    }
    if (!stream_.ended()) return false;
    leave(End::client_gone);
    return false;
}

// What one read has brought. False: it is no body, and was refused.
bool Connection::take_coded(CodedBody& coded) {
    SLUICE_ASSERT(body_pending_ && !stream_.received().empty());
    auto& received = stream_.received();
    entered_ = service_.loop.now();
    mem::Slice slice = received.pop_front();
    auto& pieces = service_.relay.pieces;
    pieces.clear();
    std::size_t consumed = 0;
    const auto progress = parser_.parse_body(slice.text(), pieces, consumed);
    SLUICE_ASSERT(consumed <= slice.size());
    exchange_->bytes_in += consumed;
    if (progress == http::Progress::failed) {
        refuse(parser_.error());
        return false;
    }
    for (const auto& piece : pieces)
        coded.add(slice.share(piece.begin, piece.end));
    slice.drop_front(consumed);
    if (!slice.empty()) received.prepend(std::move(slice));
    body_pending_ = progress == http::Progress::incomplete;
    return true;
}

// False: it was answered.
bool Connection::decode_some(CodedBody& coded, std::size_t& left) {
    SLUICE_ASSERT(left > 0 && coded.has_more());
    const auto room = service_.head_space();
    const auto decoded = coded.decode(room.first(std::min(room.size(), left)));
    if (!decoded) {
        reply(error_reply(*exchange_, decoded.error().status, decoded.error().message,
                          "invalid_body"));
        return false;
    }
    const std::string_view text = decoded.value();
    SLUICE_ASSERT(text.size() <= left);
    left -= text.size();
    RequestState& request = *exchange_->request;
    const std::uint64_t size = request.body.size() + text.size();
    if (size > service_.settings.body_bytes_max) {
        reply(body_too_large_reply(*exchange_));
        return false;
    }
    const std::uint64_t held = size + coded.memory();
    const bool fits = held <= request.charged || charge_body(held - request.charged);
    if (!fits || !request.body.append_copy(service_.loop.buffers(), text)) {
        reply(out_of_memory_reply(*exchange_));
        return false;
    }
    request.read(text);
    return true;
}

void Connection::end_coded_body(const CodedBody& coded) {
    SLUICE_ASSERT(!body_pending_ && !coded.has_more());
    if (!coded.complete())
        return reply(error_reply(*exchange_, 400,
                                 "The request body ends before what it is compressed with says.",
                                 "invalid_body"));
    RequestState& request = *exchange_->request;
    SLUICE_ASSERT(request.coded.get() == &coded);
    request.coded = nullptr;
    SLUICE_ASSERT(request.charged >= request.body.size());
    const std::uint64_t spare = request.charged - request.body.size();
    service_.release_body(spare);
    request.charged -= spare;
    body_complete();
}

}  // namespace sluice::proxy
