// Made-up chat streams as each kind of server sends them, and what a client reads in a stream.
#pragma once

#include "json_peer.h"
#include "sluice/base/assert.h"
#include "sluice/llm/errors.h"
#include "sluice/sse/scanner.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::llm::test {

using Pieces = std::vector<std::string>;

inline std::string join(const Pieces& pieces) {
    std::string text;
    for (const std::string& piece : pieces)
        text += piece;
    return text;
}

inline std::string quote(std::string_view text) {
    std::string out = "\"";
    append_json_escaped(out, text);
    return out + '"';
}

// The data of the events of a stream: one piece of text an event.
struct StreamText {
    std::string id = "chatcmpl-1";
    std::string created = "1763000001";
    Pieces pieces;
    std::string finish = "stop";
    bool usage = true;
    std::uint64_t prompt = 25;  // tokens
    Pieces reasoning = {};
};

inline std::string usage_object(std::uint64_t prompt, std::uint64_t completion,
                                std::uint64_t cached) {
    return "{\"completion_tokens\":" + std::to_string(completion) +
           ",\"prompt_tokens\":" + std::to_string(prompt) +
           ",\"total_tokens\":" + std::to_string(prompt + completion) +
           ",\"prompt_tokens_details\":{\"cached_tokens\":" + std::to_string(cached) + "}}";
}

inline Pieces llama_stream(const StreamText& s) {
    const std::string frame = ",\"created\":" + s.created + ",\"id\":\"" + s.id +
                              R"(","model":"tiny-chat","system_fingerprint":"b-)" + s.id +
                              R"(","object":"chat.completion.chunk")";
    const auto chunk = [&frame](const std::string& delta, const std::string& finish) {
        return R"({"choices":[{"finish_reason":)" + finish + R"(,"index":0,"delta":)" + delta +
               "}]" + frame + "}";
    };
    Pieces events{chunk(R"({"role":"assistant","content":null})", "null")};
    for (const std::string& piece : s.reasoning)
        events.push_back(chunk("{\"reasoning_content\":" + quote(piece) + "}", "null"));
    for (const std::string& piece : s.pieces)
        events.push_back(chunk("{\"content\":" + quote(piece) + "}", "null"));
    events.push_back(chunk("{}", quote(s.finish)));
    const std::uint64_t tokens = s.pieces.size() + s.reasoning.size();
    if (s.usage) {
        events.push_back("{\"choices\":[]" + frame +
                         ",\"usage\":" + usage_object(s.prompt, tokens, s.prompt - 1) +
                         R"(,"timings":{"cache_n":0,"prompt_n":25,"predicted_n":)" +
                         std::to_string(tokens) + "}}");
    }
    events.push_back("[DONE]");
    return events;
}

// With usage in every event (continuous_usage_stats).
inline Pieces vllm_stream(const StreamText& s) {
    std::uint64_t tokens = 0;
    const auto chunk = [&](const std::string& choices) {
        return R"({"id":")" + s.id + R"(","object":"chat.completion.chunk","created":)" +
               s.created + R"(,"model":"m","choices":)" + choices +
               ",\"usage\":" + usage_object(s.prompt, tokens, 0) + "}";
    };
    const auto choice = [&](const std::string& delta, const std::string& finish) {
        return chunk(R"([{"index":0,"delta":)" + delta + R"(,"logprobs":null,"finish_reason":)" +
                     finish + R"(,"stop_reason":null,"token_ids":null}])");
    };
    Pieces events{choice(R"({"role":"assistant","content":""})", "null")};
    for (std::size_t i = 0; i < s.pieces.size(); ++i) {
        ++tokens;
        const bool last = i + 1 == s.pieces.size();
        events.push_back(choice("{\"content\":" + quote(s.pieces[i]) + ",\"tool_calls\":[]}",
                                last ? quote(s.finish) : "null"));
    }
    if (s.pieces.empty()) events.push_back(choice(R"({"content":""})", quote(s.finish)));
    if (s.usage) events.push_back(chunk("[]"));
    events.push_back("[DONE]");
    return events;
}

// The role in every event.
inline Pieces ollama_stream(const StreamText& s) {
    const auto chunk = [&](const std::string& choices, const std::string& usage) {
        return R"({"id":")" + s.id + R"(","object":"chat.completion.chunk","created":)" +
               s.created + R"(,"model":"m","system_fingerprint":"fp_ollama","choices":)" + choices +
               usage + "}";
    };
    const auto choice = [&](const std::string& text, const std::string& finish) {
        return chunk(R"([{"index":0,"delta":{"role":"assistant","content":)" + quote(text) +
                         R"(},"finish_reason":)" + finish + "}]",
                     "");
    };
    Pieces events;
    for (const std::string& piece : s.pieces)
        events.push_back(choice(piece, "null"));
    events.push_back(choice("", quote(s.finish)));
    if (s.usage) {
        events.push_back(chunk("[]", ",\"usage\":" + usage_object(s.prompt, s.pieces.size(), 0)));
    }
    events.push_back("[DONE]");
    return events;
}

// The data of the one event that `event` must be.
inline std::string data_of(std::string_view event) {
    sse::Scanner scanner;
    sse::Event seen;
    SLUICE_ASSERT(scanner.next(event, 0, seen));
    SLUICE_ASSERT(seen.end == event.size() && scanner.at_boundary());
    return std::string(seen.data);
}

}  // namespace sluice::llm::test
