#include "sluice/proxy/record.h"

#include "sluice/base/limits.h"
#include "sluice/llm/errors.h"
#include "sluice/proxy/exchange.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <ctime>

namespace sluice::proxy {
namespace {

constexpr std::size_t text_bytes_max = limits::KiB;
// A byte takes six at most when it is escaped; thirteen texts, labels as long as another one, and
// the rest is numbers and keys.
constexpr std::size_t line_bytes_max = 14 * 6 * text_bytes_max + 2 * limits::KiB;
constexpr std::size_t digits_max = 20;

constexpr std::uint64_t in_each_byte = 0x0101010101010101;
constexpr std::uint64_t top_bits = 0x8080808080808080;

constexpr bool is_plain(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\';
}

// The same of eight at once. Each of them has its top bit clear, and in none of these sums it gets
// set; a borrow can only come out of a byte that is found itself.
bool are_plain(const char* p) {
    std::uint64_t eight;
    std::memcpy(&eight, p, sizeof eight);
    const std::uint64_t below_space = eight - in_each_byte * ' ';
    const std::uint64_t quote = (eight ^ in_each_byte * '"') - in_each_byte;
    const std::uint64_t backslash = (eight ^ in_each_byte * '\\') - in_each_byte;
    const std::uint64_t is_delete = eight + in_each_byte;
    return ((eight | below_space | quote | backslash | is_delete) & top_bits) == 0;
}

// Nothing in it needs to be escaped.
bool is_plain(std::string_view text) {
    if (text.size() < 8) return std::ranges::all_of(text, [](char c) { return is_plain(c); });
    const char* const last = text.data() + text.size() - 8;
    for (const char* p = text.data(); p < last; p += 8)
        if (!are_plain(p)) return false;
    return are_plain(last);
}

std::int64_t as_signed(std::uint64_t value) {
    return static_cast<std::int64_t>(value);
}

}  // namespace

void RecordWriter::put_digest(const Digest& digest) {
    put(",\"cache_key\":\"");
    for (const std::uint8_t byte : digest) {
        const char digits[] = {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
        put(std::string_view(digits, sizeof digits));
    }
    put("\"");
}

RecordWriter::RecordWriter()
    : room_(std::make_unique_for_overwrite<char[]>(line_bytes_max)), at_(room_.get()) {}

void RecordWriter::put(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
}

void RecordWriter::put_text(std::string_view value) {
    value = value.substr(0, text_bytes_max);
    if (is_plain(value)) {
        put(value);
    } else {
        escaped_.clear();
        llm::append_json_escaped(escaped_, value);
        put(escaped_);
    }
    put("\"");
}

// As an object; those that would make it longer than a text are left out.
void RecordWriter::put_labels(const std::map<std::string, std::string>& labels) {
    put(",\"labels\":{");
    std::size_t left = text_bytes_max;
    bool first = true;
    for (const auto& [name, value] : labels) {
        constexpr std::size_t marks = 6;  // quotes, colon and comma
        if (name.size() + value.size() + marks > left) break;
        left -= name.size() + value.size() + marks;
        put(std::string_view(first ? "\"" : ",\""));
        put_text(name);
        put(":\"");
        put_text(value);
        first = false;
    }
    put("}");
}

void RecordWriter::put_number(std::int64_t value) {
    at_ = std::to_chars(at_, at_ + digits_max, value).ptr;
}

void RecordWriter::put_time(WallTime at) {
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
    put(second_text_);
    std::int64_t micros = at.us % 1'000'000;
    for (int i = 5; i >= 0; --i, micros /= 10)
        at_[i] = static_cast<char>('0' + micros % 10);
    at_ += 6;
    put("Z\"");
}

std::string_view RecordWriter::write(const Exchange& exchange, Instant now,
                                     std::string_view client) {
    SLUICE_ASSERT(exchange.end.has_value());  // it is written once, when all is known
    SLUICE_ASSERT(exchange.begun <= now);
    at_ = room_.get();
    put("{\"time\":\"");
    put_time(exchange.begun_wall);
    put_text(",\"id\":\"", exchange.id);
    put_text(",\"client\":\"", client);
    put_text(",\"method\":\"", exchange.method_text);
    put_text(",\"path\":\"", exchange.path);
    if (exchange.consumer != nullptr) {
        put_text(",\"consumer\":\"", exchange.consumer->name);
        put_text(",\"key\":\"", exchange.key_id);
    }
    if (!exchange.asked.empty()) put_text(",\"asked\":\"", exchange.asked);
    if (exchange.model != nullptr) put_text(",\"model\":\"", exchange.model->name);
    if (!exchange.rule.empty()) put_text(",\"rule\":\"", exchange.rule);
    if (exchange.route != nullptr) put_text(",\"route\":\"", exchange.route->path);
    if (exchange.target != nullptr) {
        put_text(",\"backend\":\"", exchange.target->endpoint->url);
        if (!exchange.target->setting.labels.empty()) put_labels(exchange.target->setting.labels);
    }
    put_number(",\"status\":", exchange.status);
    put_number(",\"bytes_in\":", as_signed(exchange.bytes_in));
    put_number(",\"bytes_out\":", as_signed(exchange.bytes_out));
    if (exchange.usage.known || exchange.usage_estimated) {
        put_number(",\"prompt_tokens\":", as_signed(exchange.usage.prompt));
        put_number(",\"completion_tokens\":", as_signed(exchange.usage.completion));
        if (exchange.usage.cached_known)
            put_number(",\"cached_tokens\":", as_signed(exchange.usage.cached));
    }
    if (exchange.usage_estimated) put(",\"tokens_estimated\":true");
    if (exchange.first_byte != Instant{})
        put_number(",\"ttft_us\":", (exchange.first_byte - exchange.begun).as_micros());
    put_number(",\"duration_us\":", (now - exchange.begun).as_micros());
    put(std::string_view(exchange.streamed ? ",\"stream\":true" : ",\"stream\":false"));
    if (exchange.request_lane.reason != nullptr)
        put_lane(",\"request_lane\":\"", "\",\"request_lane_reason\":\"", exchange.request_lane);
    if (exchange.lane.reason != nullptr)
        put_lane(",\"lane\":\"", "\",\"lane_reason\":\"", exchange.lane);
    if (exchange.cache) {
        put_text(",\"cache\":\"", cache::name_of(*exchange.cache));
        if (exchange.cache_bypass != cache::Bypass::none)
            put_text(",\"cache_cause\":\"", cache::name_of(exchange.cache_bypass));
        if (exchange.sharing != nullptr) put_digest(exchange.sharing->key().key.digest);
    }
    if (exchange.retries > 0) put_number(",\"retries\":", exchange.retries);
    if (exchange.resumed > 0) put_number(",\"resumed\":", exchange.resumed);
    if (exchange.queued.ns > 0) put_number(",\"queued_us\":", exchange.queued.as_micros());
    if (!exchange.hops.empty()) put_text(",\"hops\":\"", exchange.hops);
    put(",\"end\":\"");
    put(std::string_view(end_name(*exchange.end)));
    put("\"");
    if (!exchange.error.empty()) put_text(",\"error\":\"", exchange.error);
    put("}\n");
    const auto size = static_cast<std::size_t>(at_ - room_.get());
    SLUICE_ASSERT(size <= line_bytes_max);
    return {room_.get(), size};
}

}  // namespace sluice::proxy
