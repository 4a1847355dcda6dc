#include "text.h"

#include "sluice/base/assert.h"
#include "sluice/config/labels.h"

#include <algorithm>
#include <vector>

namespace sluice::config {
namespace {

// Names are compared that long: nobody means a name by a text that is much longer.
constexpr std::size_t compared_bytes_max = 64;

// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
std::size_t edits(std::string_view a, std::string_view b) {
    SLUICE_ASSERT(a.size() <= compared_bytes_max && b.size() <= compared_bytes_max);
    std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j)
        last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        before.swap(last);
        last.swap(row);
    }
    return last[b.size()];
}

bool continues(char c) {
    return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
    if (text.empty()) return 0;
    const auto first = static_cast<unsigned char>(text[0]);
    if (first < 0x80) return 1;
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
    if (!std::ranges::all_of(text.substr(1, length - 1), continues)) return 0;
    const auto second = static_cast<unsigned char>(text[1]);
    if (first == 0xe0 && second < 0xa0) return 0;  // too long a form
    if (first == 0xed && second > 0x9f) return 0;  // a surrogate
    if (first == 0xf0 && second < 0x90) return 0;
    if (first == 0xf4 && second > 0x8f) return 0;  // behind the last code point
    return length;
}

std::string shown(std::string_view text, std::size_t bytes_max) {
    std::string out;
    std::size_t at = 0;
    while (at < text.size() && out.size() < bytes_max) {
        const std::size_t length = std::max<std::size_t>(1, utf8_length(text.substr(at)));
        const auto byte = static_cast<unsigned char>(text[at]);
        if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && length == 1))
            out += '?';
        else
            out += text.substr(at, length);
        at += length;
    }
    if (at < text.size()) out += "...";
    return out;
}

std::string metric_label(std::string_view name) {
    std::string out = "label_";
    for (const char c : name) {
        const bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        out += plain ? c : '_';
    }
    return out;
}

std::string_view nearest_of(std::string_view text, std::span<const std::string_view> names) {
    if (text.size() > compared_bytes_max) return {};
    std::string_view nearest;
    std::size_t fewest = compared_bytes_max;
    for (const std::string_view name : names) {
        if (name.size() > compared_bytes_max) continue;
        const std::size_t count = edits(text, name);
        if (count >= fewest) continue;
        fewest = count;
        nearest = name;
    }
    // A third of the longer one: "retry" is not meant by "queue", and "b" not by "a".
    const std::size_t longer = std::max(text.size(), nearest.size());
    const bool is_near = fewest <= (longer == 2 ? 1 : longer / 3);
    return is_near ? nearest : std::string_view();
}

std::string did_you_mean(std::string_view text, std::span<const std::string_view> names) {
    const std::string_view nearest = nearest_of(text, names);
    return nearest.empty() ? std::string() : "; did you mean '" + std::string(nearest) + "'?";
}

std::string one_of(std::span<const std::string_view> names) {
    std::string out;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i > 0) out += i + 1 == names.size() ? " or " : ", ";
        out += names[i];
    }
    return out;
}

}  // namespace sluice::config
