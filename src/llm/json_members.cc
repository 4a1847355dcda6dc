#include "json_members.h"

#include "json_scanner.h"
#include "json_string.h"
#include "json_walker.h"
#include "sluice/base/assert.h"

#include <algorithm>

namespace sluice::llm {

namespace {

// Takes down what stands right inside of the outermost container.
class LevelHandler {
public:
    static constexpr bool strict = false;

    explicit LevelHandler(std::string_view text) : text_(text) {
        values.reserve(8);  // a chunk of a stream has about so many
    }

    void on_key(int depth, const JsonText& key) {
        if (depth != 1) return;
        if (key.text.find('\\') != key.text.npos) escaped_key = true;
        key_ = key.text;
    }
    void on_string(int depth, const JsonText& string) { take(depth, string.span); }
    void on_number(int depth, const JsonNumber& number) { take(depth, number.span); }
    void on_literal(int depth, JsonLiteral, Span span) { take(depth, span); }
    void on_open(int depth, bool is_object, std::size_t begin) {
        if (depth == 1) root_is = is_object ? '{' : '[';
        if (depth == 2) begin_ = begin;
    }
    void on_close(int depth, std::size_t end) { take(depth - 1, {begin_, end}); }

    std::vector<JsonMember> values;
    char root_is = 0;
    bool escaped_key = false;

private:
    void take(int depth, Span span) {
        if (depth == 1) values.push_back({key_, text_.substr(span.begin, span.end - span.begin)});
    }

    std::string_view text_;
    std::string_view key_;
    std::size_t begin_ = 0;
};

// Has the scanner check a text, and keeps nothing.
struct SoundHandler {
    static constexpr bool strict = true;
    static constexpr std::size_t text_bytes_max = 1;

    const char* on_key(int, const JsonText&) { return nullptr; }
    const char* on_string(int, const JsonText&) { return nullptr; }
    const char* on_number(int, const JsonNumber&) { return nullptr; }
    const char* on_literal(int, JsonLiteral, Span) { return nullptr; }
    const char* on_open(int, bool, std::size_t) { return nullptr; }
    const char* on_close(int, std::size_t) { return nullptr; }
};

}  // namespace

std::optional<JsonMembers> JsonMembers::read(std::string_view text) {
    LevelHandler handler(text);
    if (!JsonWalker(text, handler).walk() || handler.root_is != '{') return std::nullopt;
    if (handler.escaped_key || handler.values.size() > members_max) return std::nullopt;
    JsonMembers members;
    members.members_ = std::move(handler.values);
    const auto& all = members.members_;
    for (auto member = all.begin(); member != all.end(); ++member) {
        const auto same = [member](const JsonMember& other) { return other.key == member->key; };
        if (std::any_of(all.begin(), member, same)) return std::nullopt;
    }
    return members;
}

std::string_view JsonMembers::find(std::string_view key) const {
    for (const JsonMember& member : members_) {
        if (member.key == key) return member.value;
    }
    return {};
}

bool JsonMembers::has(std::string_view key) const {
    return !is_json_nothing(find(key));
}

std::optional<std::vector<std::string_view>> read_json_elements(std::string_view text) {
    LevelHandler handler(text);
    if (!JsonWalker(text, handler).walk() || handler.root_is != '[') return std::nullopt;
    std::vector<std::string_view> elements;
    elements.reserve(handler.values.size());
    for (const JsonMember& value : handler.values)
        elements.push_back(value.value);
    return elements;
}

std::optional<std::size_t> read_json_index(std::string_view value) {
    if (value.empty() || value.size() > 3) return std::nullopt;
    std::size_t index = 0;
    for (const char c : value) {
        if (c < '0' || c > '9') return std::nullopt;
        index = index * 10 + static_cast<std::size_t>(c - '0');
    }
    return index;
}

std::string_view trimmed_json(std::string_view text) {
    constexpr std::string_view spaces = " \t\r\n";
    const std::size_t first = text.find_first_not_of(spaces);
    if (first == text.npos) return {};
    return text.substr(first, text.find_last_not_of(spaces) - first + 1);
}

bool has_whole_escapes(std::string_view inside) {
    const char* const end = inside.data() + inside.size();
    for (const char* p = skip_any_text(inside.data(), end); p != end; p = skip_any_text(p, end)) {
        if (*p != '\\') return false;
        const JsonCharacter c = read_json_escape(p, end);
        if (c.behind == nullptr) return false;
        p = c.behind;
    }
    return true;
}

std::optional<std::string> decode_json_text(std::string_view inside) {
    std::string out;
    const auto on_text = [&out](std::string_view text) {
        out += text;
        return true;
    };
    if (!decode_json_string(inside, on_text, [](std::uint32_t) { return false; }))
        return std::nullopt;
    return out;
}

bool is_sound_json(std::string_view text) {
    SoundHandler handler;
    JsonScanner<SoundHandler>::State state;
    JsonScanner<SoundHandler> scanner(state, handler);
    scanner.feed(text);
    return scanner.finish();
}

namespace {

// Behind the character or escape at `p`, with the other half of a pair of surrogates.
const char* behind_character(const char* p, const char* end) {
    if (*p != '\\') return p + std::max(1, utf8_sequence_length(p, end));
    const JsonCharacter c = read_json_escape(p, end);
    return c.behind != nullptr ? c.behind : end;
}

}  // namespace

std::string_view take_json_piece(std::string_view& inside, std::size_t bytes) {
    SLUICE_ASSERT(bytes >= 12);  // the longest character: a pair of surrogates as escapes
    std::string_view piece = inside;
    if (inside.size() > bytes) {
        const char* const end = inside.data() + inside.size();
        const char* const limit = inside.data() + bytes;
        const char* p = inside.data();
        while (p < limit) {
            const char* const behind = behind_character(p, end);
            if (behind > limit) break;
            p = behind;
        }
        piece = inside.substr(0, static_cast<std::size_t>(p - inside.data()));
    }
    inside.remove_prefix(piece.size());
    SLUICE_ASSERT(!piece.empty() || inside.empty());
    return piece;
}

}  // namespace sluice::llm
