#include "sluice/llm/canonical_json.h"

#include "canonical_text.h"
#include "json_walker.h"
#include "sluice/base/assert.h"

#include <algorithm>
#include <cstring>

namespace sluice::llm {

void RunWriter::flush() {
    if (size_ > 0) sink_(context_, {buffer_.data(), size_});
    size_ = 0;
}

void RunWriter::put(std::string_view text) {
    if (text.size() > buffer_.size() - size_) {
        flush();
        if (text.size() > buffer_.size() / 4) return sink_(context_, text);
    }
    std::memcpy(buffer_.data() + size_, text.data(), text.size());
    size_ += text.size();
}

// Takes what the walker meets into the values. The walker checks the structure; what a string, a
// key and a number may be is checked here. After a fault nothing more is taken.
class CanonicalHandler {
public:
    static constexpr bool strict = false;
    using Kind = CanonicalJson::Kind;

    explicit CanonicalHandler(CanonicalJson& json) : json_(json) {}

    void on_key(int /*depth*/, const JsonText& key) {
        const CanonicalJson::Id id = add_text(key, true);
        if (fault_ != JsonFault::none) return;
        const std::string_view spelling = json_.spelling(id);
        CanonicalJson::Value& object = json_.values_[json_.open_.back()];
        ++object.count;
        object.folds |= may_fold(spelling);
        json_.keys_.push_back({prefix_of(spelling), id});
    }
    void on_string(int depth, const JsonText& string) {
        add_text(string, false);
        value_done(depth);
    }
    void on_number(int depth, const JsonNumber& number) {
        if (fault_ != JsonFault::none) return;
        const std::size_t begin = json_.spelled_.size();
        const Spelled spelled = spell_number(text_of(number.span), json_.spelled_);
        add_spelled(Kind::number, number.span, spelled, begin);
        value_done(depth);
    }
    void on_literal(int depth, JsonLiteral literal, Span span) {
        static constexpr Kind kinds[] = {Kind::null, Kind::false_, Kind::true_};
        add(kinds[static_cast<std::size_t>(literal)], span.begin, span.end);
        value_done(depth);
    }
    void on_open(int depth, bool is_object, std::size_t /*begin*/) {
        if (depth > json_.bounds_.depth_max) fail(JsonFault::too_deep);
        const CanonicalJson::Id id = add(is_object ? Kind::object : Kind::array, 0, 0);
        if (fault_ == JsonFault::none) json_.open_.push_back(id);
    }
    void on_close(int depth, std::size_t /*end*/) {
        if (fault_ != JsonFault::none) return;
        SLUICE_ASSERT(json_.open_.size() == static_cast<std::size_t>(depth));
        const CanonicalJson::Id id = json_.open_.back();
        json_.open_.pop_back();
        CanonicalJson::Value& value = json_.values_[id];
        value.after = static_cast<std::uint32_t>(json_.values_.size());
        if (json_.kind(id) == Kind::object) order_members(value);
        value_done(depth - 1);
    }

    JsonFault fault(bool whole) const {
        if (fault_ != JsonFault::none || whole) return fault_;
        return done_ ? JsonFault::trailing_bytes : JsonFault::malformed;
    }

private:
    static std::uint64_t prefix_of(std::string_view key) {
        std::array<std::uint8_t, 8> bytes{};
        std::memcpy(bytes.data(), key.data(), std::min(key.size(), bytes.size()));
        std::uint64_t prefix = 0;
        for (const std::uint8_t byte : bytes)
            prefix = prefix << 8 | byte;
        return prefix;
    }
    std::string_view text_of(Span span) const {
        return json_.text_.substr(span.begin, span.end - span.begin);
    }
    void fail(JsonFault fault) {
        if (fault_ == JsonFault::none) fault_ = fault;
    }
    void value_done(int depth) { done_ |= depth == 0; }

    CanonicalJson::Id add(Kind kind, std::size_t begin, std::size_t end);
    CanonicalJson::Id add_text(const JsonText& text, bool is_key);
    CanonicalJson::Id add_spelled(Kind kind, Span raw, Spelled spelled, std::size_t begin);
    void order_members(CanonicalJson::Value& object);
    void check_folded(std::size_t first);

    CanonicalJson& json_;
    JsonFault fault_ = JsonFault::none;
    bool done_ = false;  // the outermost value
};

CanonicalJson::Id CanonicalHandler::add(Kind kind, std::size_t begin, std::size_t end) {
    if (json_.values_.size() >= json_.bounds_.values_max) fail(JsonFault::too_many_values);
    if (fault_ != JsonFault::none) return CanonicalJson::root;
    const auto id = static_cast<CanonicalJson::Id>(json_.values_.size());
    json_.values_.push_back({.begin = static_cast<std::uint32_t>(begin),
                             .end = static_cast<std::uint32_t>(end),
                             .after = id + 1,
                             .kind = static_cast<std::uint8_t>(kind)});
    return id;
}

CanonicalJson::Id CanonicalHandler::add_spelled(Kind kind, Span raw, Spelled spelled,
                                                std::size_t begin) {
    if (spelled.fault != JsonFault::none) fail(spelled.fault);
    const bool same = spelled.same;
    const CanonicalJson::Id id =
        add(kind, same ? raw.begin : begin, same ? raw.end : json_.spelled_.size());
    if (fault_ == JsonFault::none) json_.values_[id].respelled = !same;
    return id;
}

CanonicalJson::Id CanonicalHandler::add_text(const JsonText& text, bool is_key) {
    if (fault_ != JsonFault::none) return CanonicalJson::root;
    const std::size_t begin = json_.spelled_.size();
    const Spelled spelled = spell_string(text.text, is_key, json_.spelled_);
    const Span raw{text.span.begin + 1, text.span.end - 1};
    return add_spelled(Kind::string, raw, spelled, begin);
}

// The keys of the object that is closed are the last ones of `keys_`.
void CanonicalHandler::order_members(CanonicalJson::Value& object) {
    auto& keys = json_.keys_;
    const std::size_t first = keys.size() - object.count;
    const auto begin = keys.begin() + static_cast<std::ptrdiff_t>(first);
    const auto before = [this](const auto& a, const auto& b) { return json_.key_before(a, b); };
    if (!std::is_sorted(begin, keys.end(), before)) std::sort(begin, keys.end(), before);
    const auto same = [this](const auto& a, const auto& b) {
        return a.prefix == b.prefix && json_.spelling(a.key) == json_.spelling(b.key);
    };
    if (std::adjacent_find(begin, keys.end(), same) != keys.end()) fail(JsonFault::duplicate_key);
    if (object.folds) check_folded(first);
    object.order = static_cast<std::uint32_t>(json_.order_.size());
    for (auto key = begin; key != keys.end(); ++key)
        json_.order_.push_back(key->key);
    keys.resize(first);
}

// Two keys with one hash are taken for the same, which costs no more than a key of the cache.
void CanonicalHandler::check_folded(std::size_t first) {
    auto& folded = json_.folded_;
    folded.clear();
    for (std::size_t i = first; i < json_.keys_.size(); ++i)
        folded.push_back(hash_folded(json_.spelling(json_.keys_[i].key)));
    std::sort(folded.begin(), folded.end());
    if (std::adjacent_find(folded.begin(), folded.end()) != folded.end())
        fail(JsonFault::ambiguous_key);
}

CanonicalJson::CanonicalJson(JsonBounds bounds) : bounds_(bounds) {
    // Places are kept in 32 bits, and the walker has a bound of its own.
    SLUICE_ASSERT(bounds.bytes_max <= limits::request_body_bytes_max);
    SLUICE_ASSERT(bounds.depth_max > 0 &&
                  bounds.depth_max <= static_cast<int>(limits::json_depth_max));
}

std::size_t CanonicalJson::scratch_bytes() const {
    const auto of = [](const auto& vector) { return vector.capacity() * sizeof(vector[0]); };
    return of(values_) + of(order_) + spelled_.capacity() + of(open_) + of(keys_) + of(folded_);
}

void CanonicalJson::release() {
    *this = CanonicalJson(bounds_);
    std::string().swap(spelled_);  // an assignment of nothing keeps its memory
}

JsonFault CanonicalJson::read(std::string_view text) {
    text_ = text;
    values_.clear();
    order_.clear();
    spelled_.clear();
    open_.clear();
    keys_.clear();
    if (text.size() > bounds_.bytes_max) return JsonFault::too_large;
    CanonicalHandler handler(*this);
    JsonWalker walker(text, handler);
    const bool whole = walker.walk();
    const JsonFault fault = handler.fault(whole);
    SLUICE_ASSERT(fault != JsonFault::none || (keys_.empty() && open_.empty()));
    return fault;
}

std::string_view CanonicalJson::spelling(Id value) const {
    const Value& v = values_[value];
    const std::string_view from = v.respelled ? std::string_view(spelled_) : text_;
    return from.substr(v.begin, v.end - v.begin);
}

std::string_view CanonicalJson::key(Id object, std::size_t member) const {
    return spelling(key_of(object, member));
}

bool CanonicalJson::key_before(const SortedKey& a, const SortedKey& b) const {
    if (a.prefix != b.prefix) return a.prefix < b.prefix;
    return spelling(a.key) < spelling(b.key);
}

std::optional<CanonicalJson::Id> CanonicalJson::find(Id object, std::string_view name) const {
    std::size_t low = 0;
    std::size_t high = member_count(object);
    while (low < high) {
        const std::size_t middle = (low + high) / 2;
        const int order = key(object, middle).compare(name);
        if (order == 0) return member(object, middle);
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return std::nullopt;
}

void CanonicalJson::put_string(Id string, RunWriter& out) const {
    out.put('"');
    out.put(spelling(string));
    out.put('"');
}

void CanonicalJson::write_member(Id object, std::size_t member, RunWriter& out) const {
    put_string(key_of(object, member), out);
    out.put(':');
    write(key_of(object, member) + 1, out);
}

// As deep as the text is, which has a bound.
void CanonicalJson::write(Id value, RunWriter& out) const {
    switch (kind(value)) {
        case Kind::string:
            return put_string(value, out);
        case Kind::array:
            out.put('[');
            for (Id each = value + 1; each != values_[value].after; each = values_[each].after) {
                if (each != value + 1) out.put(',');
                write(each, out);
            }
            return out.put(']');
        case Kind::object:
            out.put('{');
            for (std::size_t i = 0; i < member_count(value); ++i) {
                if (i > 0) out.put(',');
                write_member(value, i, out);
            }
            return out.put('}');
        default:
            return out.put(spelling(value));
    }
}

}  // namespace sluice::llm
