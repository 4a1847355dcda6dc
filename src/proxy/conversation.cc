#include "conversation.h"

#include "body_span.h"
#include "sluice/policy/hash.h"
#include "sluice/policy/prefix_hasher.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace sluice::proxy {

namespace {

constexpr std::array<std::string_view, 5> session_fields{
    "x-claude-code-session-id",  // Claude Code
    "session-id",                // Codex
    "session_id",                // Codex before May 2026, with one of 2025
    "conversation_id",           // of the same value
    "x-session-affinity",        // opencode
};

// A value of the body that is a name; empty where it is longer than names are.
std::string text_of(const RequestState& request, llm::Span span) {
    constexpr std::size_t bytes_max = 1024;
    std::string text;
    if (span.end - span.begin > bytes_max) return text;
    for_each_part(request.body, span, [&](std::string_view part) { text += part; });
    return text;
}

}  // namespace

std::uint64_t session_of(const RequestState& request) {
    for (const std::string_view field : session_fields)
        if (const auto value = request.header(field); !value.empty())
            return policy::hash_text(value);
    const auto& facts = request.facts;
    if (!facts.conversation_value.empty()) {
        const std::string name = text_of(request, facts.conversation_value);
        if (!name.empty()) return policy::hash_text(name);
    }
    if (facts.user_id_value.empty()) return 0;
    const std::string user_id = text_of(request, facts.user_id_value);
    const std::string_view session = llm::session_in(user_id);
    return session.empty() ? 0 : policy::hash_text(session);
}

std::uint64_t conversation_of(const RequestState& request) {
    if (const std::uint64_t session = session_of(request); session != 0) return session;
    const auto& facts = request.facts;
    std::array<llm::Span, 2> spans{llm::inside(facts.instructions_value),
                                   llm::inside(facts.prompt_value)};
    if (!facts.opening.empty()) {
        spans[1].end = std::min(spans[1].end, facts.opening.end);
    } else {
        // Without messages: how the text begins.
        for (llm::Span& span : spans)
            span.end = std::min(span.end, span.begin + policy::prefix_block_bytes(0));
    }
    std::size_t bytes = 0;
    for (const llm::Span span : spans)
        bytes += span.end - span.begin;
    if (bytes == 0) return 0;
    policy::PrefixHashes hashes;
    policy::PrefixHasher hasher(hashes, 0, bytes);
    for (const llm::Span span : spans)
        for_each_part(request.body, span, [&](std::string_view part) { hasher.feed(part); });
    hasher.finish();
    return hashes.conversation;
}

}  // namespace sluice::proxy
