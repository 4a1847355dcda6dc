#include "failure_words.h"

#include "context_words.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>

namespace sluice::llm {

namespace {

enum class Sign : std::uint8_t { none, context, billing, blocked, overloaded, unsupported };

struct CodeWord {
    std::string_view text;
    int status;
    Sign sign = Sign::none;
};

// Types and codes, in lower case.
constexpr std::array code_words{
    // llama-server's types.
    CodeWord{"exceed_context_size_error", 400, Sign::context},
    CodeWord{"not_supported_error", 501, Sign::unsupported},
    CodeWord{"unavailable_error", 503},
    CodeWord{"server_error", 500},
    // OpenAI's codes and types, which most others repeat.
    CodeWord{"context_length_exceeded", 400, Sign::context},
    CodeWord{"string_above_max_length", 400, Sign::context},
    CodeWord{"insufficient_quota", 429, Sign::billing},
    CodeWord{"billing_hard_limit_reached", 400, Sign::billing},
    CodeWord{"billing_not_active", 429, Sign::billing},
    CodeWord{"content_filter", 400, Sign::blocked},
    CodeWord{"content_policy_violation", 400, Sign::blocked},
    CodeWord{"moderation_blocked", 400, Sign::blocked},            // of images
    CodeWord{"invalid_prompt", 400, Sign::blocked},                // reasoning models
    CodeWord{"responsibleaipolicyviolation", 400, Sign::blocked},  // Azure's inner code
    CodeWord{"rate_limit_exceeded", 429},
    CodeWord{"tokens", 429},  // the type beside it: which limit it was
    CodeWord{"requests", 429},
    CodeWord{"invalid_api_key", 401},
    CodeWord{"model_not_found", 404},
    // Anthropic's types, some of which OpenAI has too.
    CodeWord{"invalid_request_error", 400},
    CodeWord{"authentication_error", 401},
    CodeWord{"billing_error", 402, Sign::billing},
    CodeWord{"permission_error", 403},
    CodeWord{"not_found_error", 404},
    CodeWord{"request_too_large", 413},
    CodeWord{"rate_limit_error", 429},
    CodeWord{"api_error", 500},
    CodeWord{"timeout_error", 504},
    CodeWord{"overloaded_error", 529, Sign::overloaded},
    // Others' for a context that is too small: Anthropic's stop reason, LiteLLM's and Z.ai's.
    CodeWord{"model_context_window_exceeded", 400, Sign::context},
    CodeWord{"context_window_exceeded", 400, Sign::context},
    CodeWord{"1261", 400, Sign::context},
};

struct Phrase {
    std::string_view text;  // in lower case
    Where where;
};

constexpr std::array loading_phrases{
    Phrase{"loading model", Where::begin},                                       // llama-server
    Phrase{"unexpected server status: llm server loading model", Where::begin},  // Ollama
};
constexpr std::array billing_phrases{
    Phrase{"your credit balance is too low", Where::begin},  // Anthropic, with status 400
};
constexpr std::array blocked_phrases{
    Phrase{"output blocked by content filtering policy", Where::begin},  // Anthropic, status 400
};
// Memory of the machine or of its GPU. This sign chooses a chain of fallbacks and nothing else, so
// the words may stand behind the name of whatever failed.
constexpr std::array overload_phrases{
    Phrase{"server busy, please try again", Where::begin},             // Ollama, its queue is full
    Phrase{"model requires more system memory", Where::begin},         // Ollama
    Phrase{"no slot available", Where::begin},                         // llama-server
    Phrase{"cuda error: out of memory", Where::anywhere},              // ggml, by Ollama as well
    Phrase{"rocm error: out of memory", Where::anywhere},              //
    Phrase{"cudamalloc failed: out of memory", Where::anywhere},       //
    Phrase{"hipmalloc failed: out of memory", Where::anywhere},        //
    Phrase{"cuda out of memory. tried to allocate", Where::anywhere},  // PyTorch: vLLM, SGLang
    Phrase{"hip out of memory. tried to allocate", Where::anywhere},   //
};
// The same in two parts, the second one somewhere behind the first.
struct PhrasePair {
    Phrase first;
    std::string_view second;
};
constexpr std::array overload_pairs{
    PhrasePair{{"llama runner process has terminated", Where::begin}, "out of memory"},  // Ollama
    PhrasePair{{"failed to allocate ", Where::anywhere}, "buffer"},  // ggml, llama.cpp
    PhrasePair{{"unable to allocate ", Where::anywhere}, "buffer"},  //
};
// llama-server answers these with 500, as if it were its own fault.
constexpr std::array unsupported_phrases{
    Phrase{"image input is not supported", Where::begin},
    Phrase{"audio input is not supported", Where::begin},
};

// A field that is not known: pydantic (vLLM, SGLang), serde, Go, proxies. They often name it.
constexpr std::array field_phrases{
    Phrase{"extra inputs are not permitted", Where::anywhere},  // pydantic 2
    Phrase{"extra fields not permitted", Where::anywhere},      // pydantic 1
    Phrase{"unexpected fields in the request", Where::begin},   // transformers serve
    Phrase{"additional properties are not allowed", Where::anywhere},
    Phrase{"unknown field", Where::anywhere},  // serde, Go
    Phrase{"unknown parameter", Where::anywhere},
    Phrase{"unknown argument", Where::anywhere},
    Phrase{"unrecognized request argument", Where::anywhere},  // OpenAI
    Phrase{"unexpected keyword argument", Where::anywhere},    // Python
    Phrase{"unsupported parameter", Where::anywhere},
    Phrase{"unsupported field", Where::anywhere},
};
// What says no more than the status does; the whole message.
constexpr std::array empty_messages{
    Phrase{"", Where::begin},
    Phrase{"bad request", Where::begin},
    Phrase{"invalid request", Where::begin},
    Phrase{"unprocessable entity", Where::begin},
    Phrase{"validation error", Where::begin},
    Phrase{"bad request.", Where::begin},
    Phrase{"invalid request.", Where::begin},
};

constexpr char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_letters(std::string_view text, std::string_view lower_case) {
    return text.size() == lower_case.size() &&
           std::equal(text.begin(), text.end(), lower_case.begin(),
                      [](char a, char b) { return lower(a) == b; });
}

std::size_t find_letters(std::string_view text, std::string_view lower_case) {
    const auto at = std::search(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                                [](char a, char b) { return lower(a) == b; });
    return at == text.end() ? text.npos : static_cast<std::size_t>(at - text.begin());
}

// Where it stands, or npos.
std::size_t find_phrase(std::string_view message, const Phrase& phrase) {
    if (phrase.where == Where::anywhere) return find_letters(message, phrase.text);
    return same_letters(message.substr(0, phrase.text.size()), phrase.text) ? 0 : message.npos;
}

template <std::size_t n>
bool says_any(std::string_view message, const std::array<Phrase, n>& phrases) {
    return std::any_of(phrases.begin(), phrases.end(), [message](const Phrase& phrase) {
        return find_phrase(message, phrase) != message.npos;
    });
}

template <std::size_t n>
bool says_any(std::string_view message, const std::array<PhrasePair, n>& pairs) {
    return std::any_of(pairs.begin(), pairs.end(), [message](const PhrasePair& pair) {
        const std::size_t at = find_phrase(message, pair.first);
        if (at == message.npos) return false;
        const std::string_view behind = message.substr(at + pair.first.text.size());
        return find_letters(behind, pair.second) != behind.npos;
    });
}

// The surest of what the rows say.
ContextSign find_context_sign(std::string_view message) {
    ContextSign found = ContextSign::none;
    for (const ContextWords& row : context_words) {
        if (found == ContextSign::mentioned && row.where == Where::anywhere) continue;
        const std::size_t at = find_phrase(message, {row.text, row.where});
        if (at == message.npos) continue;
        const std::string_view behind = message.substr(at + row.text.size());
        if (find_letters(behind, row.behind) == behind.npos && !row.behind.empty()) continue;
        if (row.where == Where::begin) return ContextSign::exact;
        found = ContextSign::mentioned;
    }
    return found;
}

std::optional<std::uint64_t> read_number(std::string_view message, const NumberPlace& place) {
    const std::size_t at = find_letters(message, place.before);
    if (at == message.npos) return std::nullopt;
    const char* const begin = message.data() + at + place.before.size();
    const char* const end = message.data() + message.size();
    std::uint64_t number = 0;
    const auto [behind, error] = std::from_chars(begin, end, number);
    if (error != std::errc{}) return std::nullopt;
    const std::string_view rest(behind, static_cast<std::size_t>(end - behind));
    if (!rest.starts_with(place.behind)) return std::nullopt;
    return number;
}

template <std::size_t n>
std::optional<std::uint64_t> read_any(std::string_view message,
                                      const std::array<NumberPlace, n>& places) {
    for (const NumberPlace& place : places) {
        if (const auto number = read_number(message, place)) return number;
    }
    return std::nullopt;
}

}  // namespace

void apply_error_code(std::string_view code, ErrorFacts& facts) {
    const auto word = std::find_if(code_words.begin(), code_words.end(), [code](const CodeWord& w) {
        return same_letters(code, w.text);
    });
    if (word == code_words.end()) return;
    facts.context = word->sign == Sign::context ? ContextSign::exact : facts.context;
    facts.says_billing |= word->sign == Sign::billing;
    facts.says_blocked |= word->sign == Sign::blocked;
    facts.says_overloaded |= word->sign == Sign::overloaded;
    facts.says_unsupported |= word->sign == Sign::unsupported;
    if (facts.status == 0) facts.status = word->status;
}

void apply_error_message(std::string_view message, ErrorFacts& facts) {
    if (facts.context != ContextSign::exact) facts.context = find_context_sign(message);
    if (facts.context != ContextSign::none) {
        if (!facts.n_ctx) facts.n_ctx = read_any(message, room_places);
        if (!facts.n_prompt_tokens) facts.n_prompt_tokens = read_any(message, need_places);
    }
    facts.says_loading |= says_any(message, loading_phrases);
    facts.says_billing |= says_any(message, billing_phrases);
    facts.says_blocked |= says_any(message, blocked_phrases);
    facts.says_overloaded |= says_any(message, overload_phrases);
    facts.says_overloaded |= says_any(message, overload_pairs);
    facts.says_unsupported |= says_any(message, unsupported_phrases);
    facts.says_foreign_field = says_any(message, field_phrases);
    facts.says_nothing =
        std::any_of(empty_messages.begin(), empty_messages.end(),
                    [message](const Phrase& phrase) { return same_letters(message, phrase.text); });
}

}  // namespace sluice::llm
