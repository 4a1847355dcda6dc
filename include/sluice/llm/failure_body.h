// What the error body of a model server says: the facts by which a failure is classed.
//
// Pure and for hostile bytes: at most failure_body_bytes_max are looked at; the text may be cut,
// may be no JSON and may hold anything. Never fails: what cannot be read leaves its field empty.
// Shapes: OpenAI {"error":{"message","type","code"}} (llama-server adds n_ctx, n_prompt_tokens;
// Azure innererror.code), Anthropic {"type":"error","error":{...}}, Ollama {"error":"text"}, vLLM's
// older {"object":"error","message",...}, {"detail":"text"}, the event of a broken Responses stream
// ({"type":"error",...} or {"response":{"error":{...}}}), and each of them in an array (Google);
// {"detail":[{"msg":"text"}]} (FastAPI) and {"errors":[{"message","code"}]} (Cloudflare).
//
// A message may repeat what the client wrote. So what harms others than this client (an account
// out of credit, a model that is loading) is believed of a type, a code, or a message that begins
// so; only the context length and a want of memory, of which no more follows than which fallback is
// taken, are also looked for inside of a message.
#pragma once

#include "sluice/base/limits.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::llm {

inline constexpr std::size_t failure_body_bytes_max = 8 * limits::KiB;
inline constexpr std::size_t failure_message_bytes_max = 512;
inline constexpr std::size_t failure_code_bytes_max = 64;

// Whether the body says that the request does not fit into the context.
enum class ContextSign : std::uint8_t {
    none,
    mentioned,  // only its message does, somewhere inside of it
    exact,      // by its type, its code, or the begin of its message
};

struct ErrorFacts {
    bool is_error = false;  // the body, as far as it could be read, is an error object
    std::string type;       // "" where there is none, or where it is longer than a type is
    std::string code;       // the same; a number as its digits
    std::string message;    // its begin, in valid UTF-8
    // The status that the object itself tells: a code of 400 to 599, or what its type stands for;
    // 0 where neither says. For the error events of a stream, whose own status is 200.
    int status = 0;

    ContextSign context = ContextSign::none;
    std::optional<std::uint64_t> n_ctx;            // tokens that there is room for
    std::optional<std::uint64_t> n_prompt_tokens;  // tokens that the request needs
    bool says_loading = false;                     // the model is being loaded
    bool says_billing = false;                     // the account has no credit left
    bool says_blocked = false;                     // a content filter said no
    bool says_over_rate = false;    // by itself it is more than the account may use in a minute
    bool says_overloaded = false;   // it has no room at the moment: busy, overloaded, out of memory
    bool says_unsupported = false;  // this server cannot do what was asked, whoever asks
    bool says_foreign_field = false;  // it does not know a field of the request, whichever
    bool says_nothing = false;        // not why
};

// Of an error response's body, or of the data of one event of a stream.
ErrorFacts read_failure_body(std::string_view body);

// The status that an error stands for which came with 200.
int implied_status(const ErrorFacts& error);

// Whether a refusal, which has that status and body, may be for the sake of this field: it names
// it, or it is of a kind that does not say which one it was.
bool may_refuse_field(int status, const ErrorFacts& error, std::string_view body,
                      std::string_view field);

}  // namespace sluice::llm
