#include "failure_words.h"

#include "context_words.h"
#include "phrase_index.h"
#include "sluice/base/assert.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>

namespace sluice::llm {

namespace {

enum class Sign : std::uint8_t {
    none,
    context,
    billing,
    blocked,
    overloaded,
    unsupported,
    loading,
    over_rate,
    foreign_field,
};

struct CodeWord {
    std::string_view text;
    int status;
    Sign sign = Sign::none;
};

// Types and codes, in lower case.
constexpr std::array code_words{
    // llama-server's types.
    CodeWord{"exceed_context_size_error", 400, Sign::context},
    CodeWord{"not_supported_error", 501, Sign::unsupported}, CodeWord{"unavailable_error", 503},
    CodeWord{"server_error", 500},
    // OpenAI's codes and types, which most others repeat.
    CodeWord{"context_length_exceeded", 400, Sign::context},
    CodeWord{"max_tokens_per_request", 400, Sign::context},  // of embeddings
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
    CodeWord{"requests", 429}, CodeWord{"invalid_api_key", 401}, CodeWord{"model_not_found", 404},
    // Anthropic's types, some of which OpenAI has too.
    CodeWord{"invalid_request_error", 400}, CodeWord{"authentication_error", 401},
    CodeWord{"billing_error", 402, Sign::billing}, CodeWord{"permission_error", 403},
    CodeWord{"not_found_error", 404}, CodeWord{"request_too_large", 413},
    CodeWord{"rate_limit_error", 429}, CodeWord{"api_error", 500}, CodeWord{"timeout_error", 504},
    CodeWord{"overloaded_error", 529, Sign::overloaded},
    // Others' for a context that is too small.
    CodeWord{"model_context_window_exceeded", 400, Sign::context},     // Anthropic's stop reason
    CodeWord{"context_window_exceeded", 400, Sign::context},           // LiteLLM
    CodeWord{"context_exceeded", 400, Sign::context},                  // ds4
    CodeWord{"prompt_too_long", 400, Sign::context},                   // vMLX
    CodeWord{"tokens_limit_reached", 413, Sign::context},              // GitHub Models
    CodeWord{"model_max_prompt_tokens_exceeded", 400, Sign::context},  // GitHub Copilot
    CodeWord{"token_quantity_exceeded", 400, Sign::context},           // watsonx.ai
    CodeWord{"1261", 400, Sign::context},                              // Z.ai
};

// What messages say besides that: see context_words.h for how they are read.
struct Sentence {
    std::string_view text;
    std::string_view behind;
    Where where;
    Sign sign;
};

constexpr std::array other_words{
    Sentence{"loading model", "", Where::begin, Sign::loading},  // llama-server
    Sentence{"unexpected server status: llm server loading model", "", Where::begin,
             Sign::loading},                                                      // Ollama
    Sentence{"your credit balance is too low", "", Where::begin, Sign::billing},  // Anthropic, 400
    Sentence{"output blocked by content filtering policy", "", Where::begin,
             Sign::blocked},  // Anthropic, 400
    // More than an account may use in a minute, by itself: Groq (413), OpenAI (429). Their words
    // for an allowance that others have used up begin with "rate limit reached".
    Sentence{"request too large for ", "tokens per min", Where::begin, Sign::over_rate},
    // Memory of the machine or of its GPU. This sign chooses a chain of fallbacks and nothing else,
    // so the words may stand behind the name of whatever failed.
    Sentence{"server busy, please try again", "", Where::begin,
             Sign::overloaded},  // Ollama's queue
    Sentence{"model requires more system memory", "", Where::begin, Sign::overloaded},  // Ollama
    Sentence{"no slot available", "", Where::begin, Sign::overloaded},             // llama-server
    Sentence{"cuda error: out of memory", "", Where::anywhere, Sign::overloaded},  // ggml, Ollama
    Sentence{"rocm error: out of memory", "", Where::anywhere, Sign::overloaded},  //
    Sentence{"cudamalloc failed: out of memory", "", Where::anywhere, Sign::overloaded},  //
    Sentence{"hipmalloc failed: out of memory", "", Where::anywhere, Sign::overloaded},   //
    Sentence{"cuda out of memory. tried to allocate", "", Where::anywhere,
             Sign::overloaded},  // PyTorch: vLLM, SGLang
    Sentence{"hip out of memory. tried to allocate", "", Where::anywhere, Sign::overloaded},  //
    Sentence{"llama runner process has terminated", "out of memory", Where::begin,
             Sign::overloaded},                                                    // Ollama
    Sentence{"failed to allocate ", "buffer", Where::anywhere, Sign::overloaded},  // llama.cpp
    Sentence{"unable to allocate ", "buffer", Where::anywhere, Sign::overloaded},  //
    // llama-server answers these with 500, as if it were its own fault.
    Sentence{"image input is not supported", "", Where::begin, Sign::unsupported},
    Sentence{"audio input is not supported", "", Where::begin, Sign::unsupported},
    // A field that is not known: they often name it.
    Sentence{"extra inputs are not permitted", "", Where::anywhere,
             Sign::foreign_field},                                                     // pydantic 2
    Sentence{"extra fields not permitted", "", Where::anywhere, Sign::foreign_field},  // pydantic 1
    Sentence{"unexpected fields in the request", "", Where::begin,
             Sign::foreign_field},  // transformers serve
    Sentence{"additional properties are not allowed", "", Where::anywhere, Sign::foreign_field},
    Sentence{"unknown field", "", Where::anywhere, Sign::foreign_field},  // serde, Go
    Sentence{"unknown parameter", "", Where::anywhere, Sign::foreign_field},
    Sentence{"unknown argument", "", Where::anywhere, Sign::foreign_field},
    Sentence{"unrecognized request argument", "", Where::anywhere, Sign::foreign_field},  // OpenAI
    Sentence{"unexpected keyword argument", "", Where::anywhere, Sign::foreign_field},    // Python
    Sentence{"unsupported parameter", "", Where::anywhere, Sign::foreign_field},
    Sentence{"unsupported field", "", Where::anywhere, Sign::foreign_field},
};

constexpr std::size_t words_count = context_words.size() + other_words.size();

constexpr Sentence words_at(std::size_t i) {
    if (i >= context_words.size()) return other_words[i - context_words.size()];
    const ContextWords& row = context_words[i];
    return {row.text, row.behind, row.where, Sign::context};
}

constexpr PhraseIndex<words_count> all_words([] {
    std::array<std::string_view, words_count> texts{};
    for (std::size_t i = 0; i < words_count; ++i)
        texts[i] = words_at(i).text;
    return texts;
}());

// What says no more than the status does; the whole message.
constexpr std::array<std::string_view, 7> empty_messages{"",
                                                         "bad request",
                                                         "invalid request",
                                                         "unprocessable entity",
                                                         "validation error",
                                                         "bad request.",
                                                         "invalid request."};

constexpr char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_letters(std::string_view text, std::string_view lower_case) {
    return text.size() == lower_case.size() &&
           std::equal(text.begin(), text.end(), lower_case.begin(),
                      [](char a, char b) { return lower(a) == b; });
}

std::optional<std::uint64_t> read_number(std::string_view message, const NumberPlace& place) {
    const std::size_t at = message.find(place.before);
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

// A context that is too small is told by more than a sign.
void set_sign(Sign sign, ErrorFacts& facts) {
    switch (sign) {
        case Sign::none:
        case Sign::context:
            return;
        case Sign::billing:
            facts.says_billing = true;
            return;
        case Sign::blocked:
            facts.says_blocked = true;
            return;
        case Sign::overloaded:
            facts.says_overloaded = true;
            return;
        case Sign::unsupported:
            facts.says_unsupported = true;
            return;
        case Sign::loading:
            facts.says_loading = true;
            return;
        case Sign::over_rate:
            facts.says_over_rate = true;
            return;
        case Sign::foreign_field:
            facts.says_foreign_field = true;
            return;
    }
}

}  // namespace

void apply_error_code(std::string_view code, ErrorFacts& facts) {
    const auto word = std::find_if(code_words.begin(), code_words.end(), [code](const CodeWord& w) {
        return same_letters(code, w.text);
    });
    if (word == code_words.end()) return;
    if (word->sign == Sign::context) facts.context = ContextSign::exact;
    set_sign(word->sign, facts);
    if (facts.status == 0) facts.status = word->status;
}

void apply_error_message(std::string_view text, ErrorFacts& facts) {
    SLUICE_ASSERT(text.size() <= failure_message_bytes_max);
    std::array<char, failure_message_bytes_max> space;
    std::transform(text.begin(), text.end(), space.begin(), lower);
    const std::string_view message(space.data(), text.size());

    ContextSign context = ContextSign::none;
    all_words.find_in(message, [&](std::size_t i, std::size_t at) {
        const Sentence words = words_at(i);
        if (words.where == Where::begin && at != 0) return;
        if (message.find(words.behind, at + words.text.size()) == message.npos) return;
        if (words.sign != Sign::context) return set_sign(words.sign, facts);
        context = std::max(context, at == 0 ? ContextSign::exact : ContextSign::mentioned);
    });
    if (facts.says_over_rate) context = ContextSign::none;
    facts.context = std::max(facts.context, context);
    if (facts.context != ContextSign::none) {
        if (!facts.n_ctx) facts.n_ctx = read_any(message, room_places);
        if (!facts.n_prompt_tokens) facts.n_prompt_tokens = read_any(message, need_places);
    }
    facts.says_nothing = std::ranges::find(empty_messages, message) != empty_messages.end();
}

}  // namespace sluice::llm
