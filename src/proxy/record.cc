#include "record.h"

#include <fmt/format.h>

#include <ctime>
#include <iterator>

#include "sluice/llm/errors.h"

namespace sluice::proxy {
namespace {

void append_time(std::string& line, WallTime at) {
    const auto seconds = static_cast<std::time_t>(at.us / 1'000'000);
    std::tm utc{};
    ::gmtime_r(&seconds, &utc);
    fmt::format_to(std::back_inserter(line), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
                   utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                   utc.tm_sec, at.us % 1'000'000);
}

void append_text(std::string& line, std::string_view key, std::string_view value) {
    line += ",\"";
    line += key;
    line += "\":\"";
    llm::append_json_escaped(line, value);
    line += '"';
}

template <class Number>
void append_number(std::string& line, std::string_view key, Number value) {
    fmt::format_to(std::back_inserter(line), ",\"{}\":{}", key, value);
}

}  // namespace

void write_record(const Exchange& exchange, Instant now, std::string_view client,
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
    append_number(line, "bytes_in", exchange.bytes_in);
    append_number(line, "bytes_out", exchange.bytes_out);
    if (exchange.usage.known) {
        append_number(line, "prompt_tokens", exchange.usage.prompt);
        append_number(line, "completion_tokens", exchange.usage.completion);
        append_number(line, "cached_tokens", exchange.usage.cached);
    }
    if (exchange.first_byte != Instant{})
        append_number(line, "ttft_us", (exchange.first_byte - exchange.begun).as_micros());
    append_number(line, "duration_us", (now - exchange.begun).as_micros());
    append_number(line, "stream", exchange.streamed);
    if (exchange.retries > 0) append_number(line, "retries", exchange.retries);
    append_text(line, "end", end_name(*exchange.end));
    if (!exchange.error.empty()) append_text(line, "error", exchange.error);
    line += "}\n";
}

}  // namespace sluice::proxy
