#include "sluice/llm/response_reader.h"

#include "answer_handler.h"

namespace sluice::llm {

struct ResponseReader::State {
    JsonState<AnswerHandler::text_bytes_max> json;
    AnswerHandler handler;
    std::size_t mark_bytes = 0;  // of a byte order mark that stands first
};

ResponseReader::ResponseReader() = default;
ResponseReader::ResponseReader(ResponseReader&&) noexcept = default;
ResponseReader& ResponseReader::operator=(ResponseReader&&) noexcept = default;
ResponseReader::~ResponseReader() = default;

bool ResponseReader::complete() const {
    return state_ != nullptr && state_->json.step == JsonStep::nothing;
}

bool ResponseReader::error() const {
    return state_ != nullptr && state_->handler.facts().has(error_sign);
}

bool ResponseReader::answers() const {
    return state_ != nullptr && (state_->handler.facts().has(content_sign) ||
                                 state_->handler.facts().choices.named != 0);
}

std::size_t ResponseReader::content_bytes() const {
    return state_ != nullptr ? state_->handler.facts().content_bytes : 0;
}

void ResponseReader::feed(std::string_view bytes) {
    if (state_ == nullptr) state_ = std::make_unique<State>();
    if (state_->json.step == JsonStep::failed) return;
    std::size_t& marked = state_->mark_bytes;
    while (state_->json.offset == 0 && marked < byte_order_mark.size() && !bytes.empty() &&
           bytes.front() == byte_order_mark[marked]) {
        ++marked;
        bytes.remove_prefix(1);
    }
    JsonScanner(state_->json, state_->handler).feed(bytes);
    // Anew each time: what was told on the way must not depend on where the runs ended.
    usage_ = Usage{};
    merge_usage(state_->handler.counts(), usage_);
}

}  // namespace sluice::llm
