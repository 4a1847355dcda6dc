// Helpers for answers in their two forms: are two texts the same JSON, and what a converter says.
#pragma once

#include "sluice/llm/answer_of_events.h"
#include "sluice/llm/events_of_answer.h"

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace sluice::llm::test {

// What null and no member at all are to each other: in some answers they mean the same.
enum class Nulls : std::uint8_t { count, are_nothing };

inline bool same_element(simdjson::dom::element a, simdjson::dom::element b, Nulls nulls);

inline std::size_t count_members(simdjson::dom::object object, Nulls nulls) {
    std::size_t count = 0;
    for (const auto member : object)
        count += nulls == Nulls::count || !member.value.is_null() ? 1 : 0;
    return count;
}

// Whatever the order of the members.
inline bool same_object(simdjson::dom::object a, simdjson::dom::object b, Nulls nulls) {
    if (count_members(a, nulls) != count_members(b, nulls)) return false;
    for (const auto member : a) {
        if (nulls == Nulls::are_nothing && member.value.is_null()) continue;
        simdjson::dom::element other;
        if (b.at_key(member.key).get(other) != simdjson::SUCCESS) return false;
        if (!same_element(member.value, other, nulls)) return false;
    }
    return true;
}

inline bool same_element(simdjson::dom::element a, simdjson::dom::element b, Nulls nulls) {
    if (a.type() != b.type()) return false;
    if (a.is_object()) return same_object(a.get_object(), b.get_object(), nulls);
    if (!a.is_array()) return simdjson::minify(a) == simdjson::minify(b);
    const simdjson::dom::array left = a.get_array();
    const simdjson::dom::array right = b.get_array();
    if (left.size() != right.size()) return false;
    auto other = right.begin();
    for (const auto element : left) {
        if (!same_element(element, *other, nulls)) return false;
        ++other;
    }
    return true;
}

inline bool same_json(std::string_view a, std::string_view b, Nulls nulls = Nulls::count) {
    simdjson::dom::parser parser_a;
    simdjson::dom::parser parser_b;
    simdjson::dom::element left;
    simdjson::dom::element right;
    if (parser_a.parse(a.data(), a.size()).get(left) != simdjson::SUCCESS) return false;
    if (parser_b.parse(b.data(), b.size()).get(right) != simdjson::SUCCESS) return false;
    return same_element(left, right, nulls);
}

// The result, or the error's words.
inline std::string text_of(const Result<std::string>& result) {
    return result.ok() ? result.value() : result.error().message;
}
inline std::string document_of(AnswerForm form, std::string_view stream) {
    return text_of(answer_of_events(form, stream));
}
inline std::string stream_of(AnswerForm form, std::string_view document,
                             bool include_usage = true) {
    return text_of(events_of_answer(form, document, include_usage));
}

// An event stream of bare data, as OpenAI's: each text is an event's data.
inline std::string data_stream(std::initializer_list<std::string_view> events) {
    std::string out;
    for (const std::string_view event : events)
        out.append("data: ").append(event).append("\n\n");
    return out;
}
// Lines of Ollama's.
inline std::string lines(std::initializer_list<std::string_view> texts) {
    std::string out;
    for (const std::string_view text : texts)
        out.append(text).append("\n");
    return out;
}

}  // namespace sluice::llm::test
