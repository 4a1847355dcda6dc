#include "answer_reader.h"

#include "driver.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace sluice::sim {
namespace {

constexpr std::string_view crlf = "\r\n";

std::optional<std::size_t> number_in(std::string_view text, int base) {
    std::size_t value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::size_t number(std::string_view text, int base) {
    const auto value = number_in(text, base);
    expect(value.has_value(), "a client got a bad number");
    return *value;
}

}  // namespace

void AnswerReader::begin(bool head_request) {
    head_request_ = head_request;
    head_done_ = false;
    status_ = 0;
    framing_ = Framing::none;
    fields_.clear();
    length_ = 0;
    body_.clear();
    partial_.clear();
    broken_ = false;
}

std::string AnswerReader::field(const std::string& lower_name) const {
    const auto found = fields_.find(lower_name);
    return found == fields_.end() ? std::string() : found->second;
}

bool AnswerReader::read() {
    while (!head_done_)
        if (!read_head()) return false;
    switch (framing_) {
        case Framing::none:
            return true;
        case Framing::length:
            return read_length();
        case Framing::chunked:
            return read_chunks();
        case Framing::until_close:
            body_ += text_;
            text_.clear();
            return false;
    }
    return false;
}

// True: a head was read, perhaps an interim one.
bool AnswerReader::read_head() {
    const auto end = text_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    std::string head = text_.substr(0, end + crlf.size());
    text_.erase(0, end + 2 * crlf.size());
    const auto line_end = head.find(crlf);
    const std::string_view line = std::string_view(head).substr(0, line_end);
    expect(line.starts_with("HTTP/1.1 ") && line.size() >= 12, "a client got no status line");
    status_ = static_cast<int>(number(line.substr(9, 3), 10));
    fields_.clear();
    for (std::size_t at = line_end + crlf.size(); at < head.size();) {
        const auto next = head.find(crlf, at);
        read_field(std::string_view(head).substr(at, next - at));
        at = next + crlf.size();
    }
    if (status_ < 200) return true;
    head_done_ = true;
    if (head_request_ || status_ == 204 || status_ == 304) {
        framing_ = Framing::none;
    } else if (fields_.contains("transfer-encoding")) {
        expect(field("transfer-encoding") == "chunked", "a client got an unknown coding");
        expect(!fields_.contains("content-length"), "a client got two framings");
        framing_ = Framing::chunked;
    } else if (fields_.contains("content-length")) {
        framing_ = Framing::length;
        length_ = number(field("content-length"), 10);
    } else {
        framing_ = Framing::until_close;
        expect(closes(), "an answer that ends with the connection does not say so");
    }
    return true;
}

void AnswerReader::read_field(std::string_view line) {
    const auto colon = line.find(':');
    expect(colon != std::string_view::npos && colon > 0, "a client got a field without a name");
    std::string name(line.substr(0, colon));
    std::ranges::transform(name, name.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    line.remove_prefix(colon + 1);
    while (line.starts_with(' '))
        line.remove_prefix(1);
    const bool framing = name == "content-length" || name == "transfer-encoding";
    expect(!framing || !fields_.contains(name), "a client got a framing field twice");
    fields_[name] = line;
}

bool AnswerReader::read_length() {
    const std::size_t size = std::min(text_.size(), length_ - body_.size());
    body_.append(text_, 0, size);
    text_.erase(0, size);
    return body_.size() == length_;
}

bool AnswerReader::read_chunks() {
    for (;;) {
        const auto line_end = text_.find(crlf);
        if (line_end == std::string::npos) return false;
        const auto read = number_in(std::string_view(text_).substr(0, line_end), 16);
        broken_ = broken_ || (broken_chunks_expected_ && !read.has_value());
        if (broken_) return false;
        expect(read.has_value(), "a client got a bad number");
        const std::size_t size = *read;
        const std::size_t whole = line_end + crlf.size() + size + crlf.size();
        if (text_.size() < whole) {
            // What is there of this chunk counts when the answer breaks off here.
            if (size > 0) partial_ = text_.substr(line_end + crlf.size(), size);
            return false;
        }
        expect(text_.compare(whole - crlf.size(), crlf.size(), crlf) == 0,
               "a client got a chunk that is longer than it says");
        body_.append(text_, line_end + crlf.size(), size);
        text_.erase(0, whole);
        partial_.clear();
        if (size == 0) return true;
    }
}

}  // namespace sluice::sim
