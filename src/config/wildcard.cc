#include "sluice/config/wildcard.h"

#include <algorithm>

namespace sluice::config {

Result<Wildcard> Wildcard::compile(std::string_view pattern) {
    if (pattern.empty()) {
        return Error::client(400, "A pattern is empty: write '*' for anything.");
    }
    if (pattern.size() > pattern_bytes_max) {
        return Error::client(400, "A pattern has " + std::to_string(pattern.size()) +
                                      " bytes, at most " + std::to_string(pattern_bytes_max) +
                                      " are allowed.");
    }
    return Wildcard(pattern);
}

Wildcard::Wildcard(std::string_view pattern) : pattern_(pattern), border_(pattern.size()) {
    exact_ = pattern_.find('*') == std::string::npos;
    std::vector<Piece> pieces;
    for (std::size_t begin = 0; begin <= pattern_.size();) {
        const std::size_t end = std::min(pattern_.find('*', begin), pattern_.size());
        pieces.push_back(
            {static_cast<std::uint16_t>(begin), static_cast<std::uint16_t>(end - begin)});
        begin = end + 1;
    }
    first_ = pieces.front();
    last_ = pieces.back();
    for (std::size_t i = 1; i + 1 < pieces.size(); ++i)
        if (pieces[i].size > 0) middle_.push_back(pieces[i]);

    for (const Piece piece : middle_) {
        const char* text = pattern_.data() + piece.begin;
        std::uint16_t* border = border_.data() + piece.begin;
        for (std::uint16_t at = 1, matched = 0; at < piece.size; ++at) {
            while (matched > 0 && text[at] != text[matched])
                matched = border[matched - 1];
            if (text[at] == text[matched]) ++matched;
            border[at] = matched;
        }
    }
}

// Where the piece ends for the first time in the text; npos when it does not occur.
std::size_t Wildcard::find(Piece piece, std::string_view text) const {
    const char* wanted = pattern_.data() + piece.begin;
    const std::uint16_t* border = border_.data() + piece.begin;
    std::uint16_t matched = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        while (matched > 0 && text[at] != wanted[matched])
            matched = border[matched - 1];
        if (text[at] == wanted[matched]) ++matched;
        if (matched == piece.size) return at + 1;
    }
    return std::string_view::npos;
}

bool Wildcard::matches(std::string_view text) const {
    if (exact_) return text == pattern_;
    const std::string_view pattern = pattern_;
    const std::string_view first = pattern.substr(first_.begin, first_.size);
    const std::string_view last = pattern.substr(last_.begin, last_.size);
    if (text.size() < first.size() + last.size()) return false;
    if (!text.starts_with(first) || !text.ends_with(last)) return false;
    text.remove_prefix(first.size());
    text.remove_suffix(last.size());
    // The first place of each leaves the most to the next.
    for (const Piece piece : middle_) {
        const std::size_t end = find(piece, text);
        if (end == std::string_view::npos) return false;
        text.remove_prefix(end);
    }
    return true;
}

std::weak_ordering Wildcard::operator<=>(const Wildcard& other) const {
    if (exact_ != other.exact_) return other.exact_ <=> exact_;
    if (exact_) return pattern_ <=> other.pattern_;
    if (first_.size != other.first_.size) return other.first_.size <=> first_.size;
    if (pattern_.size() != other.pattern_.size()) {
        return other.pattern_.size() <=> pattern_.size();
    }
    return pattern_ <=> other.pattern_;
}

Status WildcardTable::add(std::string_view pattern, std::size_t number) {
    SLUICE_ASSERT(number != none);
    Result<Wildcard> wildcard = Wildcard::compile(pattern);
    if (!wildcard.ok()) return wildcard.error();
    const auto at =
        std::ranges::lower_bound(entries_, wildcard.value(), std::less<>(), &Entry::wildcard);
    if (at != entries_.end() && at->wildcard == wildcard.value()) {
        return Error::client(400, "\"" + std::string(pattern) + "\" is there twice.");
    }
    if (wildcard->exact()) ++exact_count_;
    entries_.insert(at, {std::move(wildcard).value(), number});
    return Done{};
}

std::size_t WildcardTable::find(std::string_view text) const {
    const auto names_end = entries_.begin() + static_cast<std::ptrdiff_t>(exact_count_);
    const auto by_name = [](const Entry& entry, std::string_view wanted) {
        return std::string_view(entry.wildcard.pattern()) < wanted;
    };
    const auto name = std::lower_bound(entries_.begin(), names_end, text, by_name);
    if (name != names_end && name->wildcard.pattern() == text) return name->number;
    for (auto at = names_end; at != entries_.end(); ++at)
        if (at->wildcard.matches(text)) return at->number;
    return none;
}

}  // namespace sluice::config
