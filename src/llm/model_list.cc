#include "sluice/llm/model_list.h"

#include "json_scanner.h"
#include "model_words.h"

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

// Finds the members of an entry. One that has two of a name that we read is read by nobody.
class EntryHandler {
public:
    static constexpr bool strict = true;
    static constexpr std::size_t text_bytes_max = 32;

    struct Found {
        std::string name;
        Span key;
        Span value;
    };

    const char* on_key(int depth, const JsonText& key) {
        if (depth != 1) return nullptr;
        if (!key.truncated && key.text == "id" && std::exchange(has_id_, true))
            return "a second id";
        members.push_back({key.truncated ? std::string() : std::string(key.text), key.span, {}});
        return nullptr;
    }
    const char* on_string(int depth, const JsonText& string) { return take(depth, string.span); }
    const char* on_number(int depth, const JsonNumber& number) { return take(depth, number.span); }
    const char* on_literal(int depth, JsonLiteral, Span span) { return take(depth, span); }
    const char* on_open(int depth, bool, std::size_t begin) {
        if (depth == 2) members.back().value.begin = begin;
        return nullptr;
    }
    const char* on_close(int depth, std::size_t end) {
        if (depth == 2) members.back().value.end = end;
        return nullptr;
    }

    std::vector<Found> members;

private:
    const char* take(int depth, Span value) {
        if (depth == 1) members.back().value = value;
        return nullptr;
    }

    bool has_id_ = false;
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

std::string_view text_of(dom::element object, const char* key) {
    std::string_view text;
    return object[key].get(text) == simdjson::SUCCESS ? text : std::string_view{};
}

// A member of the object that the body is; empty where it is no text.
std::string text_in(std::string_view body, const char* key) {
    dom::parser parser(model_list_bytes_max);
    dom::element document;
    if (body.size() > model_list_bytes_max ||
        parser.parse(body.data(), body.size()).get(document) != simdjson::SUCCESS ||
        !document.is_object())
        return {};
    return std::string(text_of(document, key));
}

// What says something else in each answer: llama-server's and vLLM's time of the question, which is
// kept as a number, and what vLLM makes up and nobody reads.
bool is_noise(std::string_view name) {
    return name == "created" || name == "permission";
}

// An entry of a list in OpenAI's form: its members are kept as they are.
bool read_openai_entry(dom::element object, std::string_view raw, ModelEntry& entry) {
    const std::string_view id = text_of(object, "id");
    if (!is_usable_id(id)) return false;
    EntryHandler handler;
    if (!scan(raw, handler)) return false;
    entry.id = id;
    const auto text = [raw](Span span) {
        return std::string(raw.substr(span.begin, span.end - span.begin));
    };
    for (auto& member : handler.members)
        if (!is_noise(member.name) && entry.members.size() < model_members_max)
            entry.members.push_back({std::move(member.name), text(member.key), text(member.value)});
    read_words(raw, entry);
    return true;
}

// An entry of Ollama's lists.
bool read_named_entry(dom::element object, std::string_view raw, ModelEntry& entry) {
    std::string_view id = text_of(object, "model");
    if (id.empty()) id = text_of(object, "name");
    if (!is_usable_id(id)) return false;
    entry.id = id;
    read_words(raw, entry);
    return true;
}

std::vector<ModelEntry> read_entries(std::string_view body, const std::vector<Span>& spans,
                                     bool openai) {
    std::vector<ModelEntry> entries;
    std::unordered_set<std::string> ids;
    dom::parser parser(model_list_bytes_max);
    for (const Span span : spans) {
        const std::string_view raw = body.substr(span.begin, span.end - span.begin);
        dom::element object;
        if (parser.parse(raw.data(), raw.size()).get(object) != simdjson::SUCCESS) continue;
        ModelEntry entry;
        const bool usable =
            openai ? read_openai_entry(object, raw, entry) : read_named_entry(object, raw, entry);
        if (usable && ids.insert(entry.id).second) entries.push_back(std::move(entry));
    }
    return entries;
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
    if (!openai) return read_entries(body, handler.models.entries, false);
    auto entries = read_entries(body, handler.data.entries, true);
    for (const ModelEntry& more : read_entries(body, handler.models.entries, false))
        if (const auto found = std::ranges::find(entries, more.id, &ModelEntry::id);
            found != entries.end())
            describe(*found, more);
    return entries;
}

ModelEntry parse_shown_model(std::string_view body) {
    dom::parser parser(model_list_bytes_max);
    dom::element document;
    ModelEntry entry;
    if (body.size() > model_list_bytes_max ||
        parser.parse(body.data(), body.size()).get(document) != simdjson::SUCCESS ||
        !document.is_object())
        return entry;
    read_words(body, entry);
    read_shown_words(body, entry);
    return entry;
}

std::string parse_version(std::string_view body) {
    constexpr std::size_t bytes_max = 64;
    std::string version = text_in(body, "version");
    return version.size() <= bytes_max ? version : std::string();
}

std::string parse_old_model_name(std::string_view body) {
    std::string name = text_in(body, "name");
    return is_usable_id(name) ? name : std::string();
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
    dom::element modalities;
    if (document["modalities"].get(modalities) == simdjson::SUCCESS && modalities.is_object()) {
        props.input_modalities = {"text"};
        if (modalities["vision"].get(said) == simdjson::SUCCESS && said)
            props.input_modalities.emplace_back("image");
        if (modalities["audio"].get(said) == simdjson::SUCCESS && said)
            props.input_modalities.emplace_back("audio");
    }
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
