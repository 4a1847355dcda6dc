// Another reader of request bodies, made of a library's parser, for ours to be held against: what
// BodyReader takes the library must take too and read the same model in it; what only BodyReader
// refuses must be one of the things that it refuses on purpose.
#pragma once

#include "sluice/base/assert.h"
#include "sluice/llm/body_reader.h"

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::llm::test {

// What the two say about one body.
struct Comparison {
    bool ours = false;    // BodyReader takes it
    bool theirs = false;  // the library takes it, as an object
    // Ours refused it for a reason that is in body_reader.h and in no grammar.
    bool refused_on_purpose = false;
    bool same_model = true;
};

inline bool is_refused_on_purpose(std::string_view message) {
    for (const std::string_view reason :
         {"a key that is there twice", "a key that some servers take for another one",
          "a model name that is too long", "a control character in the model name",
          "a \"model\" that is not a string", "a \"stream\" that is neither true nor false",
          "a number that is too large", "it is nested too deep", "half of a surrogate pair"}) {
        if (message.find(reason) != std::string_view::npos) return true;
    }
    return false;
}

// The library holds integers of more than 64 bits for an error (its newer releases for one that the
// older ones have no name for); ours leaves them to the backend.
inline bool is_big_integer(simdjson::error_code error) {
    const std::string_view words = simdjson::error_message(error);
    return error == simdjson::NUMBER_ERROR || error == simdjson::NUMBER_OUT_OF_RANGE ||
           words.find("Big integer") != words.npos;
}

// Half of a surrogate pair, which is well-formed (RFC 8259 section 8.2): ours leaves it to the
// backend.
inline bool has_half_characters(std::string_view body) {
    for (std::size_t at = body.find("\\u"); at + 4 < body.size(); at = body.find("\\u", at + 2))
        if ((body[at + 2] | 0x20) == 'd' && body[at + 3] >= '8') return true;
    return false;
}

// The library's newer releases read over it (RFC 8259 section 8.1 lets them); ours refuses it.
inline bool has_byte_order_mark(std::string_view body) {
    return body.starts_with("\xEF\xBB\xBF");
}

inline Comparison compare(std::string_view body) {
    Comparison result;
    BodyReader reader;
    reader.feed(body);
    const Result<RequestFacts> facts = reader.finish();
    result.ours = facts.ok();
    if (!facts.ok())
        result.refused_on_purpose =
            has_byte_order_mark(body) || is_refused_on_purpose(facts.error().message);

    simdjson::dom::parser parser;
    simdjson::dom::element document;
    const simdjson::error_code error = parser.parse(body.data(), body.size()).get(document);
    result.theirs = error == simdjson::SUCCESS && document.is_object();
    if (result.ours && !result.theirs && is_big_integer(error)) result.theirs = true;
    if (result.ours && error == simdjson::STRING_ERROR && has_half_characters(body))
        result.theirs = true;
    if (!result.ours || error != simdjson::SUCCESS) return result;
    std::string_view model;
    if (document["model"].get(model) != simdjson::SUCCESS) model = {};
    result.same_model = model == facts.value().model;
    return result;
}

// Whether that is as it should be.
inline bool agrees(const Comparison& seen) {
    if (!seen.same_model) return false;
    return seen.ours == seen.theirs || (!seen.ours && seen.refused_on_purpose);
}

// What a client reads in the events of a chat stream. `sound`: all of it could be read.
struct ReadChat {
    bool sound = true;
    bool done = false;
    int roles = 0;
    std::string text;
    std::string reasoning;
    std::string finish;
    std::vector<std::string> ids;      // of each event that has one
    std::vector<std::string> created;  // as it stands there
    std::uint64_t prompt_tokens = 0;   // the last report's
    std::uint64_t completion_tokens = 0;
    std::uint64_t total_tokens = 0;
    std::uint64_t cached_tokens = 0;
};

inline void read_chat_choice(simdjson::dom::element choice, ReadChat& chat) {
    const auto add = [&choice](const char* key, std::string& text) {
        std::string_view value;
        if (choice["delta"][key].get(value) == simdjson::SUCCESS) text += value;
        return !value.empty();
    };
    std::string role;
    if (add("role", role)) ++chat.roles;
    add("content", chat.text);
    if (!add("reasoning_content", chat.reasoning)) add("reasoning", chat.reasoning);
    std::string_view finish;
    if (choice["finish_reason"].get(finish) == simdjson::SUCCESS) chat.finish += finish;
}

inline ReadChat read_chat(const std::vector<std::string>& events) {
    ReadChat chat;
    simdjson::dom::parser parser;
    for (const std::string& data : events) {
        if (data == "[DONE]") {
            chat.done = true;
            continue;
        }
        simdjson::dom::element event;
        if (parser.parse(data).get(event) != simdjson::SUCCESS) {
            chat.sound = false;
            continue;
        }
        simdjson::dom::element error;
        if (event["error"].get(error) == simdjson::SUCCESS && !error.is_null()) continue;
        std::string_view id;
        if (event["id"].get(id) == simdjson::SUCCESS) chat.ids.emplace_back(id);
        simdjson::dom::element created;
        if (event["created"].get(created) == simdjson::SUCCESS)
            chat.created.push_back(simdjson::minify(created));
        simdjson::dom::array choices;
        if (event["choices"].get(choices) == simdjson::SUCCESS) {
            for (const simdjson::dom::element choice : choices)
                read_chat_choice(choice, chat);
        }
        const auto usage = event["usage"];
        std::uint64_t count = 0;
        if (usage["prompt_tokens"].get(count) == simdjson::SUCCESS) chat.prompt_tokens = count;
        if (usage["completion_tokens"].get(count) == simdjson::SUCCESS)
            chat.completion_tokens = count;
        if (usage["total_tokens"].get(count) == simdjson::SUCCESS) chat.total_tokens = count;
        if (usage["prompt_tokens_details"]["cached_tokens"].get(count) == simdjson::SUCCESS)
            chat.cached_tokens = count;
    }
    return chat;
}

// The content of a request's last message, when that is the assistant's.
inline std::optional<std::string> read_prefill(std::string_view body) {
    simdjson::dom::parser parser;
    simdjson::dom::element document;
    simdjson::dom::array messages;
    if (parser.parse(body.data(), body.size()).get(document) != simdjson::SUCCESS) return {};
    if (document["messages"].get(messages) != simdjson::SUCCESS || messages.size() == 0) return {};
    const simdjson::dom::element last = messages.at(messages.size() - 1).value();
    std::string_view role;
    std::string_view content;
    if (last["role"].get(role) != simdjson::SUCCESS || role != "assistant") return {};
    if (last["content"].get(content) != simdjson::SUCCESS) return {};
    return std::string(content);
}

}  // namespace sluice::llm::test
