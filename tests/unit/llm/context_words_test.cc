// That a request does not fit into the context, in the words of every server and provider known.
#include "context_words.h"

#include "sluice/llm/failure_body.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice::llm;

namespace {

struct CountCase {
    std::string_view message;
    std::uint64_t n_ctx;            // 0: it does not say
    std::uint64_t n_prompt_tokens;  // the same
};

std::string openai_error(std::string_view message) {
    return R"({"error":{"message":")" + std::string(message) + R"(","type":"BadRequestError"}})";
}

bool lower_case(std::string_view text) {
    return text.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == text.npos;
}

const CountCase cases[] = {
    {"This model's maximum context length is 16384 tokens. However, you requested 122946 "
     "tokens (112946 in the messages, 10000 in the completion).",
     16384, 122946},
    {"This model's maximum context length is 8192 tokens. However, you requested 4096 output "
     "tokens and your prompt contains at least 4097 input tokens, for a total of at least "
     "8193 tokens.",
     8192, 8193},
    {"This model's maximum context length is 8192 tokens. However, your messages resulted in "
     "8545 tokens.",
     8192, 8545},
    {"The decoder prompt (length 5000) is longer than the maximum model length of 4096.", 4096,
     5000},
    {"prompt is too long: 203284 tokens > 200000 maximum", 200000, 203284},
    {"request (1523 tokens) exceeds the available context size (512 tokens), try increasing it",
     512, 1523},
    {"The input (691793 tokens) is longer than the model's context length (540000 tokens).", 540000,
     691793},
    {"Trying to keep the first 5000 tokens when context the overflows. However, the model is "
     "loaded with context length of only 4096 tokens",
     4096, 5000},
    {"The input token count (1234) exceeds the maximum number of tokens allowed (1000).", 1000,
     1234},
    // --- local servers ---
    {"the request exceeds the available context size, try increasing it", 0, 0},
    {"Context size has been exceeded.", 0, 0},
    {"rpc error: code = Internal desc = request (9 tokens) exceeds the available context size "
     "(4 tokens), try increasing it",
     4, 9},
    {"Requested tokens (9437) exceed context window of 8192", 8192, 9437},
    {"Input prompt (5000 tokens) is too long and exceeds limit of 4096", 4096, 5000},
    {"max context 8192 tokens, the prompt had at least 8193", 8192, 8193},
    {"Input length (691 tokens) exceeds the maximum allowed length (400 tokens). Use a shorter "
     "input or enable --allow-auto-truncate.",
     400, 691},
    {"Requested token count exceeds the model's maximum context length of 4096 tokens. You "
     "requested a total of 5000 tokens",
     4096, 0},
    {"the input length exceeds the context length", 0, 0},
    {"prompt too long; exceeded max context length by 4 tokens", 0, 0},
    {"the prompt is longer than the context length currently available to the model", 0, 0},
    {"The number of tokens to keep from the initial prompt is greater than the context length.", 0,
     0},
    {"Request length 71599 + 2048 is greater than max_seq_len 65536", 65536, 71599},
    {"Prompt sequence length is greater than 4096, perhaps consider using `truncate_sequence`?",
     4096, 0},
    {"Prompt length (8193) exceeds maximum input length (8192). Set log level to info", 8192, 8193},
    {"the rendered prompt is 3000 tokens; the model context is 2048", 2048, 3000},
    {"The prompt (total length 25938) is too long to fit into the model (context length 4096). "
     "Make "
     "sure that `max_model_len` is no smaller than the number of text tokens plus multimodal "
     "tokens.",
     4096, 25938},
    {"You passed 513 input tokens and requested 0 output tokens. However, the model's context "
     "length "
     "is only 512 tokens, resulting in a maximum input length of 512 tokens. Please reduce the "
     "length "
     "of the input prompt. (parameter=input_tokens, value=513)",
     512, 513},
    {"'max_tokens' is too large: 4096. This model's maximum context length is 32768 tokens and "
     "your "
     "request has 29000 input tokens (4096 > 32768 - 29000).",
     32768, 29000},
    {"context size exceeded", 0, 0},
    {"Context size exceeded.", 0, 0},
    {"Multimodal prompt is too long after expanding multimodal tokens. After expanding "
     "len(req.origin_input_ids_unpadded)=12 => 9000 >= 8186.",
     0, 0},
    {"Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)", 7424, 15028},
    {"Reached context length of 4096 tokens with model (arch: qwen3vlmoe) that does not currently "
     "support mid-generation context overflow. Try reloading with a larger context length",
     4096, 0},
    {"The sum of prompt length (9351.0), query length (0) should not exceed max_num_tokens (8192)",
     8192, 9351},
    {"`default_max_tokens` (-152) must be greater than 0, `default_max_tokens` (-152) = "
     "max_seq_len "
     "(8192) - `splited_prompt_len` (8000) - `query_token_len` (344)",
     8192, 8000},
    {"Request prompt has 2015 tokens in total, larger than the model input length limit 1416.",
     1416, 2015},
    {"Mediapipe execution failed. MP status - INVALID_ARGUMENT: Number of prompt tokens: 9000 "
     "exceeds "
     "model max length: 8192",
     8192, 9000},
    {"Prompt too long: 35057 tokens exceeds max context window of 32768 tokens", 32768, 35057},
    {"prompt_too_long: tokenized VLM text prompt has 20767 tokens, max prompt/context tokens is "
     "8192",
     8192, 20767},
    {"Prompt exceeds maximum context length", 0, 0},
    {"Prompt tokens (9000) exceeds context size (8192)", 8192, 9000},
    {"Context limit is 49152 tokens; prompt=51402 leaves 0 output tokens, below the minimum 16",
     49152, 51402},
    {"Requested token count exceeds the model's context window", 0, 0},
    {"prompt has 9000 tokens, but the configured context size is 8192 tokens", 8192, 9000},
    {"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4500 "
     "`inputs` tokens and 512 `max_new_tokens`",
     4096, 4500},
    // --- embeddings ---
    {"input (513 tokens) is too large to process. increase the physical batch size (current "
     "batch size: 512)",
     512, 513},
    {"input is too large to process. increase the physical batch size", 0, 0},
    {"input (900 tokens) is larger than the max context size (512 tokens). skipping", 512, 900},
    {"Input validation error: `inputs` must have less than 512 tokens. Given: 598", 512, 598},
    {"the input length exceeds the batch size; increase num_batch", 0, 0},
    {"This model's maximum context length is 512 tokens. However, you requested 700 tokens in "
     "the input for embedding generation. Please reduce the length of the input.",
     512, 700},
    {"This model's maximum context length is 8192 tokens, however you requested 9100 tokens "
     "(9100 in your prompt; 0 for the completion). Please reduce your prompt",
     8192, 9100},
    {"Invalid 'input': maximum input length is 8192 tokens.", 8192, 0},
    {"400 Bad Request: Too many input tokens. Max input tokens: 8192, request input token "
     "count: 9279 ",
     8192, 9279},
    {"Failed to encode text: Single text cannot exceed 8194 tokens. 8202 tokens given.", 8194, 0},
    {"Malformed input request: expected maxLength: 50000, actual: 52611, please reformat your "
     "input",
     0, 0},
    {"Malformed input request: #/texts/0: expected maxLength: 2048, actual: 4680", 0, 0},
    {"Too many tokens in batch. Max is 16384 got 20396", 16384, 0},
    {"Input id 0 has 9000 tokens, exceeding max 8192 tokens.", 8192, 9000},
    {"Requested 468160 tokens, max 300000 tokens per request", 300000, 468160},
    {"Request to model 'voyage-3' failed. The example at index 17 in your batch has too many "
     "tokens "
     "and does not fit into the model's context window of 32000 tokens.",
     32000, 0},
    {"The max allowed tokens per submitted batch is 120000. Your batch has 130000 tokens after "
     "truncation.",
     120000, 130000},
    // --- providers ---
    {"Your input exceeds the context window of this model. Please adjust your input", 0, 0},
    {"Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in "
     "300000 tokens.",
     272000, 300000},
    {"Please reduce the length of the messages or completion. Current length is 32769 while "
     "limit is 32768",
     32768, 32769},
    {"The prompt is too long: 9000, model maximum context length: 8192", 8192, 9000},
    {"input length and `max_tokens` exceed context limit: 199000 + 21333 > 200000", 0, 0},
    {"Unable to submit request because the input token count is 135538 but model only supports "
     "up to 131072",
     131072, 135538},
    {"The input token count exceeds the maximum number of tokens allowed 1048576.", 1048576, 0},
    {"Input is too long for requested model.", 0, 0},
    {"Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum "
     "context length",
     32768, 40000},
    {"This model's maximum prompt length is 131072 but the request contains 537812 tokens.", 131072,
     537812},
    {"This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 "
     "tokens (8000 of text input, 1000 in the output).",
     8192, 9000},
    {"Your request exceeded model token limit: 262144", 262144, 0},
    {"invalid params, context window exceeds limit", 0, 0},
    {"Range of input length should be [1, 6000]", 0, 0},
    {"Prompt exceeds max length", 0, 0},
    {"prompt token count of 140000 exceeds the limit of 128000", 128000, 140000},
    {"Requested input length 9000 exceeds maximum input length 8192", 8192, 9000},
    {"5021: The estimated number of input and maximum output tokens (8810) exceeded this model "
     "context window limit (8192)",
     8192, 8810},
    {"too many tokens: size limit exceeded by 300 tokens. Try using shorter or fewer inputs.", 0,
     0},
    {"too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.",
     4081, 4292},
    {"too many tokens: total number of tokens (prompt and prediction) cannot exceed 2048 - "
     "received "
     "2049. Try using a shorter prompt",
     2048, 2049},
    {"too many tokens: total tokens 700 exceeds 512", 512, 700},
    {"Request too large for model", 0, 0},
    {"Request too long: 121692 input tokens over the limit of 46112", 46112, 121692},
    {"length of prompt_tokens (33000) must be less than max_seq_len (32768).", 32768, 33000},
    {"Invalid input argument for Model 'x': the number of input tokens 4098 cannot exceed the "
     "total "
     "tokens limit 4096 for this model",
     4096, 4098},
    {"Total tokens of image and text exceed max message tokens. Request id: 0217", 0, 0},
    {"Request body too large for gpt-4o model. Max size: 8000 tokens.", 8000, 0},
    {"The model returned the following errors: prompt is too long: 203284 tokens > 200000 maximum",
     200000, 203284},
    {"litellm.ContextWindowExceededError: litellm.BadRequestError: too long", 0, 0},
    {"maximum context length is 99999999999999999999999 tokens", 0, 0},
    {"maximum context length is", 0, 0},
};

}  // namespace

TEST_CASE("R13: every known wording of a context that is too small, and its counts") {
    for (const CountCase& c : cases) {
        CAPTURE(c.message);
        const ErrorFacts facts = read_failure_body(openai_error(c.message));
        CHECK(facts.context != ContextSign::none);
        CHECK(facts.n_ctx.value_or(0) == c.n_ctx);
        CHECK(facts.n_prompt_tokens.value_or(0) == c.n_prompt_tokens);
    }
}

TEST_CASE("R13: each row says who says so, and can be found") {
    for (const ContextWords& row : context_words) {
        CAPTURE(row.text);
        CHECK_FALSE(row.source.empty());
        CHECK((lower_case(row.text) && lower_case(row.behind)));
        const std::string message = std::string(row.text) + " 9 " + std::string(row.behind);
        CHECK(read_failure_body(openai_error(message)).context != ContextSign::none);
        const auto inside = read_failure_body(openai_error("no model '" + message + "'")).context;
        CHECK(inside != ContextSign::exact);
        if (row.where == Where::anywhere) CHECK(inside == ContextSign::mentioned);
    }
}

TEST_CASE("R13: the shapes that such words come in") {
    for (const std::string_view body :
         {R"j({"error":"`inputs` must have less than 512 tokens. Given: 598","error_type":"x"})j",
          R"({"message":"too many tokens: size limit exceeded by 3 tokens."})",
          R"({"detail":"This model's maximum context length is 512 tokens"})",
          R"({"detail":[{"loc":["body"],"msg":"exceeds the maximum context length"}]})",
          R"j({"success":false,"errors":[{"code":5021,"message":"tokens (9) exceeded this model )j"
          R"j(context window limit (8)"}]})j",
          R"([{"error":{"code":400,"message":"The input token count (9) exceeds the maximum )"
          R"(number of tokens allowed (8).","status":"INVALID_ARGUMENT"}}])",
          R"({"error":{"message":"no","code":"model_context_window_exceeded"}})",
          "maximum context length is 512 tokens"}) {
        CAPTURE(body);
        CHECK(read_failure_body(body).context != ContextSign::none);
    }
}

TEST_CASE("R13: what is something else is no such word") {
    for (const std::string_view message :
         {"Rate limit reached for tokens per min (TPM): Limit 30000, Used 29000",
          "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 14810",
          "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 342389.",
          "Too many tokens, please wait before trying again.",
          "ThrottlingException: Too many tokens, please wait before trying again.",
          "too many tokens per minute, slow down",
          "You've used too many tokens this month",
          "You have exceeded your token limit for this minute",
          "context deadline exceeded",
          "Post http://x: context deadline exceeded (Client.Timeout exceeded while awaiting)",
          "context canceled",
          "rate limit exceeded",
          "Request Entity Too Large",
          "Request too large for this proxy",
          "total message size 3275158 exceeds limit 2097152",
          "Request exceeds the maximum allowed number of bytes.",
          "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens for m",
          "max_tokens is too large: 100000. This model supports at most 4096 completion tokens",
          "Unable to submit request because it has a maxOutputTokens value of 100000 but the "
          "supported range is from 1 (inclusive) to 8193 (exclusive).",
          "Invalid 'metadata.key': string too long. Expected at most 64 characters.",
          "Invalid 'tools': array too long. Expected an array with maximum length 128",
          "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum",
          "expected maxLength: 15, actual: 56",
          "the context window is not configured",
          "This request would exceed the rate limit for your organization of 40,000 input tokens",
          "Invalid schema for function 'read': In context=('properties', 'path')",
          "input is required",
          "too many tokens: max tokens must be less than or equal to 4096",
          "input (x) is bad",
          "request (POST) is not allowed",
          "max_tokens is too large: 100000"}) {
        CAPTURE(message);
        CHECK(read_failure_body(openai_error(message)).context == ContextSign::none);
    }
}
