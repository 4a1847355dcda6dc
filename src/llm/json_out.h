// Writes JSON objects member by member. Internal.
#pragma once

#include "sluice/llm/errors.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::llm {

inline std::string quoted_json(std::string_view text) {
    std::string out = "\"";
    append_json_escaped(out, text);
    out += '"';
    return out;
}

inline std::string json_array(std::span<const std::string> texts) {
    std::string out = "[";
    for (const std::string& text : texts) {
        if (out.size() > 1) out += ',';
        out += quoted_json(text);
    }
    out += ']';
    return out;
}

// One object, from its first brace to done().
class ObjectWriter {
public:
    explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }

    // `json` is a value.
    void raw(std::string_view name, std::string_view json) {
        key(quoted_json(name));
        out_ += json;
    }
    void raw_key(std::string_view quoted_name, std::string_view json) {
        key(quoted_name);
        out_ += json;
    }
    void text(std::string_view name, std::string_view value) { raw(name, quoted_json(value)); }
    void number(std::string_view name, std::uint64_t value) { raw(name, std::to_string(value)); }
    void texts(std::string_view name, std::span<const std::string> values) {
        raw(name, json_array(values));
    }
    void done() { out_ += '}'; }

private:
    void key(std::string_view quoted_name) {
        if (!first_) out_ += ',';
        first_ = false;
        out_ += quoted_name;
        out_ += ':';
    }

    std::string& out_;
    bool first_ = true;
};

}  // namespace sluice::llm
