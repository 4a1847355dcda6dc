#include "sluice/proxy/likely_path.h"

#include "sluice/llm/endpoints.h"
#include "sluice/proxy/pipeline.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace sluice::proxy {
namespace {

constexpr std::size_t path_bytes_max = 256;
constexpr std::string_view version = "/v1";

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const int letter = (c | 0x20) - 'a';
    return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

// With what was escaped and without blanks and empty segments.
std::string with_single_slashes(std::string_view path) {
    std::string out;
    for (std::size_t at = 0; at < path.size(); ++at) {
        char c = path[at];
        const bool escape = c == '%' && path.size() - at > 2 && hex_value(path[at + 1]) >= 0 &&
                            hex_value(path[at + 2]) >= 0;
        if (escape) {
            c = static_cast<char>(hex_value(path[at + 1]) * 16 + hex_value(path[at + 2]));
            at += 2;
        }
        if (c > ' ' && (c != '/' || !out.ends_with('/'))) out += c;
    }
    if (out.ends_with('/')) out.pop_back();
    return out;
}

std::string in_small_letters(std::string text) {
    std::ranges::transform(text, text.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return text;
}

bool is_served(std::string_view path) {
    return llm::find_endpoint(path) != nullptr || is_own_path(path);
}

// Any text behind /v1/models/ may be a model's name: nothing is put in front of it.
bool is_served_by_name(std::string_view path) {
    const llm::Endpoint* const endpoint = llm::find_endpoint(path);
    return endpoint != nullptr && endpoint->path == path;
}

// The longest end of the path that is served, with the version in front of it if need be.
std::string served_end(std::string_view path) {
    for (std::string_view end = path; end.starts_with('/');
         end = end.substr(std::min(end.find('/', 1), end.size()))) {
        std::string versioned = std::string(version) + std::string(end);
        if (is_served_by_name(versioned)) return versioned;
        if (is_served(end)) return std::string(end);
    }
    return {};
}

// How many letters are to be put in, taken out or changed; more than `most` is told as `most` + 1.
std::size_t edits_between(std::string_view one, std::string_view other, std::size_t most) {
    if (one.size() > other.size() + most || other.size() > one.size() + most) return most + 1;
    std::vector<std::size_t> row(other.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < one.size(); ++i) {
        std::size_t before = std::exchange(row[0], i + 1);
        for (std::size_t k = 0; k < other.size(); ++k) {
            const std::size_t changed = before + (one[i] == other[k] ? 0 : 1);
            before = row[k + 1];
            row[k + 1] = std::min({changed, row[k] + 1, before + 1});
        }
    }
    return std::min(row.back(), most + 1);
}

// One letter in eight may be wrong. Short paths are too much alike.
std::string misspelled(std::string_view path) {
    constexpr std::size_t path_bytes_min = 6;
    constexpr std::size_t letters_per_edit = 8;
    if (path.size() < path_bytes_min || !path.starts_with('/')) return {};
    std::size_t most = std::max<std::size_t>(path.size() / letters_per_edit, 1);
    std::string_view best;
    for (const llm::Endpoint& endpoint : llm::endpoints()) {
        const std::size_t edits = edits_between(path, endpoint.path, most);
        if (edits > most || (edits == most && !best.empty())) continue;
        most = edits;
        best = endpoint.path;
    }
    return std::string(best);
}

}  // namespace

std::string likely_path(std::string_view path) {
    if (path.size() > path_bytes_max) return {};
    const std::string plain = with_single_slashes(path);
    if (is_served(plain)) return plain;
    if (is_served_by_name(plain + 's')) return plain + 's';  // /v1/chat/completion
    const std::string small = in_small_letters(plain);
    if (std::string found = misspelled(small); !found.empty()) return found;
    if (std::string found = served_end(plain); !found.empty()) return found;
    return served_end(small);
}

}  // namespace sluice::proxy
