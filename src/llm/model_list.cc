#include "sluice/llm/model_list.h"

#include "json_scanner.h"
#include "sluice/base/assert.h"
#include "sluice/llm/errors.h"

#include <simdjson.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace sluice::llm {

namespace {

namespace dom = simdjson::dom;

// Finds where the entries of the lists stand, and that the whole is sound JSON by our own rules.
class ListHandler {
public:
    static constexpr bool strict = true;
    static constexpr std::size_t text_bytes_max = 8;

    struct List {
        bool present = false;
        std::vector<Span> entries;
    };

    const char* on_key(int depth, const JsonText& key) {
        if (depth != 1) return nullptr;
        list_ = nullptr;
        if (!key.truncated && key.text == "data") list_ = &data;
        if (!key.truncated && key.text == "models") list_ = &models;
        return list_ != nullptr && list_->present ? "a list that is there twice" : nullptr;
    }
    const char* on_string(int, const JsonText&) { return nullptr; }
    const char* on_number(int, const JsonNumber&) { return nullptr; }
    const char* on_literal(int, JsonLiteral, Span) { return nullptr; }
    const char* on_open(int depth, bool is_object, std::size_t begin) {
        if (depth == 1 && !is_object) list_ = &data;  // a bare array
        if (!is_object && list_ != nullptr && list_depth_ == 0) {
            list_->present = true;
            list_depth_ = depth;
        } else if (is_object && list_depth_ != 0 && depth == list_depth_ + 1) {
            if (list_->entries.size() == model_list_entries_max) return "too many entries";
            list_->entries.push_back({begin, begin});
        }
        return nullptr;
    }
    const char* on_close(int depth, std::size_t end) {
        if (list_depth_ == 0) return nullptr;
        if (depth == list_depth_) {
            list_depth_ = 0;
        } else if (depth == list_depth_ + 1 && !list_->entries.empty() &&
                   list_->entries.back().empty()) {  // else what ends is no object
            list_->entries.back().end = end;
        }
        return nullptr;
    }

    List data;
    List models;

private:
    List* list_ = nullptr;  // of the key at hand
    int list_depth_ = 0;    // inside the list; 0 outside
};

// Finds the value of "id" in an entry.
class EntryHandler {
public:
    static constexpr bool strict = true;
    static constexpr std::size_t text_bytes_max = 8;

    const char* on_key(int depth, const JsonText& key) {
        at_id_ = depth == 1 && !key.truncated && key.text == "id";
        if (at_id_ && !id_value.empty()) return "a second id";
        return nullptr;
    }
    const char* on_string(int depth, const JsonText& string) {
        if (depth == 1 && at_id_) id_value = string.span;
        return nullptr;
    }
    const char* on_number(int, const JsonNumber&) { return nullptr; }
    const char* on_literal(int, JsonLiteral, Span) { return nullptr; }
    const char* on_open(int, bool, std::size_t) { return nullptr; }
    const char* on_close(int, std::size_t) { return nullptr; }

    Span id_value;

private:
    bool at_id_ = false;
};

template <class Handler>
bool scan(std::string_view text, Handler& handler) {
    JsonState<Handler::text_bytes_max> state;
    JsonScanner scanner(state, handler);
    scanner.feed(text);
    return scanner.finish();
}

Error unreadable(std::string_view what) {
    std::string message = "The model server's answer ";
    message += what;
    return Error::backend(502, Retry::no, std::move(message));
}

bool is_usable_id(std::string_view id) {
    const bool control = std::any_of(id.begin(), id.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    });
    return !id.empty() && id.size() <= limits::model_name_bytes_max && !control;
}

std::string_view text_of(dom::element object, const char* key) {
    std::string_view text;
    return object[key].get(text) == simdjson::SUCCESS ? text : std::string_view{};
}

void read_aliases(dom::element object, ModelEntry& entry) {
    dom::array aliases;
    if (object["aliases"].get(aliases) != simdjson::SUCCESS) return;
    for (dom::element alias : aliases) {
        std::string_view text;
        if (entry.aliases.size() == model_aliases_max) return;
        if (alias.get(text) != simdjson::SUCCESS || !is_usable_id(text) || text == entry.id)
            continue;
        entry.aliases.emplace_back(text);
    }
}

// An entry of a list in OpenAI's form: kept as it is.
bool read_openai_entry(dom::element object, std::string_view raw, ModelEntry& entry) {
    const std::string_view id = text_of(object, "id");
    if (!is_usable_id(id)) return false;
    EntryHandler handler;
    if (!scan(raw, handler) || handler.id_value.empty()) return false;
    entry.id = id;
    entry.raw = raw;
    entry.id_value = handler.id_value;
    entry.owned_by = text_of(object, "owned_by");
    read_aliases(object, entry);
    return true;
}

// An entry of Ollama's /api/tags: only its name can be told in OpenAI's form.
bool read_named_entry(dom::element object, ModelEntry& entry) {
    std::string_view id = text_of(object, "model");
    if (id.empty()) id = text_of(object, "name");
    if (!is_usable_id(id)) return false;
    entry.id = id;
    entry.raw = "{\"id\":\"";
    entry.id_value.begin = entry.raw.size() - 1;
    append_json_escaped(entry.raw, id);
    entry.raw += '"';
    entry.id_value.end = entry.raw.size();
    entry.raw += ",\"object\":\"model\"}";
    return true;
}

void append_entry(std::string& out, const ListedModel& model) {
    SLUICE_ASSERT(model.entry != nullptr);
    const ModelEntry& entry = *model.entry;
    SLUICE_ASSERT(entry.id_value.end <= entry.raw.size() && !entry.id_value.empty());
    if (model.id == entry.id) {
        out += entry.raw;
        return;
    }
    const std::string_view raw = entry.raw;
    out += raw.substr(0, entry.id_value.begin);
    out += '"';
    append_json_escaped(out, model.id);
    out += '"';
    out += raw.substr(entry.id_value.end);
}

}  // namespace

Result<std::vector<ModelEntry>> parse_model_list(std::string_view body) {
    if (body.size() > model_list_bytes_max) return unreadable("to the list of models is too long.");
    ListHandler handler;
    if (!scan(body, handler)) return unreadable("to the list of models is not sound JSON.");
    const bool openai = handler.data.present;
    if (!openai && !handler.models.present) {
        return unreadable("to the list of models holds no list.");
    }
    std::vector<ModelEntry> entries;
    std::unordered_set<std::string> ids;
    dom::parser parser(model_list_bytes_max);
    for (const Span span : openai ? handler.data.entries : handler.models.entries) {
        const std::string_view raw = body.substr(span.begin, span.end - span.begin);
        dom::element object;
        if (parser.parse(raw.data(), raw.size()).get(object) != simdjson::SUCCESS) continue;
        ModelEntry entry;
        const bool usable =
            openai ? read_openai_entry(object, raw, entry) : read_named_entry(object, entry);
        if (usable && ids.insert(entry.id).second) entries.push_back(std::move(entry));
    }
    return entries;
}

std::string merged_model_list(std::span<const ListedModel> models) {
    std::string out = R"({"object":"list","data":[)";
    bool first = true;
    for (const ListedModel& model : models) {
        if (!first) out += ',';
        append_entry(out, model);
        first = false;
    }
    out += "]}";
    return out;
}

std::string listed_model(const ListedModel& model) {
    std::string out;
    append_entry(out, model);
    return out;
}

Result<ServerProps> parse_server_props(std::string_view body) {
    if (body.size() > model_list_bytes_max) return unreadable("about its properties is too long.");
    dom::parser parser(model_list_bytes_max);
    dom::element document;
    if (parser.parse(body.data(), body.size()).get(document) != simdjson::SUCCESS ||
        !document.is_object()) {
        return unreadable("about its properties is not a JSON object.");
    }
    ServerProps props;
    std::uint64_t slots = 0;
    constexpr std::uint64_t slots_max = 4096;  // more is no count of slots
    if (document["total_slots"].get(slots) == simdjson::SUCCESS && slots <= slots_max) {
        props.total_slots = static_cast<std::uint32_t>(slots);
    }
    props.router = text_of(document, "role") == "router";
    dom::element generation;
    std::uint64_t context = 0;
    if (document["default_generation_settings"].get(generation) == simdjson::SUCCESS &&
        generation["n_ctx"].get(context) == simdjson::SUCCESS)
        props.context = context;
    // What the server does not say stays as it is.
    bool said = false;
    if (document["is_sleeping"].get(said) == simdjson::SUCCESS) props.sleeping = said;
    if (document["endpoint_slots"].get(said) == simdjson::SUCCESS) props.tells_of_slots = said;
    return props;
}

Result<std::uint32_t> count_busy_slots(std::string_view body) {
    if (body.size() > model_list_bytes_max) return unreadable("about its slots is too long.");
    dom::parser parser(model_list_bytes_max);
    dom::array slots;
    if (parser.parse(body.data(), body.size()).get(slots) != simdjson::SUCCESS)
        return unreadable("about its slots is not a JSON array.");
    std::uint32_t busy = 0;
    for (const dom::element slot : slots) {
        bool works = false;
        if (slot["is_processing"].get(works) != simdjson::SUCCESS)
            return unreadable("about its slots does not say which of them are at work.");
        busy += works ? 1 : 0;
    }
    return busy;
}

}  // namespace sluice::llm
