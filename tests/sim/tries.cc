#include "tries.h"

#include "driver.h"

#include <charconv>

namespace sluice::sim {
namespace {

constexpr std::string_view id_prefix = "try-";

}  // namespace

std::string_view member(std::string_view line, std::string_view name) {
    const std::string key = "\"" + std::string(name) + "\":\"";
    const auto at = line.find(key);
    if (at == std::string_view::npos) return {};
    const auto value = line.substr(at + key.size());
    return value.substr(0, value.find('"'));
}

std::uint64_t count_of(std::string_view line, std::string_view name) {
    const std::string key = "\"" + std::string(name) + "\":";
    const auto at = line.find(key);
    std::uint64_t count = 0;
    if (at != std::string_view::npos)
        std::from_chars(line.data() + at + key.size(), line.data() + line.size(), count);
    return count;
}

std::string Try::wire() const {
    // The same deadly one may come again.
    const std::string talk =
        deadly ? "spell " + std::to_string(number % 7) : "talk " + std::to_string(number % 5);
    const std::string body = std::string(R"({"model":"pool","messages":[{"role":"user",)") +
                             R"("content":")" + talk + R"("}],"stream":)" +
                             (stream ? "true" : "false") + "}";
    return "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: " +
           std::string(id_prefix) + std::to_string(number) +
           "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

std::string Try::text(char letter) const {
    std::string text;
    for (std::size_t i = 0; i < tokens; ++i)
        text += letter + std::to_string(i) + " ";
    return text;
}

Try& Tries::add(bool stream, std::size_t tokens) {
    Try& made = all_.emplace_back();
    made.number = all_.size() - 1;
    made.stream = stream;
    made.tokens = tokens;
    return made;
}

Try* Tries::find(std::string_view id) {
    if (!id.starts_with(id_prefix)) return nullptr;
    std::size_t number = 0;
    const auto digits = id.substr(id_prefix.size());
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number < all_.size() ? &all_[number] : nullptr;
}

bool Tries::alone(const Try& tried, Instant now, Duration since) const {
    for (const Try& each : all_) {
        if (&each == &tried || !each.sent) continue;
        if (each.outcome == Try::Outcome::open || now - each.over_at < since) return false;
    }
    return true;
}

void Tries::write(std::string_view line) {
    if (member(line, "event") == "breaker") return see_breaker(line);
    Try* logged = find(member(line, "id"));
    if (logged == nullptr) return;
    logged->line = line;
    expect(++logged->logged == 1, "a request was settled twice");
}

void Tries::see_breaker(std::string_view line) {
    const auto to = member(line, "state");
    openings += to == "open";
    closings += to == "closed";
    if (!one_shard) return;
    const auto key =
        std::string(member(line, "backend")) + " " + std::string(member(line, "model"));
    const auto known = breakers_.find(key);
    const std::string from = known == breakers_.end() ? "closed" : known->second;
    if (member(line, "from") != from) fail("a breaker left another state: " + std::string(line));
    const bool possible = from == "closed" ? to == "open"
                          : from == "open" ? to == "half-open"
                                           : to == "open" || to == "closed";
    if (!possible) fail("a breaker cannot change so: " + std::string(line));
    breakers_[key] = to;
}

}  // namespace sluice::sim
