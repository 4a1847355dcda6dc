// KeyForm: in which field a key goes to a model server.
//
// A gateway sends one credential, in the form that whoever reads it knows. Every server and
// provider knows `Authorization: Bearer KEY`, some (llama-server, vLLM) in just that spelling. The
// exception is Anthropic's API as it was before its version of 2026-10-21: there a key is an
// X-Api-Key, and what stands behind Bearer is a token of another kind. Pure.
#pragma once

#include "sluice/http/head.h"
#include "sluice/llm/errors.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::policy {

enum class KeyForm : std::uint8_t {
    as_it_came,  // whole field lines: it is not clear what of them is a key, or for whom
    bearer,
    x_api_key,
};

// How the key that a client presents (presented_key(), of which there must be one: without it the
// fields go on as they came) goes on, in this dialect: as an X-Api-Key where that is the
// API's own form and the client chose it; as Bearer, whatever field it came in, else.
KeyForm form_of_clients_key(const http::Head& head, llm::Dialect dialect);

// How a key of ours goes to a provider that may know no other form than its API's.
KeyForm form_of_own_key(const http::Head& head, llm::Dialect dialect);

// Appends the field line, or the lines as they came.
void append_credential(std::string& out, KeyForm form, std::string_view credential);

}  // namespace sluice::policy
