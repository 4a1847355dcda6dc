// Refusals in the words and shapes of each server.
#pragma once

#include "job.h"

#include <string>
#include <string_view>

namespace sluice::model_sim {

// Why a request is refused. What a server does not tell about is left out of its shape.
struct Fault {
    int status = 500;
    std::string message;
    std::string_view llama_type = "server_error";
    std::string_view type = "server_error";  // OpenAI's
    std::string_view code = {};              // OpenAI's, e.g. "model_not_found"
    std::string llama_fields = {};  // members that llama-server adds, each with its comma before it
    std::string_view fields = {};   // field lines of the response
    bool by_http_layer = false;     // llama-server writes these members in another order
};

Fault bad_request(std::string message);
Fault unknown_model(std::string_view model);
Fault unknown_path();
Fault loading();
Fault rate_limited();
Fault exceeds_context(std::uint64_t prompt_tokens);
Fault broken();
Fault overloaded();
Fault unauthorized();
Fault blocked();

// The error object in the shape of `kind`, as `api` writes it.
std::string fault_body(Api api, Kind kind, const Fault& fault);
Document refusal(Api api, Kind kind, const Fault& fault);

}  // namespace sluice::model_sim
