#include "sluice/proxy/record.h"

#include <array>
#include <charconv>
#include <ctime>

#include "sluice/llm/errors.h"
#include "sluice/proxy/exchange.h"

namespace sluice::proxy {
namespace {

void append_digits(std::string& line, std::int64_t value, std::size_t width) {
    std::array<char, 8> digits;
    for (std::size_t i = width; i-- > 0; value /= 10)
        digits[i] = static_cast<char>('0' + value % 10);
    line.append(digits.data(), width);
}

void append_text(std::string& line, std::string_view key, std::string_view value) {
    line += ",\"";
    line += key;
    line += "\":\"";
    llm::append_json_escaped(line, value);
    line += '"';
}

void append_number(std::string& line, std::string_view key, std::int64_t value) {
    std::array<char, 20> digits;
    const auto [end, code] = std::to_chars(digits.begin(), digits.end(), value);
    SLUICE_ASSERT(code == std::errc{});
    line += ",\"";
    line += key;
    line += "\":";
    line.append(digits.begin(), end);
}

void append_count(std::string& line, std::string_view key, std::uint64_t value) {
    append_number(line, key, static_cast<std::int64_t>(value));
}

}  // namespace

void RecordWriter::append_time(std::string& line, WallTime at) {
    const std::int64_t second = at.us / 1'000'000;
    if (second != second_) {
        second_ = second;
        const auto seconds = static_cast<std::time_t>(second);
        std::tm utc{};
        ::gmtime_r(&seconds, &utc);
        std::array<char, 32> text;
        const auto size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S.", &utc);
        second_text_.assign(text.data(), size);
    }
    line += second_text_;
    append_digits(line, at.us % 1'000'000, 6);
    line += 'Z';
}

void RecordWriter::write(const Exchange& exchange, Instant now, std::string_view client,
                         std::string& line) {
    line = "{\"time\":\"";
    append_time(line, exchange.begun_wall);
    line += '"';
    append_text(line, "id", exchange.id);
    append_text(line, "client", client);
    append_text(line, "method", exchange.method_text);
    append_text(line, "path", exchange.path);
    if (exchange.model != nullptr) append_text(line, "model", exchange.model->name);
    if (exchange.target != nullptr) append_text(line, "backend", exchange.target->endpoint->url);
    append_number(line, "status", exchange.status);
    append_count(line, "bytes_in", exchange.bytes_in);
    append_count(line, "bytes_out", exchange.bytes_out);
    if (exchange.usage.known || exchange.usage_estimated) {
        append_count(line, "prompt_tokens", exchange.usage.prompt);
        append_count(line, "completion_tokens", exchange.usage.completion);
        append_count(line, "cached_tokens", exchange.usage.cached);
    }
    if (exchange.usage_estimated) line += ",\"tokens_estimated\":true";
    if (exchange.first_byte != Instant{})
        append_number(line, "ttft_us", (exchange.first_byte - exchange.begun).as_micros());
    append_number(line, "duration_us", (now - exchange.begun).as_micros());
    line += exchange.streamed ? ",\"stream\":true" : ",\"stream\":false";
    if (exchange.retries > 0) append_number(line, "retries", exchange.retries);
    append_text(line, "end", end_name(*exchange.end));
    if (!exchange.error.empty()) append_text(line, "error", exchange.error);
    line += "}\n";
}

}  // namespace sluice::proxy
