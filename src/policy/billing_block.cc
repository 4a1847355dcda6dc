#include "billing_block.h"

#include "volatile_bytes.h"

#include <algorithm>
#include <initializer_list>

namespace sluice::policy {

namespace {

constexpr std::string_view billing_name = "x-anthropic-billing-header:";
constexpr std::size_t begin_max = 64;  // of the name: a role and a type may stand before it

std::size_t skip_blanks_from(std::string_view text, std::size_t at) {
    while (at < text.size() && is_blank(text[at]))
        ++at;
    return at;
}

// Of other prompts this is all that is looked at.
std::size_t find_name(std::string_view head) {
    std::size_t at = 0;
#if defined(__SSE2__)
    const __m128i first = _mm_set1_epi8(billing_name[0]);
    const __m128i second = _mm_set1_epi8(billing_name[1]);
    for (; head.size() - at > 16; at += 16) {
        const char* const p = head.data() + at;
        const __m128i hits = _mm_and_si128(_mm_cmpeq_epi8(load_step(p), first),
                                           _mm_cmpeq_epi8(load_step(p + 1), second));
        if (_mm_movemask_epi8(hits) != 0) break;
    }
#endif
    return head.find(billing_name, at);
}

// Behind the last of the pairs `word=value;` from `at` on.
std::size_t skip_pairs(std::string_view text, std::size_t at) {
    for (;;) {
        const std::size_t word = skip_blanks_from(text, at);
        const std::size_t equals = run_end(text, word);
        if (equals == text.size()) return equals;
        if (equals == word || text[equals] != '=') return at;
        at = std::min(text.find_first_of("; \"\\", equals), text.size());
        if (at < text.size() && text[at] == ';') ++at;
    }
}

// Behind the ends of lines from `at` on, as a JSON string has them.
std::size_t skip_line_ends(std::string_view text, std::size_t at) {
    for (;;) {
        if (at < text.size() && (is_blank(text[at]) || text.substr(at) == "\\"))
            ++at;
        else if (text.substr(at).starts_with("\\n") || text.substr(at).starts_with("\\r"))
            at += 2;
        else
            return at;
    }
}

// Where what stands before `at` begins, if it is that, blanks aside; else npos.
std::size_t opening_begin(std::string_view opening, std::string_view text, std::size_t at) {
    for (; !opening.empty(); opening.remove_suffix(1)) {
        while (at > 0 && is_blank(text[at - 1]))
            --at;
        if (at == 0 || text[--at] != opening.back()) return text.npos;
    }
    return at;
}

// Where the object begins whose text begins at `at`; npos where that is not all that it is about.
std::size_t object_begin(std::string_view text, std::size_t at) {
    using namespace std::string_view_literals;
    std::size_t begin = text.npos;
    for (const auto opening : {"{\"type\":\"text\",\"text\":\""sv, "{\"text\":\""sv,
                               "{\"role\":\"system\",\"content\":\""sv})
        begin = std::min(begin, opening_begin(opening, text, at));
    return begin;
}

// Behind the object that ends from `at` on, and the comma behind it; npos where it does not end.
std::size_t object_end(std::string_view text, std::size_t at) {
    int depth = 1;
    for (; depth > 0; ++at) {
        at = text.find_first_of("{}", at);
        if (at == text.npos) return at;
        depth += text[at] == '{' ? 1 : -1;
    }
    const std::size_t comma = skip_blanks_from(text, at);
    return comma < text.size() && text[comma] == ',' ? skip_blanks_from(text, comma + 1) : comma;
}

}  // namespace

BillingBlock find_billing_block(std::string_view head, bool whole) {
    constexpr std::size_t looked_at = begin_max + billing_name.size();
    const std::size_t at = find_name(head.substr(0, looked_at));
    if (at == head.npos) return {.undecided = !whole && head.size() < looked_at};
    const std::size_t behind = skip_line_ends(head, skip_pairs(head, at + billing_name.size()));
    if (behind == head.size() && !whole) return {.undecided = true};
    const std::size_t begin = object_begin(head, at);
    if (begin == head.npos || behind == head.size() || head[behind] != '"')
        return {.begin = at, .end = behind};
    const std::size_t end = object_end(head, behind);
    if (end == head.npos || (end == head.size() && !whole)) return {.undecided = !whole};
    return {.begin = begin, .end = end};
}

}  // namespace sluice::policy
