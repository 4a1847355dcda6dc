#include "sluice/http/writer.h"

#include "grammar.h"
#include "sluice/base/assert.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace sluice::http {

namespace {

struct Phrase {
    int status;
    std::string_view text;
};

// RFC 9110 section 15 and RFC 6585; 499 is not theirs and only stands in our own records.
constexpr std::array<Phrase, 51> phrases = {{
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
}};

// Writes `number` in decimal; `room` holds any 64-bit number.
std::string_view to_text(std::uint64_t number, std::array<char, 20>& room) {
    const auto end = std::to_chars(room.data(), room.data() + room.size(), number).ptr;
    return {room.data(), static_cast<std::size_t>(end - room.data())};
}

// Whether Connection says anything but whether the connection stays; mostly it does not.
bool names_fields(const Head& head) {
    if (!head.has(FieldId::connection)) return false;
    for (const Field& field : head.fields()) {
        if (field.id != FieldId::connection) continue;
        std::string_view list = field.value;
        std::string_view option;
        while (next_element(list, option)) {
            if (!same_name(option, "keep-alive") && !same_name(option, "close")) return true;
        }
    }
    return false;
}

// What is said to the next hop only, and what frames the message there.
constexpr FieldSet one_hop = {FieldId::connection, FieldId::hop_by_hop, FieldId::content_length,
                              FieldId::transfer_encoding};

}  // namespace

bool HeadWriter::reserve(std::size_t bytes) {
    overflowed_ = overflowed_ || bytes > out_.size() - size_;
    return !overflowed_;
}

// Inline, so that of a literal only a store is left.
inline void HeadWriter::append(std::string_view text) {
    if (!text.empty()) std::memcpy(out_.data() + size_, text.data(), text.size());
    size_ += text.size();
}

void HeadWriter::put(std::string_view text) {
    if (reserve(text.size())) append(text);
}

void HeadWriter::request_line(std::string_view method, std::string_view target) {
    SLUICE_ASSERT(size_ == 0 && !method.empty() && !target.empty());
    put(method);
    put(" ");
    put(target);
    put(" HTTP/1.1\r\n");
}

void HeadWriter::status_line(int status) {
    status_line(status, reason_phrase(status));
}

void HeadWriter::status_line(int status, std::string_view reason) {
    SLUICE_ASSERT(size_ == 0 && status >= 100 && status <= 999);
    std::array<char, 20> room;
    put("HTTP/1.1 ");
    put(to_text(static_cast<std::uint64_t>(status), room));
    put(" ");  // also before an empty reason: RFC 9112 section 4
    put(reason);
    put("\r\n");
}

void HeadWriter::field(std::string_view name, std::string_view value) {
    SLUICE_ASSERT(!name.empty());
    if (!reserve(name.size() + value.size() + 4)) return;
    append(name);
    append(": ");
    append(value);
    append("\r\n");
}

void HeadWriter::field(std::string_view name, std::uint64_t value) {
    std::array<char, 20> room;
    field(name, to_text(value, room));
}

void HeadWriter::forward(const Head& head, FieldSet without) {
    const FieldSet kept_back = one_hop | without;
    const bool nominated = names_fields(head);
    std::string_view run;  // lines that stand one behind the other as they are to be written
    for (const Field& at : head.fields()) {
        if (kept_back.contains(at.id)) continue;
        if (nominated && head.connection_lists(at.name)) continue;
        const char* begin = at.name.data();
        if (!at.as_is || run.data() + run.size() != begin) {
            put(run);
            run = {};
        }
        if (!at.as_is) {
            field(at.name, at.value);
            continue;
        }
        if (run.empty()) run = {begin, 0};
        const char* behind = at.value.data() + at.value.size() + 2;  // its CRLF
        run = {run.data(), static_cast<std::size_t>(behind - run.data())};
    }
    put(run);
}

void HeadWriter::lines(std::string_view text) {
    put(text);
}

void HeadWriter::end() {
    put("\r\n");
}

std::string_view reason_phrase(int status) {
    const auto* const at = std::ranges::find(phrases, status, &Phrase::status);
    return at == phrases.end() ? "Unknown" : at->text;
}

}  // namespace sluice::http
