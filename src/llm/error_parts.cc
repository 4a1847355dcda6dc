#include "error_parts.h"

#include "sluice/base/assert.h"
#include "sluice/llm/refusal.h"

namespace sluice::llm {

void append_quoted(std::string& out, std::string_view text) {
    out += '"';
    append_json_escaped(out, text);
    out += '"';
}

void append_nullable(std::string& out, std::string_view text) {
    if (text.empty()) {
        out += "null";
    } else {
        append_quoted(out, text);
    }
}

std::string quoted(std::string_view text) {
    std::string out;
    append_quoted(out, text);
    return out;
}

namespace {

std::string quoted_or_null(std::string_view text) {
    std::string out;
    append_nullable(out, text);
    return out;
}

}  // namespace

ErrorParts parts_of(const ErrorText& error) {
    if (error.refusal == nullptr)
        return {quoted(error.message), quoted(error_type(error.status)), quoted_or_null(error.code),
                quoted_or_null(error.param), std::string(error.members)};
    const Refusal& said = *error.refusal;
    SLUICE_ASSERT(!said.message.empty());
    const auto or_else = [](const std::string& value, std::string_view other) {
        return value.empty() ? std::string(other) : value;
    };
    return {said.message, or_else(said.type, quoted(error_type(error.status))),
            or_else(said.code, "null"), or_else(said.param, "null"), said.members};
}

void append_member(std::string& out, std::string_view name, std::string_view json) {
    out.append(",\"").append(name).append("\":").append(json);
}

void append_members(std::string& out, const std::string& members) {
    if (!members.empty()) out.append(",").append(members);
}

}  // namespace sluice::llm
