// The words by which model servers and providers say that a request does not fit into the context,
// each with who says so and where that was read.
//
// Internal to failure_words.cc; pure data. To teach the gateway another wording, add a row: all
// text in lower case, as much of it as no other message has. Where its text begins the message it
// is believed whatever the status; inside of one it could be the client's own words, and counts
// where the status says that the request is at fault.
//
// Not here are the words of limits that pass ("too many tokens, please wait", Bedrock), those of a
// request that is too large for an account's minute ("... tokens per minute (TPM)", see
// failure_words.cc), of output caps ("max_tokens is too large") and of bodies too long in bytes.
#pragma once

#include <array>
#include <string_view>

namespace sluice::llm {

// Where in a message a phrase must stand to be looked at.
enum class Where : unsigned char { begin, anywhere };

struct ContextWords {
    std::string_view text;
    std::string_view behind;  // somewhere behind it; empty: nothing more is needed
    Where where;
    std::string_view source;
};

inline constexpr std::array context_words{
    // --- local servers: chats ---
    ContextWords{"request (", "exceeds the available context size", Where::begin,
                 "llama-server: tools/server/server-context.cpp"},
    ContextWords{"the request exceeds the available context size", "", Where::begin,
                 "llama-server before 2025-10"},
    ContextWords{"exceeds the available context size", "", Where::anywhere,
                 "llama-server behind another gateway"},
    ContextWords{"context size has been exceeded", "", Where::begin,
                 "llama-server, while it generates"},
    ContextWords{"context size exceeded", "", Where::anywhere,
                 "llama.cpp's examples, and what is made of them: llama.cpp 12113"},
    ContextWords{"input is larger than the max context size", "", Where::begin,
                 "llama-server before 2025-09"},
    ContextWords{"too many tokens: ", " but got ", Where::anywhere, "embedding servers"},
    ContextWords{"rpc error:", "context size", Where::begin, "LocalAI: llama.cpp behind gRPC"},
    ContextWords{"requested tokens (", "exceed context window of", Where::begin,
                 "llama-cpp-python: llama_cpp/llama.py"},
    ContextWords{"maximum context length", "", Where::anywhere,
                 "vLLM, SGLang, OpenAI, DeepSeek, OpenRouter, Fireworks, Mistral"},
    ContextWords{"longer than the maximum model length", "", Where::anywhere,
                 "vLLM: vllm/v1/engine"},
    ContextWords{"is too long and exceeds limit", "", Where::anywhere, "vLLM's older scheduler"},
    ContextWords{"max context ", "the prompt had", Where::begin, "vLLM 0.1x, embeddings"},
    ContextWords{"too long to fit into the model", "", Where::anywhere,
                 "vLLM 0.6 to 0.8: vllm 12165"},
    ContextWords{"the model's context length is only ", "", Where::anywhere,
                 "vLLM 0.16: vllm 36197"},
    ContextWords{"longer than the model's context length", "", Where::anywhere,
                 "SGLang: tokenizer_manager.py; Novita"},
    ContextWords{"input length (", "exceeds the maximum allowed length", Where::begin,
                 "SGLang: schedule_batch.py"},
    ContextWords{"multimodal prompt is too long", "", Where::begin, "SGLang: scheduler.py"},
    ContextWords{"prompt too long; exceeded", "context length", Where::begin,
                 "Ollama: server/routes.go"},
    ContextWords{"exceeded max context length", "", Where::anywhere, "Ollama behind another one"},
    ContextWords{"the prompt is longer than the context length", "", Where::begin,
                 "Ollama, truncate: false"},
    ContextWords{"trying to keep the first", "context length of only", Where::begin,
                 "LM Studio: lmstudio-bug-tracker 546"},
    ContextWords{"is loaded with context length of only", "", Where::anywhere, "LM Studio"},
    ContextWords{"greater than the context length", "", Where::anywhere, "LM Studio"},
    ContextWords{"cannot truncate prompt with n_keep", "n_ctx", Where::anywhere,
                 "LM Studio 0.4: opencode 11141"},
    ContextWords{"reached context length of ", "context overflow", Where::anywhere,
                 "LM Studio: lmstudio-bug-tracker 1251"},
    ContextWords{"request length ", "greater than max_seq_len", Where::begin,
                 "TabbyAPI: SillyTavern 3543"},
    ContextWords{"prompt length ", "greater than max_seq_len", Where::begin, "TabbyAPI"},
    ContextWords{"prompt length (", "exceeds maximum input length", Where::anywhere,
                 "TensorRT-LLM"},
    ContextWords{"sum of prompt length (", "should not exceed max_", Where::anywhere,
                 "TensorRT-LLM: llmapi/llm.py"},
    ContextWords{"`default_max_tokens` (", "must be greater than 0", Where::anywhere,
                 "TensorRT-LLM: executor/base_worker.py"},
    ContextWords{"larger than the model input length limit", "", Where::anywhere,
                 "MLC LLM: serve/engine_utils.py"},
    ContextWords{"number of prompt tokens: ", "exceeds model max length", Where::anywhere,
                 "OpenVINO Model Server: llm/servable.cpp"},
    ContextWords{"prompt_too_long: ", "tokens", Where::anywhere, "vMLX: vmlx 253"},
    ContextWords{"prompt sequence length is greater than", "", Where::begin,
                 "mistral.rs: engine/mod.rs"},
    ContextWords{"the rendered prompt is ", "the model context is ", Where::begin, "dasllama"},
    ContextWords{"prompt has ", "configured context size is ", Where::begin, "ds4"},
    ContextWords{"prompt tokens (", "exceeds context size", Where::begin, "ds4: ds4 150"},
    ContextWords{"context limit is ", " tokens", Where::begin, "a local server, with status 404"},
    ContextWords{"`inputs` tokens + `max_new_tokens` must be", "", Where::anywhere,
                 "TGI: router/src/validation.rs; Together"},
    // --- local servers: embeddings and reranking ---
    ContextWords{"input (", "is too large to process", Where::begin,
                 "llama-server: server-context.cpp, the physical batch"},
    ContextWords{"input is too large to process", "", Where::begin, "llama-server before 2025-09"},
    ContextWords{"input (", "larger than the max context size", Where::begin, "llama-server"},
    ContextWords{"rpc error:", "is too large to process", Where::begin, "LocalAI, embeddings"},
    ContextWords{"the input length exceeds the", "", Where::begin,
                 "Ollama: server/routes.go, the context length or the batch size"},
    ContextWords{"input length exceeds maximum context length", "", Where::begin,
                 "Ollama before 0.12"},
    ContextWords{"must have less than ", " tokens", Where::anywhere,
                 "TEI: core/src/tokenization.rs; TGI; SiliconFlow"},
    // --- providers: chats ---
    ContextWords{"exceeds the context window", "", Where::anywhere, "OpenAI's Responses"},
    ContextWords{"exceeds context window", "", Where::anywhere, "OpenAI's, shortened"},
    ContextWords{"too long for the context window", "", Where::anywhere, "front ends"},
    ContextWords{"exceed the context window", "", Where::anywhere, "OpenAI behind proxies"},
    ContextWords{"exceeds the model's context", "", Where::anywhere, "proxies"},
    ContextWords{"input tokens exceed the configured limit", "", Where::anywhere, "OpenAI"},
    ContextWords{"reduce the length of the messages", "", Where::anywhere, "Groq, Cerebras"},
    ContextWords{"request too large for model", "", Where::begin,
                 "gateways; Groq's is another limit, see failure_words.cc"},
    ContextWords{"request too long: ", " tokens over the limit of ", Where::begin, "a gateway"},
    ContextWords{"prompt is too long", "", Where::begin, "Anthropic"},
    ContextWords{"prompt is too long: ", " tokens > ", Where::anywhere,
                 "Anthropic behind Bedrock, LiteLLM and the like"},
    ContextWords{"the prompt is too long", "", Where::begin, "Fireworks"},
    ContextWords{"exceed context limit", "", Where::anywhere, "Anthropic"},
    ContextWords{"input token count", "exceeds the maximum number of tokens", Where::anywhere,
                 "Gemini, Vertex"},
    ContextWords{"input token count is ", "only supports up to ", Where::anywhere, "Vertex"},
    ContextWords{"input is too long for requested model", "", Where::anywhere, "Bedrock"},
    ContextWords{"number of input tokens exceeds maximum length", "", Where::anywhere,
                 "Bedrock: Nova"},
    ContextWords{"too large for model with ", "maximum context length", Where::anywhere, "Mistral"},
    ContextWords{"maximum prompt length is ", "", Where::anywhere, "xAI"},
    ContextWords{"must be less than the context length", "", Where::anywhere, "Together"},
    ContextWords{"prompt_tokens (", "must be less than max_seq_len", Where::anywhere,
                 "SiliconFlow, code 20015"},
    ContextWords{"cannot exceed the total tokens limit", "", Where::anywhere, "watsonx.ai"},
    ContextWords{"exceed max message tokens", "", Where::anywhere, "Volcengine Ark"},
    ContextWords{"request body too large for ", "max size: ", Where::begin, "GitHub Models"},
    ContextWords{"exceeded model token limit", "", Where::anywhere, "Moonshot"},
    ContextWords{"context window exceeds limit", "", Where::anywhere, "MiniMax"},
    ContextWords{"range of input length should be", "", Where::anywhere, "DashScope"},
    ContextWords{"prompt exceeds max length", "", Where::anywhere, "Z.ai, code 1261"},
    ContextWords{"prompt too long", "", Where::begin, "Z.ai, code 1261; oMLX"},
    ContextWords{"prompt \xE8\xB6\x85\xE9\x95\xBF", "", Where::begin, "Z.ai, code 1261"},
    ContextWords{"prompt token count of ", "exceeds the limit of ", Where::anywhere,
                 "GitHub Copilot"},
    ContextWords{"requested input length ", "exceeds maximum input length", Where::anywhere,
                 "DeepInfra"},
    ContextWords{"exceeds the maximum allowed input length of ", " tokens", Where::anywhere,
                 "OpenRouter"},
    ContextWords{"exceeded this model context window limit", "", Where::anywhere,
                 "Cloudflare Workers AI, code 5021"},
    ContextWords{"tokens in request more than max tokens allowed", "", Where::anywhere,
                 "opencode's list"},
    ContextWords{"too many tokens: ", "exceed", Where::begin, "Cohere, chats and embeddings"},
    ContextWords{"context length exceeded", "", Where::anywhere, "proxies: OpenClaw's list"},
    ContextWords{"context_length_exceeded", "", Where::anywhere, "proxies that wrap the code"},
    ContextWords{"context window exceeded", "", Where::anywhere, "proxies: OpenClaw's list"},
    ContextWords{"contextwindowexceedederror", "", Where::anywhere, "LiteLLM's proxy"},
    // --- providers: embeddings ---
    ContextWords{"maximum input length is ", " tokens", Where::anywhere, "OpenAI, embeddings"},
    ContextWords{"reduce the length of the input", "", Where::anywhere, "vLLM, OpenAI"},
    ContextWords{"too many input tokens", "", Where::anywhere, "Bedrock: Titan"},
    ContextWords{"malformed input request: ", "expected maxlength: ", Where::anywhere,
                 "Bedrock: Titan, Cohere"},
    ContextWords{"too many tokens in batch", "", Where::begin, "Mistral, code 3210"},
    ContextWords{"too many tokens overall", "", Where::begin, "Mistral"},
    ContextWords{"input id ", " tokens, exceeding max ", Where::begin, "Mistral"},
    ContextWords{"requested ", " tokens per request", Where::begin, "OpenAI"},
    ContextWords{"has too many tokens and does not fit into the model's context", "",
                 Where::anywhere, "Voyage"},
    ContextWords{"single text cannot exceed ", " tokens", Where::anywhere, "Jina"},
    ContextWords{"max allowed tokens per submitted batch", "", Where::anywhere, "Voyage"},
};

// A number that stands right behind a text and before another; the first that is found counts.
struct NumberPlace {
    std::string_view before;
    std::string_view behind;
};

// Of the tokens that there is room for.
inline constexpr std::array room_places{
    NumberPlace{"maximum context length is ", ""},              // OpenAI, vLLM
    NumberPlace{"maximum context length of ", ""},              //
    NumberPlace{"maximum context length: ", ""},                // Fireworks
    NumberPlace{"maximum model length of ", ""},                // vLLM
    NumberPlace{"max context ", " tokens"},                     //
    NumberPlace{"exceeds limit of ", ""},                       //
    NumberPlace{"available context size (", " tokens"},         // llama-server
    NumberPlace{"max context size (", " tokens"},               //
    NumberPlace{"current batch size: ", ")"},                   //
    NumberPlace{"exceed context window of ", ""},               // llama-cpp-python
    NumberPlace{"model's context length (", ""},                // SGLang
    NumberPlace{"maximum allowed length (", " tokens"},         //
    NumberPlace{"with context length of only ", ""},            // LM Studio
    NumberPlace{"greater than max_seq_len ", ""},               // TabbyAPI
    NumberPlace{"sequence length is greater than ", ""},        // mistral.rs
    NumberPlace{"exceeds maximum input length (", ""},          // TensorRT-LLM
    NumberPlace{"exceeds maximum input length ", ""},           // DeepInfra
    NumberPlace{"the model context is ", ""},                   // dasllama
    NumberPlace{"configured context size is ", ""},             // ds4
    NumberPlace{"`max_new_tokens` must be <= ", ""},            // TGI
    NumberPlace{"must have less than ", " tokens"},             // TEI
    NumberPlace{" tokens > ", ""},                              // Anthropic
    NumberPlace{"maximum number of tokens allowed (", ""},      // Gemini
    NumberPlace{"maximum number of tokens allowed ", ""},       // Vertex
    NumberPlace{"only supports up to ", ""},                    //
    NumberPlace{"max input tokens: ", ""},                      // Bedrock
    NumberPlace{"too large for model with ", ""},               // Mistral
    NumberPlace{"maximum prompt length is ", ""},               // xAI
    NumberPlace{"model token limit: ", ""},                     // Moonshot
    NumberPlace{"configured limit of ", ""},                    // OpenAI
    NumberPlace{"maximum input length is ", " tokens"},         //
    NumberPlace{"while limit is ", ""},                         // Cerebras
    NumberPlace{"exceeds the limit of ", ""},                   // GitHub Copilot
    NumberPlace{"allowed input length of ", ""},                // OpenRouter
    NumberPlace{"model context window limit (", ""},            // Cloudflare
    NumberPlace{"single text cannot exceed ", " tokens"},       // Jina
    NumberPlace{"allowed tokens per submitted batch is ", ""},  // Voyage
    NumberPlace{"model's context window of ", ""},              //
    NumberPlace{"model (context length ", ")"},                 // vLLM
    NumberPlace{"context length is only ", ""},                 //
    NumberPlace{">= n_ctx (", ")"},                             // LM Studio
    NumberPlace{"reached context length of ", " tokens"},       //
    NumberPlace{"exceed max_num_tokens (", ")"},                // TensorRT-LLM
    NumberPlace{"exceed max_seq_len (", ")"},                   //
    NumberPlace{"= max_seq_len (", ")"},                        //
    NumberPlace{"model input length limit ", ""},               // MLC LLM
    NumberPlace{"exceeds model max length: ", ""},              // OpenVINO
    NumberPlace{"max context window of ", ""},                  // oMLX
    NumberPlace{"prompt/context tokens is ", ""},               // vMLX
    NumberPlace{"exceeds context size (", ")"},                 // ds4
    NumberPlace{"context limit is ", " tokens"},                //
    NumberPlace{"tokens over the limit of ", ""},               //
    NumberPlace{"less than max_seq_len (", ")"},                // SiliconFlow
    NumberPlace{"the total tokens limit ", ""},                 // watsonx.ai
    NumberPlace{"max size: ", " tokens"},                       // GitHub Models
    NumberPlace{" cannot exceed ", ""},                         // Cohere
    NumberPlace{", exceeding max ", " tokens"},                 // Mistral
    NumberPlace{"tokens in batch. max is ", ""},                //
    NumberPlace{" tokens, max ", " tokens per request"},        // OpenAI
    NumberPlace{" exceeds ", ""},                               //
};

// Of the tokens that the request needs.
inline constexpr std::array need_places{
    NumberPlace{"for a total of at least ", ""},           // vLLM
    NumberPlace{"for a total of ", " tokens"},             // vLLM
    NumberPlace{"you requested about ", " tokens"},        // OpenRouter
    NumberPlace{"you requested ", " tokens"},              // OpenAI, older vLLM
    NumberPlace{"your messages resulted in ", " tokens"},  // OpenAI
    NumberPlace{"the prompt had at least ", ""},           // vLLM
    NumberPlace{"input prompt (", " tokens"},              //
    NumberPlace{"decoder prompt (length ", ")"},           //
    NumberPlace{"prompt is too long: ", ""},               // Anthropic, Fireworks
    NumberPlace{"request (", " tokens"},                   // llama-server
    NumberPlace{"input (", " tokens"},                     // llama-server, SGLang
    NumberPlace{"requested tokens (", ")"},                // llama-cpp-python
    NumberPlace{"input length (", " tokens"},              // SGLang
    NumberPlace{"trying to keep the first ", " tokens"},   // LM Studio
    NumberPlace{"request length ", ""},                    // TabbyAPI
    NumberPlace{"prompt length (", ")"},                   // TensorRT-LLM
    NumberPlace{"the rendered prompt is ", " tokens"},     // dasllama
    NumberPlace{"prompt has ", " tokens"},                 // ds4
    NumberPlace{"given: ", ""},                            // TGI, TEI
    NumberPlace{"request input token count: ", ""},        // Bedrock
    NumberPlace{"input token count (", ")"},               // Gemini
    NumberPlace{"input token count is ", ""},              // Vertex
    NumberPlace{"prompt contains ", " tokens"},            // Mistral
    NumberPlace{"but the request contains ", " tokens"},   // xAI
    NumberPlace{"current length is ", ""},                 // Cerebras
    NumberPlace{"prompt token count of ", ""},             // GitHub Copilot
    NumberPlace{"requested input length ", ""},            // DeepInfra
    NumberPlace{"and maximum output tokens (", ")"},       // Cloudflare
    NumberPlace{"your batch has ", " tokens"},             // Voyage
    NumberPlace{"prompt (total length ", ")"},             // vLLM
    NumberPlace{"you passed ", " input tokens"},           //
    NumberPlace{"your request has ", " input tokens"},     //
    NumberPlace{"with n_keep (", ")"},                     // LM Studio
    NumberPlace{"sum of prompt length (", ""},             // TensorRT-LLM
    NumberPlace{"`splited_prompt_len` (", ")"},            //
    NumberPlace{"request prompt has ", " tokens"},         // MLC LLM
    NumberPlace{"number of prompt tokens: ", ""},          // OpenVINO
    NumberPlace{"prompt too long: ", " tokens"},           // oMLX
    NumberPlace{"text prompt has ", " tokens"},            // vMLX
    NumberPlace{"prompt tokens (", ")"},                   // ds4
    NumberPlace{"tokens; prompt=", ""},                    //
    NumberPlace{"request too long: ", " input tokens"},    //
    NumberPlace{"prompt_tokens (", ")"},                   // SiliconFlow
    NumberPlace{"number of input tokens ", ""},            // watsonx.ai
    NumberPlace{" - received ", ""},                       // Cohere
    NumberPlace{"total tokens ", " exceed"},               //
    NumberPlace{" has ", " tokens, exceeding max"},        // Mistral
    NumberPlace{"requested ", " tokens, max "},            // OpenAI
};

}  // namespace sluice::llm
