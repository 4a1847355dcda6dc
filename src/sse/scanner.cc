#include "sluice/sse/scanner.h"

#include "lines.h"
#include "sluice/base/assert.h"

namespace sluice::sse {

namespace {

constexpr std::string_view bom = "\xEF\xBB\xBF";
// What an idle stream may keep of a buffer it once needed: room for an event of one token, so that
// a busy stream whose events straddle its runs does not allocate for each of them.
constexpr std::size_t kept_capacity_max = 512;

// The value of a line behind its colon: one space there belongs to the syntax.
std::string_view value_of(const char* colon, const char* eol) {
    const char* begin = colon + 1;
    if (begin != eol && *begin == ' ') ++begin;
    return {begin, static_cast<std::size_t>(eol - begin)};
}

// Whether the line [p, eol) is the field `name`; then `value` is its value.
bool is_field(const char* p, const char* eol, std::string_view name, std::string_view& value) {
    const std::string_view line{p, static_cast<std::size_t>(eol - p)};
    if (!line.starts_with(name)) return false;
    if (line.size() == name.size()) {
        value = {};
        return true;
    }
    if (p[name.size()] != ':') return false;
    value = value_of(p + name.size(), eol);
    return true;
}

// What the lines of one event say.
struct Fields {
    std::string_view data;  // of the last data line
    std::string_view name;
    std::string_view error;
    unsigned data_lines = 0;
    bool only_comments = true;

    // A line that is not empty.
    void take(const char* p, const char* eol) {
        if (*p == ':') return;
        only_comments = false;
        if (is_field(p, eol, "data", data)) {
            ++data_lines;
        } else if (!is_field(p, eol, "event", name)) {
            is_field(p, eol, "error", error);
        }
    }
    // The event is over. llama-server's older builds tell of an error by a field of that name,
    // which is an event by that name here.
    void finish() {
        if (data_lines > 0 || error.empty()) return;
        data = error;
        name = "error";
    }
};

// Takes the lines of [p, end) until an empty one: returns the byte behind that and sets `body_end`
// to where it begins. Null when there is none; then all complete lines were taken.
const char* take_lines(const char* p, const char* end, Fields& fields, const char*& body_end) {
    for (;;) {
        const char* eol = find_line_end(p, end);
        if (eol == end) return nullptr;
        if (eol == p) {
            body_end = p;
            return behind_line_end(eol, end);
        }
        fields.take(p, eol);
        p = behind_line_end(eol, end);
    }
}

// Puts the data lines of an event together; `text` holds complete lines only.
void join_data(std::string_view text, std::string& joined) {
    joined.clear();
    const char* const end = text.data() + text.size();
    bool first = true;
    for (const char* p = text.data(); p != end;) {
        const char* eol = find_line_end(p, end);
        SLUICE_ASSERT(eol != end);
        std::string_view value;
        if (is_field(p, eol, "data", value)) {
            if (!first) joined += '\n';
            joined += value;
            first = false;
        }
        p = behind_line_end(eol, end);
    }
}

void shrink(std::string& text) {
    text.clear();
    if (text.capacity() > kept_capacity_max) std::string().swap(text);
}

std::string_view between(const char* begin, const char* end) {
    return {begin, static_cast<std::size_t>(end - begin)};
}

// Takes the line end off the end of `text`, if there is one.
bool take_line_end(std::string_view& text) {
    const std::size_t size = text.ends_with("\r\n") ? 2 : 1;
    if (!text.ends_with('\n') && !text.ends_with('\r')) return false;
    text.remove_suffix(size);
    return true;
}

}  // namespace

bool Scanner::next(std::string_view run, std::size_t from, Event& event) {
    SLUICE_ASSERT(from <= run.size());
    if (borrowed_) release();
    if (form_ == Form::json_lines) return next_line(run, from, event);
    const char* const end = run.data() + run.size();
    const char* p = run.data() + from;
    if (p == end) return false;
    if (bom_matched_ < bom.size()) [[unlikely]]
        p = skip_bom(p, end);

    const char* piece = p;  // what of this run belongs to the event
    if (after_cr_ && p != end) {
        after_cr_ = false;
        if (*p == '\n') ++p;
        if (!in_event_) piece = p;
    }
    if (p == end) {
        if (in_event_) gather(piece, end);
        return false;
    }

    Fields fields;
    const char* body_end = nullptr;
    const char* behind =
        in_event_ ? find_end_of_event(p, end, body_end) : take_lines(p, end, fields, body_end);
    if (behind == nullptr) {
        if (!in_event_) {
            in_event_ = true;
            line_is_empty_ = end[-1] == '\n' || end[-1] == '\r';
        }
        after_cr_ = end[-1] == '\r';
        gather(piece, end);
        return false;
    }

    std::string_view text = between(piece, body_end);
    if (in_event_) {
        gather(piece, body_end);
        text = gathered_;
        const char* const text_end = text.data() + text.size();
        take_lines(text.data(), text_end, fields, body_end);
        borrowed_ = true;
    }
    fields.finish();
    event = Event{};
    event.end = static_cast<std::size_t>(behind - run.data());
    event.oversized = oversized_ || text.size() > limits::sse_event_bytes_max;
    if (!event.oversized) {
        if (fields.data_lines > 1) {
            join_data(text, joined_);
            fields.data = joined_;
            borrowed_ = true;
        }
        event.data = fields.data;
        event.name = fields.name;
        event.comment_only = fields.only_comments;
    }
    in_event_ = false;
    oversized_ = false;
    after_cr_ = behind == end && behind[-1] == '\r';
    return true;
}

bool Scanner::next_line(std::string_view run, std::size_t from, Event& event) {
    const std::string_view rest = run.substr(from);
    const std::size_t eol = rest.find('\n');
    const std::string_view piece = rest.substr(0, eol);
    if (in_event_ || eol == rest.npos) gather(piece.data(), piece.data() + piece.size());
    if (eol == rest.npos) {
        in_event_ |= !rest.empty();
        return false;
    }
    take_line(in_event_ ? std::string_view(gathered_) : piece, event);
    event.end = from + eol + 1;
    return true;
}

void Scanner::take_line(std::string_view line, Event& event) {
    event = Event{};
    event.oversized = oversized_ || line.size() > limits::sse_event_bytes_max;
    if (!event.oversized) {
        if (line.ends_with('\r')) line.remove_suffix(1);
        event.data = line;
        event.comment_only = line.empty();
    }
    borrowed_ = in_event_;
    in_event_ = false;
    oversized_ = false;
}

bool Scanner::finish(Event& event) {
    if (borrowed_) release();
    if (!in_event_) return false;
    if (form_ == Form::json_lines) {
        take_line(gathered_, event);
        return true;
    }
    event = Event{};
    event.oversized = oversized_;
    Fields fields;
    if (!oversized_) {
        // Its last line may have its end or not.
        gathered_ += "\n\n";
        const char* body_end = nullptr;
        take_lines(gathered_.data(), gathered_.data() + gathered_.size(), fields, body_end);
        if (fields.data_lines > 1) {
            join_data(between(gathered_.data(), body_end), joined_);
            fields.data = joined_;
        }
    }
    fields.finish();
    event.data = fields.data;
    event.name = fields.name;
    event.comment_only = fields.only_comments && !oversized_;
    borrowed_ = true;
    in_event_ = false;
    oversized_ = false;
    return true;
}

// The stream's first bytes may be a BOM, which belongs to no line. Returns where the text begins.
const char* Scanner::skip_bom(const char* p, const char* end) {
    const char* const begin = p;
    while (bom_matched_ < bom.size() && p != end && *p == bom[bom_matched_]) {
        ++bom_matched_;
        ++p;
    }
    if (bom_matched_ == bom.size() || p == end) return p;
    // It is none: what looked like one in earlier runs begins the first line.
    const auto earlier = bom_matched_ - static_cast<std::size_t>(p - begin);
    bom_matched_ = bom.size();
    if (earlier > 0) {
        gather(bom.data(), bom.data() + earlier);
        in_event_ = true;
        line_is_empty_ = false;
    }
    return begin;
}

// Where an event ends that began in an earlier run: the byte behind its empty line, which begins at
// `body_end`; or null, and then the state of its last line is kept.
const char* Scanner::find_end_of_event(const char* p, const char* end, const char*& body_end) {
    for (;;) {
        const char* eol = find_line_end(p, end);
        if (eol == end) {
            if (p != end) line_is_empty_ = false;
            return nullptr;
        }
        if (eol == p && line_is_empty_) {
            body_end = p;
            return behind_line_end(eol, end);
        }
        line_is_empty_ = true;
        p = behind_line_end(eol, end);
    }
}

void Scanner::gather(const char* begin, const char* end) {
    if (oversized_) return;
    const std::string_view piece = between(begin, end);
    if (gathered_.size() + piece.size() > limits::sse_event_bytes_max) {
        oversized_ = true;
        shrink(gathered_);
        return;
    }
    gathered_ += piece;
}

void Scanner::release() {
    SLUICE_ASSERT(!in_event_);
    shrink(gathered_);
    shrink(joined_);
    borrowed_ = false;
}

bool ends_event(std::string_view text, Form form) {
    return take_line_end(text) && (form == Form::json_lines || take_line_end(text));
}

}  // namespace sluice::sse
