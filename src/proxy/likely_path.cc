#include "sluice/proxy/likely_path.h"

#include "sluice/llm/endpoints.h"
#include "sluice/proxy/pipeline.h"

#include <algorithm>

namespace sluice::proxy {
namespace {

constexpr std::size_t path_bytes_max = 256;
constexpr std::string_view version = "/v1";

// Without empty segments.
std::string with_single_slashes(std::string_view path) {
    std::string out;
    for (const char c : path)
        if (c != '/' || !out.ends_with('/')) out += c;
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

}  // namespace

std::string likely_path(std::string_view path) {
    if (path.size() > path_bytes_max) return {};
    const std::string plain = with_single_slashes(path);
    if (is_served(plain)) return plain;
    if (is_served_by_name(plain + 's')) return plain + 's';  // /v1/chat/completion
    std::string found = served_end(plain);
    return found.empty() ? served_end(in_small_letters(plain)) : found;
}

}  // namespace sluice::proxy
