// ErrorParts: what an error says, as JSON, for whatever frame a dialect puts around it.
//
// Internal.
#pragma once

#include "sluice/llm/errors.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::llm {

// The members of an error object: the text's, or the backend's own.
struct ErrorParts {
    std::string message;
    std::string type;   // by the status, where nobody else says
    std::string code;   // null where there is none
    std::string param;  // null where there is none
    std::string members;
};

ErrorParts parts_of(const ErrorText& error);

void append_quoted(std::string& out, std::string_view text);
// A string, or null where there is none.
void append_nullable(std::string& out, std::string_view text);
std::string quoted(std::string_view text);
// `,"name":json`
void append_member(std::string& out, std::string_view name, std::string_view json);
void append_members(std::string& out, const std::string& members);

// The data of an `error` event of the Responses API, with its sequence_number.
std::string responses_error(const ErrorText& error, std::uint64_t number);

}  // namespace sluice::llm
