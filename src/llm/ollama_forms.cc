// Ollama's lists of models (docs/api.md of Ollama).
#include "json_out.h"
#include "sluice/base/assert.h"
#include "sluice/base/digest.h"
#include "sluice/llm/model_forms.h"
#include "utc_date.h"

#include <algorithm>
#include <string>
#include <unordered_set>

namespace sluice::llm {
namespace {

// What is loaded and is not known to be unloaded some time.
constexpr std::string_view never = "9999-12-31T23:59:59Z";

// Names that stand in a list already: `tiny` and `tiny:latest` are one there.
using Names = std::unordered_set<std::string>;

// Ollama's own names always have a tag.
std::string name_of(const ListedModel& model) {
    const std::size_t slash = model.id.rfind('/');
    const std::size_t from = slash == model.id.npos ? 0 : slash;
    const bool tagged = model.id.find(':', from) != model.id.npos;
    return std::string(model.id) + (tagged ? "" : ":latest");
}

// Where the server says none, one that stays the same for the same name.
std::string digest_of(const ListedModel& model) {
    if (!model.entry->digest.empty()) return model.entry->digest;
    constexpr std::string_view hex = "0123456789abcdef";
    std::string out;
    for (const auto byte : sha256(model.id)) {
        const auto value = static_cast<unsigned>(byte);
        out += hex[value >> 4];
        out += hex[value & 15];
    }
    return out;
}

std::string modified_at(const ModelEntry& entry) {
    return entry.modified_at.empty() ? utc_date(entry.created) : entry.modified_at;
}

std::string details_of(const ListedModel& model) {
    const ModelEntry& entry = *model.entry;
    std::string out;
    ObjectWriter object(out);
    object.text("parent_model", "");
    object.text("format", entry.format);
    object.text("family", entry.family);
    object.texts("families", std::span(&entry.family, entry.family.empty() ? 0 : 1));
    object.text("parameter_size", entry.parameter_size);
    object.text("quantization_level", entry.quantization);
    if (model.context_known() != 0) object.number("context_length", model.context_known());
    object.done();
    return out;
}

// Editors offer tools only to a model that says it takes them. What answers chats here takes them,
// unless its server says what it can and they are not among it.
std::vector<std::string> capabilities_of(const ModelEntry& entry) {
    const auto says = [&entry](const char* word) {
        return std::ranges::find(entry.capabilities, word) != entry.capabilities.end();
    };
    const bool is_ollamas = !entry.digest.empty();  // which says all of them, where it says any
    if (says("embedding") || (is_ollamas && !entry.capabilities.empty())) return entry.capabilities;
    if (entry.family.find("bert") != std::string::npos) return {"embedding"};
    std::vector<std::string> all = entry.capabilities;
    const auto add = [&all](const char* word) {
        if (std::ranges::find(all, word) == all.end()) all.emplace_back(word);
    };
    add("completion");
    add("tools");
    const auto& input = entry.input_modalities;
    if (std::ranges::find(input, "image") != input.end()) add("vision");
    if (std::ranges::find(input, "audio") != input.end()) add("audio");
    return all;
}

void append_common(ObjectWriter& object, const ListedModel& model, std::uint64_t size) {
    SLUICE_ASSERT(model.entry != nullptr && !model.id.empty());
    const std::string name = name_of(model);
    object.text("name", name);
    object.text("model", name);
    object.number("size", size);
    object.text("digest", digest_of(model));
    object.raw("details", details_of(model));
}

}  // namespace

std::string ollama_tags(std::span<const ListedModel> models) {
    std::string out = R"({"models":[)";
    Names names;
    for (const ListedModel& model : models) {
        if (!names.insert(name_of(model)).second) continue;
        if (!out.ends_with('[')) out += ',';
        ObjectWriter object(out);
        append_common(object, model, model.entry->size);
        object.text("modified_at", modified_at(*model.entry));
        object.texts("capabilities", capabilities_of(*model.entry));
        object.done();
    }
    return out + "]}";
}

std::string ollama_running(std::span<const ListedModel> models) {
    std::string out = R"({"models":[)";
    Names names;
    for (const ListedModel& model : models) {
        const ModelEntry& entry = *model.entry;
        if (!model.ready || !entry.loaded.value_or(true)) continue;
        if (!names.insert(name_of(model)).second) continue;
        if (!out.ends_with('[')) out += ',';
        ObjectWriter object(out);
        append_common(object, model, entry.size_running != 0 ? entry.size_running : entry.size);
        object.text("expires_at", entry.expires_at.empty() ? never : entry.expires_at);
        object.number("size_vram", entry.size_vram);
        object.number("context_length", model.context_known());
        object.done();
    }
    return out + "]}";
}

std::string ollama_show(const ListedModel& model) {
    const ModelEntry& entry = *model.entry;
    const std::string family = entry.family.empty() ? "unknown" : entry.family;
    std::string info;
    ObjectWriter facts(info);
    facts.text("general.architecture", family);
    facts.text("general.basename", model.id);
    if (entry.parameters != 0) facts.number("general.parameter_count", entry.parameters);
    if (const auto context = model.context_known(); context != 0)
        facts.number(family + ".context_length", context);
    facts.done();

    std::string out;
    ObjectWriter object(out);
    object.text("license", "");
    object.text("modelfile", "FROM " + name_of(model) + "\n");
    object.text("parameters", "");
    object.text("template", "");
    object.raw("details", details_of(model));
    object.raw("model_info", info);
    object.texts("capabilities", capabilities_of(entry));
    object.text("modified_at", modified_at(entry));
    object.done();
    return out;
}

}  // namespace sluice::llm
