#include "sluice/llm/model_forms.h"

#include "json_out.h"
#include "sluice/base/assert.h"
#include "utc_date.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::llm {
namespace {

using Member = ModelEntry::Member;

enum class Form : std::uint8_t { openai, anthropic };

const Member* find(const ModelEntry& entry, std::string_view name) {
    const auto found = std::ranges::find(entry.members, name, &Member::name);
    return found != entry.members.end() ? &*found : nullptr;
}

// Written by us, whatever the server says of them.
bool is_ours(std::string_view name, Form form) {
    static constexpr std::array<std::string_view, 5> both{"id", "object", "created", "owned_by",
                                                          "aliases"};
    static constexpr std::array<std::string_view, 4> anthropic{"type", "display_name", "created_at",
                                                               "capabilities"};
    return std::ranges::find(both, name) != both.end() ||
           (form == Form::anthropic && std::ranges::find(anthropic, name) != anthropic.end());
}

// llama-server's place for it, into what else stands there.
std::string meta_with_context(std::string_view meta, std::uint64_t context) {
    const std::string known = R"({"n_ctx":)" + std::to_string(context);
    const std::size_t begin = meta.find_first_not_of("{ \t\r\n");
    const bool is_empty = begin == meta.npos || meta[begin] == '}';
    return known + (is_empty ? "}" : "," + std::string(meta.substr(begin)));
}

std::string architecture_of(const ModelEntry& entry) {
    std::string out;
    ObjectWriter object(out);
    object.texts("input_modalities", entry.input_modalities);
    const std::array<std::string, 1> text{"text"};
    object.texts("output_modalities", entry.output_modalities.empty()
                                          ? std::span<const std::string>(text)
                                          : entry.output_modalities);
    object.done();
    return out;
}

// What is known and the server has not said in these words.
void add_known(ObjectWriter& object, const ListedModel& model, Form form) {
    const ModelEntry& entry = *model.entry;
    const auto lacks = [&entry](std::string_view name) { return find(entry, name) == nullptr; };
    const std::uint64_t context = model.context_known();
    if (context != 0) {
        if (lacks("context_length")) object.number("context_length", context);
        if (lacks("max_model_len")) object.number("max_model_len", context);
        if (lacks("meta")) object.raw("meta", meta_with_context("", context));
    }
    if (lacks("architecture") && !entry.input_modalities.empty())
        object.raw("architecture", architecture_of(entry));
    if (form == Form::openai && lacks("capabilities") && !entry.capabilities.empty())
        object.texts("capabilities", entry.capabilities);
}

// What Anthropic's SDKs type as always there; a server that is one of theirs says it itself.
void add_anthropics(ObjectWriter& object, const ListedModel& model) {
    const ModelEntry& entry = *model.entry;
    object.text("type", "model");
    object.text("display_name",
                entry.display_name.empty() ? model.id : std::string_view(entry.display_name));
    object.text("created_at", utc_date(entry.created));
    const auto* const capabilities = find(entry, "capabilities");
    const bool is_theirs =
        capabilities != nullptr && capabilities->value.find("\"supported\"") != std::string::npos;
    object.raw("capabilities", is_theirs ? std::string_view(capabilities->value) : "null");
    const std::uint64_t context = model.context_known();
    const std::string limit = context != 0 ? std::to_string(context) : "null";
    const std::array<std::pair<std::string_view, std::string_view>, 6> others{{
        {"max_input_tokens", limit},
        {"max_tokens", "null"},
        {"lifecycle", "\"active\""},
        {"line", "null"},
        {"deprecated_at", "null"},
        {"retires_at", "null"},
    }};
    for (const auto& [name, value] : others)
        if (find(entry, name) == nullptr) object.raw(name, value);
}

void append_entry(std::string& out, const ListedModel& model, Form form) {
    SLUICE_ASSERT(model.entry != nullptr && !model.id.empty());
    const ModelEntry& entry = *model.entry;
    ObjectWriter object(out);
    object.text("id", model.id);
    object.text("object", "model");
    object.raw("created", std::to_string(entry.created));
    object.text("owned_by", entry.owned_by.empty() ? "local" : entry.owned_by);
    if (form == Form::anthropic) add_anthropics(object, model);
    if (!model.aliases.empty()) object.texts("aliases", model.aliases);
    for (const Member& member : entry.members) {
        if (is_ours(member.name, form)) continue;
        const bool lacks_context = member.name == "meta" && model.context_known() != 0 &&
                                   member.value.starts_with('{') &&
                                   member.value.find("\"n_ctx\"") == std::string::npos;
        object.raw_key(member.key, lacks_context
                                       ? meta_with_context(member.value, model.context_known())
                                       : member.value);
    }
    add_known(object, model, form);
    object.done();
}

// [begin, end) of the models that the page shows, and whether there are more on its far side.
struct Range {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool more = false;
};

Range range_of(std::span<const ListedModel> models, const AnthropicPage& page) {
    const auto place = [&models](std::string_view id) {
        return static_cast<std::size_t>(std::ranges::find(models, id, &ListedModel::id) -
                                        models.begin());
    };
    const std::size_t limit = page.limit == 0 ? models.size() : page.limit;
    if (!page.before_id.empty()) {
        const std::size_t end = place(page.before_id);
        const std::size_t begin = end > limit ? end - limit : 0;
        return {begin, end, begin > 0};
    }
    std::size_t begin = 0;
    if (!page.after_id.empty()) begin = std::min(place(page.after_id) + 1, models.size());
    const std::size_t end = models.size() - begin > limit ? begin + limit : models.size();
    return {begin, end, end < models.size()};
}

}  // namespace

std::string openai_list(std::span<const ListedModel> models) {
    std::string out = R"({"object":"list","data":[)";
    for (const ListedModel& model : models) {
        if (!out.ends_with('[')) out += ',';
        append_entry(out, model, Form::openai);
    }
    return out + "]}";
}

std::string openai_entry(const ListedModel& model) {
    std::string out;
    append_entry(out, model, Form::openai);
    return out;
}

std::string anthropic_list(std::span<const ListedModel> models, const AnthropicPage& page) {
    const Range range = range_of(models, page);
    std::string out = R"({"object":"list","data":[)";
    for (std::size_t i = range.begin; i < range.end; ++i) {
        if (i > range.begin) out += ',';
        append_entry(out, models[i], Form::anthropic);
    }
    const bool any = range.begin < range.end;
    out += R"(],"has_more":)";
    out += range.more ? "true" : "false";
    out += R"(,"first_id":)" + (any ? quoted_json(models[range.begin].id) : "null");
    out += R"(,"last_id":)" + (any ? quoted_json(models[range.end - 1].id) : "null");
    return out + "}";
}

std::string anthropic_entry(const ListedModel& model) {
    std::string out;
    append_entry(out, model, Form::anthropic);
    return out;
}

}  // namespace sluice::llm
