#include "effects.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>

namespace sluice::cache {

namespace {

using llm::CanonicalJson;
using llm::Dialect;
using llm::Endpoint;
using Kind = CanonicalJson::Kind;
using Id = CanonicalJson::Id;

// The value of a member of the root that is there and not null.
std::optional<Id> find_value(const CanonicalJson& json, std::string_view key) {
    const auto value = json.find(CanonicalJson::root, key);
    return value && json.kind(*value) != Kind::null ? value : std::nullopt;
}

// Also a text or a list, which some servers would read as a number.
bool asks_for_several(const CanonicalJson& json) {
    static constexpr std::string_view keys[] = {"n", "best_of", "n_cmpl"};
    return std::ranges::any_of(keys, [&json](std::string_view key) {
        const auto value = find_value(json, key);
        return value && !is_one(json, *value);
    });
}

bool is_empty(const CanonicalJson& json, std::string_view key) {
    const auto value = find_value(json, key);
    if (!value) return true;
    if (json.kind(*value) == Kind::string) return json.spelling(*value).empty();
    return json.kind(*value) == Kind::array && json.is_empty(*value);
}

// Ollama's requests that ask for no text load a model, and those that keep it for no time unload it
// (docs/api.md: "Load a model", "Unload a model").
bool is_ollama_command(const CanonicalJson& json, const Endpoint& endpoint) {
    struct Asked {
        std::string_view path;
        std::string_view key;
    };
    static constexpr Asked asked[] = {{"/api/generate", "prompt"},
                                      {"/api/chat", "messages"},
                                      {"/api/embed", "input"},
                                      {"/api/embeddings", "prompt"}};
    const auto* const found = std::ranges::find(asked, endpoint.path, &Asked::path);
    if (found != std::end(asked) && is_empty(json, found->key)) return true;
    const auto kept = find_value(json, "keep_alive");
    // A number of seconds, or a text as "0s", "5m".
    return kept && json.spelling(*kept).find_first_of("123456789") == std::string_view::npos;
}

// Members whose value names something that the server keeps and may change, or that ask it to keep
// something. `harmless`: the value that does not, besides null.
struct Stateful {
    std::string_view key;
    Dialect dialect;
    std::optional<Kind> harmless;
};
constexpr Stateful stateful_members[] = {
    {"background", Dialect::responses, Kind::false_},
    {"conversation", Dialect::responses, {}},
    {"previous_response_id", Dialect::responses, {}},
    {"prompt", Dialect::responses, {}},  // a template that the server has
    {"store", Dialect::responses, Kind::false_},
    {"store", Dialect::openai, Kind::false_},
    {"container", Dialect::anthropic, {}},        // where tools have run before
    {"kv_transfer_params", Dialect::openai, {}},  // vLLM: the other half of a split prefill
};

bool is_stateful(const CanonicalJson& json, const Endpoint& endpoint) {
    if (endpoint.dialect == Dialect::ollama) return is_ollama_command(json, endpoint);
    return std::ranges::any_of(stateful_members, [&](const Stateful& each) {
        if (each.dialect != endpoint.dialect) return false;
        const auto value = find_value(json, each.key);
        return value && (!each.harmless || json.kind(*value) != *each.harmless);
    });
}

// --- tools that the server runs itself ---

// The types of tools that the client runs: it is told of a call and sends the result. Whatever else
// there is or will be the server may run by itself. Sources: OpenAI's API reference, "tools" of
// chat/create and responses/create; Anthropic's list of client tools, whose names end in a date.
struct ClientTool {
    std::string_view type;
    Dialect dialect;
    bool is_prefix = false;
};
constexpr ClientTool client_tools[] = {
    {"function", Dialect::openai},
    {"custom", Dialect::openai},
    {"function", Dialect::responses},
    {"custom", Dialect::responses},
    {"namespace", Dialect::responses},
    {"apply_patch", Dialect::responses},
    {"local_shell", Dialect::responses},
    {"computer", Dialect::responses},
    {"computer_use_preview", Dialect::responses},
    {"custom", Dialect::anthropic},
    {"bash_", Dialect::anthropic, true},
    {"browser_", Dialect::anthropic, true},
    {"computer_", Dialect::anthropic, true},
    {"memory_", Dialect::anthropic, true},
    {"text_editor_", Dialect::anthropic, true},
    {"function", Dialect::ollama},
    {"function", Dialect::llama_native},
};

// One without a type is nobody's but the client's.
bool is_client_tool(const CanonicalJson& json, Dialect dialect, Id tool) {
    if (json.kind(tool) != Kind::object) return false;
    const auto type = json.find(tool, "type");
    if (!type || json.kind(*type) == Kind::null) return true;
    if (json.kind(*type) != Kind::string) return false;
    const std::string_view name = json.spelling(*type);
    return std::ranges::any_of(client_tools, [&](const ClientTool& each) {
        if (each.dialect != dialect) return false;
        return each.is_prefix ? name.starts_with(each.type) : name == each.type;
    });
}

// Members that have the server search or call others. An empty list asks for nothing.
constexpr std::string_view server_tool_members[] = {
    "mcp_servers",        // Anthropic
    "plugins",            // OpenRouter
    "web_search_options"  // OpenAI's chat completions
};

bool has_server_tools(const CanonicalJson& json, const Endpoint& endpoint) {
    const bool named = std::ranges::any_of(
        server_tool_members, [&json](std::string_view key) { return !is_empty(json, key); });
    if (named) return true;
    const auto tools = find_value(json, "tools");
    if (!tools || json.kind(*tools) != Kind::array) return false;
    for (Id tool = *tools + 1; tool != json.after(*tools); tool = json.after(tool)) {
        if (!is_client_tool(json, endpoint.dialect, tool)) return true;
    }
    return false;
}

}  // namespace

Bypass effect_of(const CanonicalJson& json, const Endpoint& endpoint) {
    if (asks_for_several(json)) return Bypass::several_choices;
    if (is_stateful(json, endpoint)) return Bypass::stateful;
    return has_server_tools(json, endpoint) ? Bypass::server_tools : Bypass::none;
}

}  // namespace sluice::cache
