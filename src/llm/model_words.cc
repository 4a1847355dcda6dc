#include "model_words.h"

#include "sluice/base/limits.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <iterator>
#include <utility>

namespace sluice::llm {
namespace {

namespace dom = simdjson::dom;

// A text that is longer is no name and no size.
constexpr std::size_t text_bytes_max = 512;
// No model has a longer context, and no file is larger: what says so means something else.
constexpr std::uint64_t context_max = 1'000'000'000;

constexpr std::uint64_t created_max = 253'402'300'799;  // the end of the year 9999

using Path = std::initializer_list<const char*>;

bool find(dom::element from, Path path, dom::element& found) {
    found = from;
    return std::ranges::all_of(path, [&found](const char* key) {
        dom::element next;
        if (!found.is_object() || found[key].get(next) != simdjson::SUCCESS) return false;
        found = next;
        return true;
    });
}

std::string text_at(dom::element object, std::initializer_list<Path> paths) {
    for (const Path path : paths) {
        dom::element found;
        std::string_view text;
        if (find(object, path, found) && found.get(text) == simdjson::SUCCESS && !text.empty() &&
            text.size() <= text_bytes_max)
            return std::string(text);
    }
    return {};
}

std::uint64_t number_at(dom::element object, std::initializer_list<Path> paths) {
    for (const Path path : paths) {
        dom::element found;
        std::uint64_t number = 0;
        if (find(object, path, found) && found.get(number) == simdjson::SUCCESS && number > 0)
            return number;
    }
    return 0;
}

void add_word(std::vector<std::string>& words, std::string_view word) {
    if (word.empty() || word.size() > text_bytes_max || words.size() == model_words_max) return;
    if (std::ranges::find(words, word) == words.end()) words.emplace_back(word);
}

std::vector<std::string> words_at(dom::element object, std::initializer_list<Path> paths) {
    for (const Path path : paths) {
        dom::element found;
        dom::array array;
        if (!find(object, path, found) || found.get(array) != simdjson::SUCCESS) continue;
        std::vector<std::string> words;
        for (const dom::element each : array) {
            std::string_view word;
            if (each.get(word) == simdjson::SUCCESS) add_word(words, word);
        }
        if (!words.empty()) return words;
    }
    return {};
}

// In Ollama's words; empty: none of them.
std::string_view capability(std::string_view said) {
    static constexpr std::pair<std::string_view, std::string_view> words[] = {
        {"completion", "completion"}, {"chat", "completion"},     {"completion_chat", "completion"},
        {"tools", "tools"},           {"tool_use", "tools"},      {"function_calling", "tools"},
        {"vision", "vision"},         {"multimodal", "vision"},   {"insert", "insert"},
        {"completion_fim", "insert"}, {"embedding", "embedding"}, {"embeddings", "embedding"},
        {"thinking", "thinking"},     {"reasoning", "thinking"},  {"audio", "audio"},
        {"image", "image"},
    };
    const auto* const found =
        std::ranges::find(words, said, &std::pair<std::string_view, std::string_view>::first);
    return found != std::end(words) ? found->second : std::string_view();
}

// A list of words, or an object of switches.
void read_capabilities(dom::element object, ModelEntry& entry) {
    for (const std::string& word : words_at(object, {{"capabilities"}}))
        add_word(entry.capabilities, capability(word));
    dom::element found;
    dom::object switches;
    if (!find(object, {"capabilities"}, found) || found.get(switches) != simdjson::SUCCESS) return;
    for (const auto& [key, value] : switches) {
        bool on = false;
        if (value.get(on) == simdjson::SUCCESS && on) add_word(entry.capabilities, capability(key));
    }
}

// LM Studio's.
void read_type(std::string_view type, ModelEntry& entry) {
    if (type == "embeddings" && entry.capabilities.empty()) entry.capabilities = {"embedding"};
    if (!entry.input_modalities.empty()) return;
    if (type == "vlm") entry.input_modalities = {"text", "image"};
    if (type == "llm" || type == "embeddings") entry.input_modalities = {"text"};
}

// llama-server's router and LM Studio say it; whoever is in Ollama's /api/ps is loaded.
std::optional<bool> loaded_at(dom::element object) {
    const std::string state = text_at(object, {{"status", "value"}, {"status"}, {"state"}});
    if (state == "loaded") return true;
    if (state == "unloaded" || state == "not-loaded" || state == "loading" || state == "sleeping")
        return false;
    dom::element found;
    if (find(object, {"size_vram"}, found) || find(object, {"expires_at"}, found)) return true;
    return std::nullopt;
}

void read_aliases(dom::element object, ModelEntry& entry) {
    dom::array aliases;
    if (object["aliases"].get(aliases) != simdjson::SUCCESS) return;
    for (const dom::element alias : aliases) {
        std::string_view text;
        if (entry.aliases.size() == model_aliases_max) return;
        if (alias.get(text) != simdjson::SUCCESS || !is_usable_id(text) || text == entry.id)
            continue;
        entry.aliases.emplace_back(text);
    }
}

// 1500000000 is "1.5B".
std::string size_of_parameters(std::uint64_t count) {
    struct Unit {
        std::uint64_t size;
        char letter;
    };
    for (const Unit unit : {Unit{1'000'000'000, 'B'}, Unit{1'000'000, 'M'}, Unit{1'000, 'K'}})
        if (count >= unit.size)
            return fmt::format("{:.1f}{}",
                               static_cast<double>(count) / static_cast<double>(unit.size),
                               unit.letter);
    return count > 0 ? std::to_string(count) : "";
}

// Of Ollama's lines `NAME   VALUE`; 0: it is not among them.
std::uint64_t parameter_in(std::string_view lines, std::string_view name) {
    for (std::size_t begin = 0; begin < lines.size();) {
        const std::size_t end = std::min(lines.find('\n', begin), lines.size());
        std::string_view line = lines.substr(begin, end - begin);
        begin = end + 1;
        if (!line.starts_with(name)) continue;
        line.remove_prefix(name.size());
        const std::size_t at = line.find_first_not_of(" \t");
        if (at == 0 || at == line.npos) continue;
        std::uint64_t value = 0;
        (void)std::from_chars(line.data() + at, line.data() + line.size(), value);
        return value;
    }
    return 0;
}

}  // namespace

bool is_usable_id(std::string_view id) {
    const bool control = std::ranges::any_of(
        id, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
    return !id.empty() && id.size() <= limits::model_name_bytes_max && !control;
}

void read_words(std::string_view json, ModelEntry& entry) {
    dom::parser parser;
    dom::element object;
    if (parser.parse(json.data(), json.size()).get(object) != simdjson::SUCCESS) return;
    read_aliases(object, entry);
    entry.display_name = text_at(object, {{"display_name"}, {"name"}});
    if (entry.display_name == entry.id) entry.display_name.clear();
    entry.owned_by = text_at(object, {{"owned_by"}, {"publisher"}});
    entry.created = static_cast<std::int64_t>(
        std::min(number_at(object, {{"created"}, {"created_at"}}), created_max));
    // What it was started with before what it could have.
    entry.context = number_at(object, {{"meta", "n_ctx"},
                                       {"loaded_context_length"},
                                       {"max_model_len"},
                                       {"context_length"},
                                       {"context_window"},
                                       {"details", "context_length"},
                                       {"max_context_length"},
                                       {"max_input_tokens"},
                                       {"meta", "n_ctx_train"}});
    if (entry.context > context_max) entry.context = 0;
    entry.input_modalities = words_at(
        object, {{"architecture", "input_modalities"}, {"input_modalities"}, {"modalities"}});
    entry.output_modalities =
        words_at(object, {{"architecture", "output_modalities"}, {"output_modalities"}});
    read_capabilities(object, entry);
    read_type(text_at(object, {{"type"}}), entry);
    entry.family = text_at(object, {{"details", "family"}, {"arch"}, {"meta", "architecture"}});
    entry.format = text_at(object, {{"details", "format"}, {"compatibility_type"}});
    entry.parameters = number_at(object, {{"meta", "n_params"}});
    entry.parameter_size = text_at(object, {{"details", "parameter_size"}});
    if (entry.parameter_size.empty()) entry.parameter_size = size_of_parameters(entry.parameters);
    entry.quantization =
        text_at(object, {{"details", "quantization_level"}, {"quantization"}, {"meta", "ftype"}});
    entry.size = number_at(object, {{"size"}, {"meta", "size"}});
    entry.size_vram = number_at(object, {{"size_vram"}});
    entry.digest = text_at(object, {{"digest"}});
    entry.modified_at = text_at(object, {{"modified_at"}});
    entry.expires_at = text_at(object, {{"expires_at"}});
    entry.loaded = loaded_at(object);
}

void read_shown_words(std::string_view json, ModelEntry& entry) {
    dom::parser parser;
    dom::element object;
    if (parser.parse(json.data(), json.size()).get(object) != simdjson::SUCCESS) return;
    entry.parameters = number_at(object, {{"model_info", "general.parameter_count"}});
    const std::string architecture = text_at(object, {{"model_info", "general.architecture"}});
    const std::string length = architecture + ".context_length";
    std::string_view parameters;
    const bool says_them = object["parameters"].get(parameters) == simdjson::SUCCESS;
    const std::uint64_t set = says_them ? parameter_in(parameters, "num_ctx") : 0;
    if (entry.family.empty()) entry.family = architecture;
    entry.context = set != 0 ? set : number_at(object, {{"model_info", length.c_str()}});
    if (entry.context > context_max) entry.context = 0;
}

void describe(ModelEntry& entry, const ModelEntry& more) {
    const auto fill = [](auto& known, const auto& said) {
        if (known == std::remove_cvref_t<decltype(known)>{}) known = said;
    };
    fill(entry.display_name, more.display_name);
    fill(entry.owned_by, more.owned_by);
    fill(entry.created, more.created);
    fill(entry.context, more.context);
    fill(entry.input_modalities, more.input_modalities);
    fill(entry.output_modalities, more.output_modalities);
    fill(entry.capabilities, more.capabilities);
    fill(entry.family, more.family);
    fill(entry.format, more.format);
    fill(entry.parameter_size, more.parameter_size);
    fill(entry.quantization, more.quantization);
    fill(entry.parameters, more.parameters);
    fill(entry.size, more.size);
    fill(entry.size_running, more.size_running);
    fill(entry.size_vram, more.size_vram);
    fill(entry.digest, more.digest);
    fill(entry.modified_at, more.modified_at);
    fill(entry.expires_at, more.expires_at);
    fill(entry.loaded, more.loaded);
}

bool says_the_same(const ModelEntry& one, const ModelEntry& other) {
    ModelEntry then = other;
    then.created = one.created;
    return one == then;
}

}  // namespace sluice::llm
