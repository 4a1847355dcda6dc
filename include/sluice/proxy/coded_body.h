// CodedBody: the body of a request that comes in a content coding, on its way to being decoded.
//
// Holds what has come and is not decoded yet: at most what one read brings, because nothing more is
// read before that is through.
#pragma once

#include "sluice/http/content_decoder.h"
#include "sluice/mem/chain.h"

#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace sluice::proxy {

class CodedBody {
public:
    CodedBody(std::unique_ptr<http::ContentDecoder> decoder, mem::NodePool& nodes)
        : decoder_(std::move(decoder)), coded_(nodes) {
        SLUICE_ASSERT(decoder_ != nullptr);
    }

    void add(mem::Slice slice) { coded_.append(std::move(slice)); }
    bool has_more() const { return !coded_.empty() || decoder_->holds_more(); }
    // The next decoded bytes, which lie in `room`; may be none. An error is the client's.
    Result<std::string_view> decode(std::span<char> room) {
        SLUICE_ASSERT(has_more());
        const auto step =
            decoder_->decode(coded_.empty() ? std::string_view() : coded_.front().text(), room);
        if (!step) return step.error();
        coded_.consume(step.value().consumed);
        return std::string_view(room.data(), step.value().produced);
    }
    bool complete() const { return !has_more() && decoder_->complete(); }
    std::size_t memory() const { return decoder_->memory(); }

private:
    std::unique_ptr<http::ContentDecoder> decoder_;
    mem::Chain coded_;
};

}  // namespace sluice::proxy
