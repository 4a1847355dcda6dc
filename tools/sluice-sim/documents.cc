#include "documents.h"

#include "append.h"
#include "sluice/llm/errors.h"

#include <algorithm>

namespace sluice::model_sim {
namespace {

constexpr std::int64_t created_at = 1'750'000'000;  // models do not change while the server runs

std::string quoted(std::string_view text) {
    std::string out = "\"";
    llm::append_json_escaped(out, text);
    return out + "\"";
}

std::string llama_entry(std::string_view name) {
    return joined(R"({"id":)", name, R"(,"aliases":[)", name, R"(],"tags":[],"object":"model",)",
                  R"("architecture":{"input_modalities":["text"],"output_modalities":["text"]},)",
                  R"("created":)", created_at, R"(,"owned_by":"llamacpp","meta":{"vocab_type":2,)",
                  R"("n_vocab":32000,"n_ctx":4096,"n_ctx_train":4096,"n_embd":64,)",
                  R"("n_params":232128,"size":928512,"ftype":"all F32"}})");
}

std::string entry(Api api, std::string_view name) {
    switch (api) {
        case Api::llama:
            return llama_entry(name);
        case Api::vllm:
            return joined(R"({"id":)", name, R"(,"object":"model","created":)", created_at,
                          R"(,"owned_by":"vllm","root":)", name,
                          R"(,"parent":null,"max_model_len":4096,"permission":[]})");
        case Api::openai:
        case Api::ollama:
            break;
    }
    return joined(R"({"id":)", name, R"(,"object":"model","created":)", created_at,
                  R"(,"owned_by":")", api == Api::ollama ? "library" : "sluice-sim", R"("})");
}

// The list that llama-server has beside OpenAI's.
std::string llama_models(const Options& options) {
    std::string out;
    for (const auto& model : options.models) {
        const auto name = quoted(model);
        append(out, out.empty() ? "" : ",", R"({"name":)", name, R"(,"model":)", name,
               R"(,"modified_at":"","size":"","digest":"","type":"model","description":"",)",
               R"("tags":[""],"capabilities":["completion"],"parameters":"","details":)",
               R"({"parent_model":"","format":"gguf","family":"","families":[""],)",
               R"("parameter_size":"","quantization_level":""}})");
    }
    return out;
}

}  // namespace

std::string model_list(const Options& options) {
    std::string data;
    for (const auto& model : options.models)
        append(data, data.empty() ? "" : ",", entry(options.api, quoted(model)));
    if (options.api == Api::llama)
        return joined(R"({"models":[)", llama_models(options), R"(],"object":"list","data":[)",
                      data, "]}");
    return joined(R"({"object":"list","data":[)", data, "]}");
}

std::string model_entry(const Options& options, std::string_view name) {
    const auto& models = options.models;
    if (std::find(models.begin(), models.end(), name) == models.end()) return {};
    return entry(options.api, quoted(name));
}

std::string server_props(const Options& options) {
    // Without a bound there is nothing true to say.
    const auto slots =
        options.slots == 0 ? std::string() : joined(R"("total_slots":)", options.slots, ',');
    return joined(R"({"default_generation_settings":{"params":{},"n_ctx":4096},)", slots,
                  R"("model_alias":)", quoted(options.models.front()),
                  R"(,"model_path":"","modalities":{"vision":false,"video":false,"audio":false},)",
                  R"("endpoint_slots":true,"endpoint_props":false,"endpoint_metrics":false,)",
                  R"("chat_template":"","build_info":"b0-sim"})");
}

std::string ollama_tags(const Options& options) {
    std::string out = R"({"models":[)";
    bool first = true;
    for (const auto& model : options.models) {
        const auto name = quoted(model);
        append(out, first ? "" : ",", R"({"name":)", name, R"(,"model":)", name,
               R"(,"modified_at":"2025-06-15T14:40:00Z","size":928512,"digest":"",)",
               R"("details":{"parent_model":"","format":"gguf","family":"llama",)",
               R"("families":["llama"],"parameter_size":"232K","quantization_level":"F32"}})");
        first = false;
    }
    return out + "]}";
}

}  // namespace sluice::model_sim
