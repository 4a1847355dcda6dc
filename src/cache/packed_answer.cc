#include "sluice/cache/packed_answer.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace sluice::cache {

namespace {

// Another way to pack: another number, and what lies on disks is of no use any more.
constexpr std::uint8_t packing = 1;
constexpr int status_min = 100;
constexpr int status_max = 599;

enum UsageFlag : std::uint8_t { cached_known = 1, usage_known = 2, completion_known = 4 };

template <class Number>
void put_number(std::string& out, Number number) {
    for (std::size_t i = 0; i < sizeof number; ++i)
        out += static_cast<char>(static_cast<std::uint64_t>(number) >> (8 * i) & 0xFF);
}

void put_text(std::string& out, std::string_view text) {
    put_number(out, static_cast<std::uint32_t>(text.size()));
    out += text;
}

// Takes values off the front; once there are too few bytes all that follows is 0 or empty.
class PackedReader {
public:
    explicit PackedReader(std::string_view bytes) : rest_(bytes) {}

    template <class Number>
    Number number() {
        std::uint64_t value = 0;
        const std::string_view bytes = take(sizeof(Number));
        for (std::size_t i = 0; i < bytes.size(); ++i)
            value |= std::uint64_t{static_cast<std::uint8_t>(bytes[i])} << (8 * i);
        return static_cast<Number>(value);
    }
    std::string_view text() { return take(number<std::uint32_t>()); }
    std::size_t left() const { return rest_.size(); }
    bool sound() const { return sound_; }

private:
    std::string_view take(std::size_t bytes) {
        sound_ = sound_ && bytes <= rest_.size();
        if (!sound_) return {};
        const std::string_view taken = rest_.substr(0, bytes);
        rest_.remove_prefix(bytes);
        return taken;
    }

    std::string_view rest_;
    bool sound_ = true;
};

}  // namespace

std::string pack_answer(const Answer& answer) {
    const llm::Usage& usage = answer.usage();
    std::string out;
    out.reserve(answer.bytes());
    put_number(out, packing);
    put_number(out, static_cast<std::uint8_t>(answer.form()));
    put_number(out, static_cast<std::uint16_t>(answer.status()));
    put_number(out, static_cast<std::uint8_t>(answer.scope().kind));
    put_number(out, static_cast<std::uint8_t>((usage.cached_known ? cached_known : 0) |
                                              (usage.known ? usage_known : 0) |
                                              (usage.completion_known ? completion_known : 0)));
    put_number(out, usage.prompt);
    put_number(out, usage.completion);
    put_number(out, usage.cached);
    put_number(out, answer.created().us);
    put_text(out, answer.content_type());
    put_text(out, answer.model());
    put_text(out, answer.scope().name);
    put_text(out, answer.consumer());
    put_number(out, static_cast<std::uint32_t>(answer.events().size()));
    for (const AnswerEvent& event : answer.events()) {
        put_number(out, event.end);
        put_number(out, event.us);
    }
    put_text(out, answer.body());
    return out;
}

std::shared_ptr<const Answer> unpack_answer(std::string_view bytes) {
    PackedReader reader(bytes);
    if (reader.number<std::uint8_t>() != packing) return nullptr;
    AnswerFacts facts;
    const auto form = reader.number<std::uint8_t>();
    facts.form = static_cast<Form>(form);
    facts.status = reader.number<std::uint16_t>();
    const auto kind = reader.number<std::uint8_t>();
    facts.scope.kind = static_cast<ScopeKind>(kind);
    const auto flags = reader.number<std::uint8_t>();
    facts.usage.prompt = reader.number<std::uint64_t>();
    facts.usage.completion = reader.number<std::uint64_t>();
    facts.usage.cached = reader.number<std::uint64_t>();
    facts.usage.cached_known = (flags & cached_known) != 0;
    facts.usage.known = (flags & usage_known) != 0;
    facts.usage.completion_known = (flags & completion_known) != 0;
    facts.created.us = reader.number<std::int64_t>();
    facts.content_type = reader.text();
    facts.model = reader.text();
    facts.scope.name = reader.text();
    facts.consumer = reader.text();
    const auto count = reader.number<std::uint32_t>();
    if (count > reader.left() / sizeof(AnswerEvent)) return nullptr;
    std::vector<AnswerEvent> events(count);
    for (AnswerEvent& event : events) {
        event.end = reader.number<std::uint32_t>();
        event.us = reader.number<std::uint32_t>();
    }
    const std::string_view body = reader.text();
    if (!reader.sound() || reader.left() > 0) return nullptr;
    if (form > static_cast<std::uint8_t>(Form::lines)) return nullptr;
    if (kind > static_cast<std::uint8_t>(ScopeKind::everybody)) return nullptr;
    if (facts.status < status_min || facts.status > status_max) return nullptr;
    if (!std::ranges::is_sorted(events, {}, &AnswerEvent::end)) return nullptr;
    if (!events.empty() && events.back().end > body.size()) return nullptr;
    return Answer::make(facts, body, events);
}

}  // namespace sluice::cache
