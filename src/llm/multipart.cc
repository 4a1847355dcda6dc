#include "sluice/llm/multipart.h"

#include "json_text.h"
#include "part_header.h"
#include "sluice/base/assert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice::llm {

namespace {

// RFC 2046, section 5.1.1.
constexpr std::size_t boundary_bytes_max = 70;

bool is_boundary(std::string_view text) {
    constexpr std::string_view others = "'()+_,-./:=? ";
    const bool known = std::all_of(text.begin(), text.end(), [others](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               others.find(c) != std::string_view::npos;
    });
    return known && !text.empty() && text.size() <= boundary_bytes_max && text.back() != ' ';
}

bool is_text(std::string_view value) {
    const char* p = value.data();
    const char* const end = p + value.size();
    while (p != end) {
        const int length = utf8_sequence_length(p, end);
        if (length == 0 || static_cast<signed char>(*p) == 0x7F) return false;
        if (length == 1 && static_cast<unsigned char>(*p) < 0x20) return false;
        p += length;
    }
    return true;
}

std::string_view between(const char* begin, const char* end) {
    return {begin, static_cast<std::size_t>(end - begin)};
}

}  // namespace

Result<MultipartReader> MultipartReader::create(std::string_view content_type) {
    const std::string_view type = content_type.substr(0, content_type.find_first_of("; \t"));
    if (!same_word(type, "multipart/form-data")) {
        return Error::client(415, "The request's Content-Type must be multipart/form-data.");
    }
    Parameters parameters(content_type.substr(type.size()));
    std::string_view boundary;
    int boundaries = 0;
    for (std::string_view name, value; parameters.next(name, value);) {
        if (!same_word(name, "boundary")) continue;
        boundary = value;
        ++boundaries;
    }
    if (parameters.malformed() || boundaries != 1 || !is_boundary(boundary)) {
        return Error::client(400, "The request's Content-Type must name one valid boundary.");
    }
    return MultipartReader(boundary);
}

MultipartReader::MultipartReader(std::string_view boundary) : delimiter_("\r\n--") {
    delimiter_ += boundary;
}

void MultipartReader::feed(std::string_view bytes) {
    if (failed()) return;
    const char* p = bytes.data();
    run_ = p;
    run_end_ = p + bytes.size();
    while (p != run_end_) {
        switch (step_) {
            case Step::content:
                p = read_content(p, run_end_);
                break;
            case Step::header:
                p = read_header(p, run_end_);
                break;
            default:
                p = read_byte(p);
                break;
        }
    }
    offset_ += bytes.size();
}

Result<RequestFacts> MultipartReader::finish() {
    if (!failed() && step_ != Step::end && step_ != Step::done) {
        fail("it ends too early");
    }
    if (failed()) {
        return Error::client(400,
                             fmt::format("The multipart request body is refused: {}.", problem_));
    }
    return std::move(facts_);
}

// Content of a part. The delimiter has one CR, its first byte: where a match fails, only the byte
// at hand can begin another one.
const char* MultipartReader::read_content(const char* p, const char* end) {
    while (p != end) {
        if (matched_ == 0) {
            const auto* cr =
                static_cast<const char*>(std::memchr(p, '\r', static_cast<std::size_t>(end - p)));
            keep(between(p, cr == nullptr ? end : cr));
            if (cr == nullptr || failed()) return end;
            content_end_ = offset_ + static_cast<std::size_t>(cr - run_);
            matched_ = 1;
            p = cr + 1;
        } else if (*p == delimiter_[matched_]) {
            ++p;
            if (++matched_ == delimiter_.size()) {
                end_part();
                if (failed()) return end;
                step_ = Step::after_delimiter;
                return p;
            }
        } else {
            if (part_ == Part::preamble) return fail("text before the first delimiter");
            keep(std::string_view(delimiter_).substr(0, matched_));
            if (failed()) return end;
            matched_ = 0;
        }
    }
    return p;
}

const char* MultipartReader::read_header(const char* p, const char* end) {
    const auto* lf =
        static_cast<const char*>(std::memchr(p, '\n', static_cast<std::size_t>(end - p)));
    const char* behind = lf == nullptr ? end : lf + 1;
    const std::string_view piece = between(p, behind);
    if (text_.size() + piece.size() > multipart_header_bytes_max) {
        return fail("the header of a part is too long");
    }
    text_ += piece;
    if (text_ == "\r\n" || text_.ends_with("\r\n\r\n")) {
        begin_part();
        if (failed()) return end;
        content_begin_ = offset_ + static_cast<std::size_t>(behind - run_);
        matched_ = 0;
        step_ = Step::content;
    }
    return behind;
}

// One byte of what follows a delimiter.
const char* MultipartReader::read_byte(const char* p) {
    const auto expect = [&](char c, Step next) {
        if (*p != c) return fail("a delimiter that is followed by neither a line end nor \"--\"");
        step_ = next;
        return p + 1;
    };
    switch (step_) {
        case Step::after_delimiter:
            return *p == '-' ? expect('-', Step::delimiter_dash) : expect('\r', Step::delimiter_lf);
        case Step::delimiter_lf:
            text_.clear();
            return expect('\n', Step::header);
        case Step::delimiter_dash:
            return expect('-', Step::end);
        case Step::end:
            return *p == '\r' ? expect('\r', Step::end_lf) : fail("trailing bytes");
        case Step::end_lf:
            return expect('\n', Step::done);
        default:
            return fail("trailing bytes");
    }
}

const char* MultipartReader::fail(const char* problem) {
    SLUICE_ASSERT(!failed());
    step_ = Step::failed;
    problem_ = problem;
    return run_end_;
}

// Keeps the content of the parts that are read.
void MultipartReader::keep(std::string_view piece) {
    if (part_ != Part::model && part_ != Part::stream) return;
    if (text_.size() + piece.size() > limits::model_name_bytes_max) {
        fail(part_ == Part::model ? "a model name that is too long"
                                  : "a \"stream\" that is too long");
        return;
    }
    text_ += piece;
}

// Behind the header lines of a part, which are in `text_`.
void MultipartReader::begin_part() {
    PartHeader header;
    if (const char* problem = read_part_header(text_, header)) {
        fail(problem);
        return;
    }
    part_ = Part::other;
    if (header.name == "model" || header.name == "stream") {
        part_ = header.name == "model" ? Part::model : Part::stream;
        bool& seen = part_ == Part::model ? model_seen_ : stream_seen_;
        if (seen) fail("a part that is there twice");
        if (header.is_file && !failed()) fail("a file where a value was expected");
        seen = true;
    }
    text_.clear();
}

// Behind a delimiter.
void MultipartReader::end_part() {
    if (part_ == Part::model) {
        if (!is_text(text_)) {
            fail("a model name that is not text");
            return;
        }
        facts_.model = text_;
        facts_.model_value = {content_begin_, content_end_};
    } else if (part_ == Part::stream) {
        facts_.stream = text_ == "true";
        facts_.stream_given = facts_.stream || text_ == "false";
    }
}

}  // namespace sluice::llm
