// CanonicalJson: one spelling for all JSON texts that mean the same.
//
// Pure. Reads a whole text (RFC 8259) and writes it in its canonical form, which is JSON itself:
// - no white space; members in the order of their keys' canonical bytes;
// - strings in UTF-8, with only the escapes that must be: \" \\ \b \f \n \r \t, \u00xx of other
//   control characters. Nothing is trimmed, folded or normalised. An escaped half of a surrogate
//   pair (well formed, section 8.2) stays an escape, \udxxx, and so differs from every other text;
// - numbers by their exact decimal value: digits without a zero at either end, then, unless it is
//   0, `e` and the exponent. 1, 1.0, 1e0 and 10e-1 are `1`; 100 is `1e2`; -0 is `0`. Nothing is
//   rounded, and the work does not grow with the exponent.
// Two texts have the same form if and only if they are the same value under these rules. RFC 8785
// goes another way with numbers (as doubles) and orders keys by UTF-16; it would take different
// requests for one.
//
// Refused, because parsers part over them: a key that is twice in one object, also when one is
// written with escapes; two keys of one object that differ only in case, as far as Go's parser
// takes them for the same (ASCII, U+017F, U+212A); half of a surrogate pair or U+0000 in a key.
//
// The scratch memory is kept from text to text: in steady state nothing is allocated. It is at most
// 48 bytes for each value and key of the largest text that was read, and twice its size.
#pragma once

#include "sluice/base/limits.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::llm {

// Why a text has no canonical form.
enum class JsonFault : std::uint8_t {
    none,
    too_large,        // more bytes than the bounds allow
    too_deep,         // more levels
    too_many_values,  // more values and keys
    malformed,        // not JSON, or not UTF-8
    trailing_bytes,   // behind the value
    duplicate_key,
    ambiguous_key,     // see above: the same key to some parsers
    exponent_too_long  // of more than 17 digits
};

struct JsonBounds {
    std::size_t bytes_max = 1 * limits::MiB;
    int depth_max = 128;
    std::size_t values_max = 64 * limits::KiB;
};

// Hands on text in runs of a few KiB: small pieces are gathered, long ones passed as they are.
class RunWriter {
public:
    // `sink` is called with `context` and each run, which is valid only for the call.
    using Sink = void (*)(void* context, std::string_view run);
    RunWriter(Sink sink, void* context) : sink_(sink), context_(context) {}

    void put(char c) {
        if (size_ == buffer_.size()) flush();
        buffer_[size_++] = c;
    }
    void put(std::string_view text);
    // What is gathered; the last call.
    void flush();

private:
    Sink sink_;
    void* context_;
    std::size_t size_ = 0;
    std::array<char, 2048> buffer_;
};

class CanonicalJson {
public:
    enum class Kind : std::uint8_t { null, true_, false_, number, string, array, object };
    // A value of the text that was read last.
    using Id = std::uint32_t;
    static constexpr Id root = 0;

    explicit CanonicalJson(JsonBounds bounds = {});

    const JsonBounds& bounds() const { return bounds_; }
    // What the scratch memory takes, and giving it back: after a large text, when there is time.
    std::size_t scratch_bytes() const;
    void release();

    // `text` must stay until it has been written. After a fault nothing may be asked for.
    JsonFault read(std::string_view text);

    Kind kind(Id value) const { return static_cast<Kind>(values_[value].kind); }
    bool is_empty(Id container) const { return values_[container].after == container + 1; }
    // The first value behind it and all that is in it. The elements of an array are array + 1, and
    // then each after() the one before, up to after() the array.
    Id after(Id value) const { return values_[value].after; }
    // The canonical spelling of what is no container; of a string without its quotes.
    std::string_view spelling(Id value) const;

    // --- objects: members in canonical order ---
    std::size_t member_count(Id object) const { return values_[object].count; }
    std::string_view key(Id object, std::size_t member) const;  // in canonical spelling
    Id member(Id object, std::size_t member) const { return key_of(object, member) + 1; }
    // `key` in canonical spelling.
    std::optional<Id> find(Id object, std::string_view key) const;

    void write(Id value, RunWriter& out) const;
    // "key":value, without a comma.
    void write_member(Id object, std::size_t member, RunWriter& out) const;

private:
    struct Value {
        std::uint32_t begin = 0;  // of its spelling, in the text or in `spelled_`
        std::uint32_t end = 0;
        std::uint32_t after = 0;  // the first value behind it and what is in it
        std::uint32_t order = 0;  // an object's members: from here in `order_`
        std::uint32_t count = 0;  // of members
        std::uint8_t kind = 0;
        bool respelled = false;
        bool folds = false;  // an object has a key that may be another one in another case
    };
    struct SortedKey {
        std::uint64_t prefix;  // the first eight bytes, so that most comparisons need no more
        std::uint32_t key;
    };
    friend class CanonicalHandler;

    Id key_of(Id object, std::size_t member) const {
        return order_[values_[object].order + member];
    }
    void put_string(Id string, RunWriter& out) const;
    bool key_before(const SortedKey& a, const SortedKey& b) const;

    JsonBounds bounds_;
    std::string_view text_;
    std::vector<Value> values_;  // in the order of the text; a key stands before its value
    std::vector<std::uint32_t> order_;
    std::string spelled_;
    // --- only while reading ---
    std::vector<Id> open_;
    std::vector<SortedKey> keys_;  // of the objects that are open
    std::vector<std::uint64_t> folded_;
};

}  // namespace sluice::llm
