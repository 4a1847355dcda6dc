#include "request_reader.h"

#include "sluice/base/assert.h"
#include "sluice/base/limits.h"

namespace sluice::model_sim {
namespace {

constexpr std::size_t body_bytes_most = 128 * limits::MiB;
constexpr std::size_t read_bytes_kept = 16 * limits::KiB;

}  // namespace

void RequestReader::take(mem::Chain& received) {
    received.for_each([&](const mem::Slice& slice) {
        text_ += slice.text();
        return true;
    });
    received.clear();
}

http::Progress RequestReader::read_head(http::Head& head) {
    if (!http::Parser::head_worth_parsing(text_, seen_)) {
        seen_ = text_.size();
        return http::Progress::incomplete;
    }
    const auto progress = parser_.parse_head(text_, head);
    seen_ = text_.size();
    if (progress != http::Progress::complete) return progress;
    head_bytes_ = end_ = head.bytes;
    chunked_ = head.framing == http::Framing::chunked;
    too_large_ = !chunked_ && head.content_length > body_bytes_most;
    return too_large_ ? http::Progress::failed : progress;
}

http::Progress RequestReader::read_body() {
    pieces_.clear();
    const auto run = std::string_view(text_).substr(end_);
    std::size_t consumed = 0;
    const auto progress = parser_.parse_body(run, pieces_, consumed);
    if (progress == http::Progress::failed) return progress;
    end_ += consumed;
    if (!chunked_) return progress;
    for (const auto& piece : pieces_)
        chunked_body_ += run.substr(piece.begin, piece.end - piece.begin);
    too_large_ = chunked_body_.size() > body_bytes_most;
    return too_large_ ? http::Progress::failed : progress;
}

Error RequestReader::error() const {
    if (too_large_) return Error::client(413, "Payload Too Large");
    return parser_.error();
}

std::string_view RequestReader::body() const {
    if (chunked_) return chunked_body_;
    return std::string_view(text_).substr(head_bytes_, end_ - head_bytes_);
}

void RequestReader::next() {
    SLUICE_ASSERT(end_ > 0);
    text_.erase(0, end_);
    chunked_body_.clear();
    seen_ = head_bytes_ = end_ = 0;
    chunked_ = false;
}

void RequestReader::shrink() {
    if (text_.empty() && text_.capacity() > read_bytes_kept) text_ = {};
    if (chunked_body_.empty() && chunked_body_.capacity() > read_bytes_kept) chunked_body_ = {};
}

}  // namespace sluice::model_sim
