#include "sluice/policy/path_rewrite.h"

#include "regex.h"
#include "sluice/http/path.h"
#include "sluice/policy/path_prefix.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace sluice::policy {

namespace {

Error bad_rewrite(std::string what) {
    return Error::client(400, std::move(what));
}

bool is_decimal(char c) {
    return c >= '0' && c <= '9';
}

// Text that a path may have; where its escapes and dots stand is checked in the result.
bool is_path_text(char c) {
    return c > ' ' && c < 0x7f && c != '?' && c != '#' && c != '\\' && c != ';';
}

// Puts text behind text, as far as there is room.
class Writer {
public:
    explicit Writer(std::span<char> room) : room_(room) {}

    void add(std::string_view text) {
        fits_ = fits_ && text.size() <= room_.size() - size_;
        if (!fits_) return;
        std::ranges::copy(text, room_.begin() + static_cast<std::ptrdiff_t>(size_));
        size_ += text.size();
    }
    bool fits() const { return fits_; }
    std::string_view text() const { return {room_.data(), size_}; }

private:
    std::span<char> room_;
    std::size_t size_ = 0;
    bool fits_ = true;
};

// What is behind the prefix, from its '/' on.
std::string_view strip(std::string_view path, std::string_view prefix) {
    if (prefix.empty() || !path_has_prefix(path, prefix)) return path;
    if (prefix.ends_with('/')) prefix.remove_suffix(1);
    path.remove_prefix(prefix.size());
    return path.empty() ? std::string_view("/") : path;
}

}  // namespace

PathRewrite::PathRewrite() = default;
PathRewrite::PathRewrite(PathRewrite&&) noexcept = default;
PathRewrite& PathRewrite::operator=(PathRewrite&&) noexcept = default;
PathRewrite::~PathRewrite() = default;

// --- compiling ------------------------------------------------------------------------------

Result<PathRewrite> PathRewrite::compile(std::string_view prefix,
                                         const std::optional<RewriteSetting>& setting) {
    PathRewrite rewrite;
    rewrite.prefix_ = prefix;
    if (!prefix.empty()) {
        const Status path = http::check_path(prefix);
        if (!path.ok()) {
            return bad_rewrite("No request has the path \"" + rewrite.prefix_ +
                               "\": " + path.error().message);
        }
    }
    if (!setting) return rewrite;
    Result<std::unique_ptr<Regex>> regex = Regex::compile(setting->pattern);
    if (!regex.ok()) return regex.error();
    rewrite.regex_ = std::move(regex).value();
    const Status status = rewrite.compile_replacement(setting->replacement);
    if (!status.ok()) {
        return bad_rewrite("The replacement \"" + setting->replacement + "\" " +
                           status.error().message);
    }
    return rewrite;
}

Status PathRewrite::compile_replacement(std::string_view replacement) {
    replacement_.emplace_back();
    while (!replacement.empty()) {
        const char c = replacement.front();
        replacement.remove_prefix(1);
        if (c != '$') {
            if (!is_path_text(c)) return bad_rewrite("has a character that no path has.");
            replacement_.back().text += c;
            continue;
        }
        std::size_t length = 1;
        if (replacement.starts_with('$')) {
            replacement_.back().text += '$';
        } else if (replacement.starts_with('{')) {
            const std::size_t end = replacement.find('}');
            if (end == std::string_view::npos) return bad_rewrite("has a \"${\" without its '}'.");
            if (Status s = add_group(replacement.substr(1, end - 1)); !s.ok()) return s;
            length = end + 1;
        } else if (!replacement.empty() && is_decimal(replacement.front())) {
            if (Status s = add_group(replacement.substr(0, 1)); !s.ok()) return s;
        } else {
            return bad_rewrite("has a '$' without a group: write $1, ${name}, or $$ for '$'.");
        }
        replacement.remove_prefix(length);
    }
    return Done{};
}

Status PathRewrite::add_group(std::string_view reference) {
    std::size_t group = none;
    const char* end = reference.data() + reference.size();
    const auto read = std::from_chars(reference.data(), end, group);
    const bool is_number = read.ec == std::errc{} && read.ptr == end;
    if (!is_number) group = regex_->group_of(std::string(reference)).value_or(none);
    if (group == none || group > regex_->groups()) {
        return bad_rewrite("names the group \"" + std::string(reference) +
                           "\", which the regular expression does not have.");
    }
    replacement_.back().group = group;
    replacement_.emplace_back();
    groups_ = std::max(groups_, group + 1);
    return Done{};
}

// --- applying -------------------------------------------------------------------------------

Result<std::string_view> PathRewrite::apply(std::string_view path, std::string_view query,
                                            std::span<char> room) const {
    SLUICE_ASSERT(path.starts_with('/'));
    Writer target(room);
    const std::string_view stripped = strip(path, prefix_);
    std::array<std::string_view, Regex::groups_max + 1> groups;
    if (regex_ != nullptr && stripped.size() > Regex::text_bytes_max) {
        return Error::client(414, "The path is too long for the rewrite of its route: more than " +
                                      std::to_string(Regex::text_bytes_max) + " bytes.");
    }
    if (regex_ != nullptr && regex_->find(stripped, std::span(groups).first(groups_))) {
        const auto begin = static_cast<std::size_t>(groups[0].data() - stripped.data());
        SLUICE_ASSERT(begin + groups[0].size() <= stripped.size());
        target.add(stripped.substr(0, begin));
        for (const Part& part : replacement_) {
            target.add(part.text);
            if (part.group != none) target.add(groups[part.group]);
        }
        target.add(stripped.substr(begin + groups[0].size()));
    } else {
        target.add(stripped);
    }
    // As with a prefix that was all of it.
    if (target.text().empty()) target.add("/");
    const std::string_view new_path = target.text();
    if (target.fits()) {
        const Status checked = http::check_path(new_path);
        if (!checked.ok()) {
            return bad_rewrite("After the rewrite of its route this path is not allowed: " +
                               checked.error().message);
        }
    }
    if (!query.empty()) {
        target.add("?");
        target.add(query);
    }
    if (!target.fits()) {
        return Error::client(414,
                             "The path is too long after the rewrite of its route: more than " +
                                 std::to_string(room.size()) + " bytes.");
    }
    return target.text();
}

}  // namespace sluice::policy
