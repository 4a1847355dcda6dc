// Another reader of request bodies, made of a library's parser, for ours to be held against: what
// BodyReader takes the library must take too and read the same model in it; what only BodyReader
// refuses must be one of the things that it refuses on purpose.
#pragma once

#include "sluice/base/assert.h"
#include "sluice/llm/body_reader.h"

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>

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
          "a number that is too large", "it is nested too deep"}) {
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

}  // namespace sluice::llm::test
