#include "codex.h"

#include "sluice/http/head.h"

#include <array>
#include <string_view>

namespace sluice::proxy {
namespace {

struct Pair {
    std::string_view first;
    std::string_view second;
};

// Of one session, as it names it.
constexpr std::array<Pair, 3> names_of_sessions{{
    {"session-id", "thread-id"},
    {"session_id", "thread_id"},
    {"session_id", "conversation_id"},
}};
constexpr std::string_view own_fields = "x-codex-";
constexpr std::string_view own_name = "codex";

bool begins(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() && http::same_name(text.substr(0, prefix.size()), prefix);
}

}  // namespace

bool is_from_codex(const RequestState& request) {
    for (const auto& [first, second] : names_of_sessions)
        if (!request.header(first).empty() && !request.header(second).empty()) return true;
    for (const std::string_view name : {"originator", "user-agent"})
        if (begins(request.header(name), own_name)) return true;
    return request.has_header_beginning(own_fields);
}

}  // namespace sluice::proxy
