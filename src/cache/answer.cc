#include "sluice/cache/answer.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace sluice::cache {

namespace {

// What std::make_shared puts beside the object: a pointer to its functions and two counts.
constexpr std::size_t share_bytes = sizeof(void*) + 2 * sizeof(int);

constexpr std::uint64_t offset_max = std::numeric_limits<std::uint32_t>::max();

std::size_t block_bytes_of(const AnswerFacts& facts, std::size_t body_bytes, std::size_t events) {
    return events * sizeof(AnswerEvent) + facts.content_type.size() + facts.model.size() +
           facts.scope.name.size() + facts.consumer.size() + body_bytes;
}

}  // namespace

std::shared_ptr<const Answer> Answer::make(const AnswerFacts& facts, std::string_view body,
                                           std::span<const AnswerEvent> events) {
    return std::make_shared<const Answer>(Private{}, facts, body, events);
}

Answer::Answer(Private, const AnswerFacts& facts, std::string_view body,
               std::span<const AnswerEvent> events)
    : block_bytes_(block_bytes_of(facts, body.size(), events.size())),
      block_(new char[block_bytes_]),
      scope_(facts.scope),
      usage_(facts.usage),
      created_(facts.created),
      status_(facts.status),
      form_(facts.form) {
    SLUICE_ASSERT(body.size() <= offset_max);
    SLUICE_ASSERT(std::ranges::is_sorted(events, {}, &AnswerEvent::end));
    SLUICE_ASSERT(events.empty() || events.back().end <= body.size());
    char* p = block_.get();
    if (!events.empty()) std::memcpy(p, events.data(), events.size_bytes());
    // The block of an array of bytes is aligned for any type of its size.
    events_ = {reinterpret_cast<const AnswerEvent*>(p), events.size()};
    p += events.size_bytes();
    const auto keep = [&p](std::string_view text) {
        if (!text.empty()) std::memcpy(p, text.data(), text.size());
        p += text.size();
        return std::string_view(p - text.size(), text.size());
    };
    content_type_ = keep(facts.content_type);
    model_ = keep(facts.model);
    scope_.name = keep(facts.scope.name);
    consumer_ = keep(facts.consumer);
    body_ = keep(body);
    SLUICE_ASSERT(p == block_.get() + block_bytes_);
}

std::size_t Answer::bytes_of(std::size_t block_bytes) {
    return share_bytes + sizeof(Answer) + block_bytes;
}

std::size_t Answer::bytes_of(const AnswerFacts& facts, std::size_t body_bytes, std::size_t events) {
    return bytes_of(block_bytes_of(facts, body_bytes, events));
}

bool Recorder::add(std::string_view run) {
    if (given_up_) return false;
    const std::uint64_t bound = std::min<std::uint64_t>(body_bytes_max_, offset_max);
    if (run.size() > bound - body_.size()) {
        given_up_ = true;
        std::string().swap(body_);
        std::vector<AnswerEvent>().swap(events_);
        return false;
    }
    body_ += run;
    return true;
}

void Recorder::end_event(Duration since_first) {
    if (given_up_) return;
    SLUICE_ASSERT(since_first.ns >= 0);
    const auto us = static_cast<std::uint64_t>(since_first.as_micros());
    events_.push_back({static_cast<std::uint32_t>(body_.size()),
                       static_cast<std::uint32_t>(std::min(us, offset_max))});
}

std::shared_ptr<const Answer> Recorder::finish(const AnswerFacts& facts) const {
    return given_up_ ? nullptr : Answer::make(facts, body_, events_);
}

}  // namespace sluice::cache
