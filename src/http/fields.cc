#include "fields.h"

#include "grammar.h"

#include <algorithm>
#include <array>

namespace sluice::http {

namespace {

constexpr std::uint64_t length_max = (std::uint64_t{1} << 63) - 1;

// Compares a name to one in small letters with '-', reading '_' as '-'.
bool reads_like(std::string_view name, std::string_view canonical) {
    return std::ranges::equal(name, canonical, {},
                              [](char c) { return c == '_' ? '-' : to_lower(c); });
}

bool starts_like(std::string_view name, std::string_view prefix) {
    return name.size() >= prefix.size() && reads_like(name.substr(0, prefix.size()), prefix);
}

// Fields that a request is judged by, of which two readers could take different ones.
constexpr FieldSet only_once = {FieldId::content_type, FieldId::origin, FieldId::sec_fetch_site};

const char* twice(FieldId id) {
    switch (id) {
        case FieldId::content_type:
            return "Content-Type is there more than once.";
        case FieldId::origin:
            return "Origin is there more than once.";
        default:
            return "Sec-Fetch-Site is there more than once.";
    }
}

// Another field of the head that differs only in '_' and '-'.
bool has_twin(const Head& head, std::string_view name) {
    return std::ranges::any_of(head.fields(), [name](const Field& other) {
        return other.name.size() == name.size() && !same_name(other.name, name) &&
               std::ranges::equal(other.name, name, [](char a, char b) {
                   return (a == '_' ? '-' : to_lower(a)) == (b == '_' ? '-' : to_lower(b));
               });
    });
}

}  // namespace

Verdict read_content_length(std::string_view value, std::uint64_t& length) {
    constexpr std::size_t digits_max = 19;  // of 2^63 - 1; nineteen nines still fit 64 bits
    if (value.empty() || value.size() > digits_max || !std::ranges::all_of(value, is_digit)) {
        return bad_request("Content-Length is not a plain number below 2^63.");
    }
    if (value.front() == '0' && value.size() > 1) {
        return bad_request("Content-Length has a leading zero.");
    }
    length = 0;
    for (const char c : value)
        length = length * 10 + static_cast<unsigned>(c - '0');
    if (length > length_max) return bad_request("Content-Length is not below 2^63.");
    return fine;
}

Verdict read_transfer_encoding(std::string_view value) {
    bool chunked = false;
    bool unknown = false;
    std::string_view coding;
    while (next_element(value, coding)) {
        if (!is_token(coding)) {
            return bad_request("Transfer-Encoding is not a list of coding names.");
        }
        if (chunked) return bad_request("Transfer-Encoding: chunked must be once and last.");
        chunked = same_name(coding, "chunked");
        unknown = unknown || !chunked;
    }
    if (!chunked) return bad_request("Transfer-Encoding does not end in chunked.");
    if (unknown) return {501, "Of transfer codings only chunked is understood."};
    return fine;
}

bool is_underscore_twin(std::string_view name) {
    static constexpr std::array<std::string_view, 16> known = {
        "api-key",           "http2-settings", "idempotency-key",   "keep-alive",
        "openai-project",    "true-client-ip", "transfer-encoding", "x-api-key",
        "x-client-ip",       "x-forwarded",    "x-goog-api-key",    "x-original-url",
        "x-conversation-id", "x-real-ip",      "x-request-id",      "x-rewrite-url",
    };
    static constexpr std::array<std::string_view, 9> families = {
        "access-control-", "content-",     "proxy-",        "sec-",      "x-auth-",
        "x-consumer-",     "x-forwarded-", "x-http-method", "x-sluice-",
    };
    if (name.find('_') == name.npos) return false;
    return std::ranges::any_of(known, [&](auto real) { return reads_like(name, real); }) ||
           std::ranges::any_of(families, [&](auto family) { return starts_like(name, family); });
}

Verdict FieldReader::add(Head& head, const FieldLine& line) {
    if (head.count == head.storage.size()) {
        return {431, "There are more header fields than the 100 that are accepted."};
    }
    const FieldId id = field_id(line.name);
    if (request_ && only_once.contains(id) && head.has(id)) return bad_request(twice(id));
    head.storage[head.count++] = {line.name, line.value, id, line.as_is};
    head.present.add(id);
    if (request_ && line.underscore) {
        if (is_underscore_twin(line.name)) {
            return bad_request("A field name has an underscore where the known field has a dash.");
        }
        underscore_ = true;
    }
    return id == FieldId::other ? fine : add_known(head, id, line.value);
}

Verdict FieldReader::add_known(Head& head, FieldId id, std::string_view value) {
    switch (id) {
        case FieldId::host:
            if (!request_) break;
            if (++hosts_ > 1) return bad_request("Host is there more than once.");
            if (!is_authority(value)) return bad_request("Host is not of the form host[:port].");
            host_ = value;
            break;
        case FieldId::expect:
            if (!request_) break;
            expectation_ = true;
            strange_expectation_ = strange_expectation_ || !same_name(value, "100-continue");
            break;
        case FieldId::connection:
            add_connection(value);
            break;
        case FieldId::content_length:
            return add_content_length(head, value);
        case FieldId::transfer_encoding:
            ++transfer_encodings_;
            coding_ = read_transfer_encoding(value);
            break;
        default:
            break;
    }
    return fine;
}

Verdict FieldReader::add_content_length(Head& head, std::string_view value) {
    if (head.has_content_length) return bad_request("Content-Length is there more than once.");
    head.has_content_length = true;
    return read_content_length(value, head.content_length);
}

void FieldReader::add_connection(std::string_view value) {
    std::string_view option;
    while (next_element(value, option)) {
        close_ = close_ || same_name(option, "close");
        keep_alive_ = keep_alive_ || same_name(option, "keep-alive");
    }
}

Verdict FieldReader::check_host(Head& head) const {
    const bool absolute = head.host.data() != nullptr;
    if (hosts_ == 0) {
        if (head.minor == 0) return fine;
        return bad_request("An HTTP/1.1 request needs a Host field.");
    }
    if (absolute && !same_name(head.host, host_)) {
        return bad_request("Host and the host of the request target differ.");
    }
    head.host = host_;
    return fine;
}

Verdict FieldReader::check_framing(const Head& head) const {
    if (transfer_encodings_ == 0) return fine;
    if (head.has_content_length) {
        return bad_request("Content-Length and Transfer-Encoding exclude each other.");
    }
    if (head.minor == 0) return bad_request("HTTP/1.0 has no Transfer-Encoding.");
    if (transfer_encodings_ > 1) return bad_request("Transfer-Encoding is there more than once.");
    return coding_;
}

Verdict FieldReader::conclude_request(Head& head) {
    if (const Verdict verdict = check_framing(head); verdict.refused()) return verdict;
    if (const Verdict verdict = check_host(head); verdict.refused()) return verdict;
    if (underscore_) {
        for (const Field& field : head.fields()) {
            if (field.name.find('_') != field.name.npos && has_twin(head, field.name)) {
                return bad_request("Two field names differ only in an underscore.");
            }
        }
    }
    if (head.minor == 1 && strange_expectation_) {
        return {417, "Of expectations only 100-continue can be met."};
    }
    head.expect_continue = head.minor == 1 && expectation_;
    head.keep_alive = !close_ && (head.minor == 1 || keep_alive_);
    if (transfer_encodings_ != 0) {
        head.framing = Framing::chunked;
    } else {
        // RFC 9112 section 6.3, item 7: a request without both fields has no body, ever.
        head.framing = head.has_content_length ? Framing::length : Framing::none;
    }
    return fine;
}

Verdict FieldReader::conclude_response(Head& head, bool to_head_request) {
    const bool never_body = head.status < 200 || head.status == 204;
    head.keep_alive = !close_ && (head.minor == 1 || keep_alive_);
    // RFC 9112 section 6.3: for these the fields decide nothing, so a bad one harms nobody; but
    // a server that announces a body here may send one, and then the connection is out of step.
    if (never_body) {
        head.framing = Framing::none;
        const bool announced = transfer_encodings_ != 0 || head.content_length != 0;
        head.keep_alive = head.keep_alive && !announced;
        return fine;
    }
    if (const Verdict verdict = check_framing(head); verdict.refused()) return verdict;
    if (to_head_request || head.status == 304) {
        head.framing = Framing::none;
    } else if (transfer_encodings_ != 0) {
        head.framing = Framing::chunked;
    } else if (head.has_content_length) {
        head.framing = Framing::length;
    } else {
        head.framing = Framing::until_close;
        head.keep_alive = false;
    }
    return fine;
}

}  // namespace sluice::http
