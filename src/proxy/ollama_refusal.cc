#include "ollama_refusal.h"

#include "sluice/http/head.h"
#include "sluice/llm/errors.h"
#include "sluice/llm/failure_body.h"

#include <string>
#include <string_view>

namespace sluice::proxy {

void say_in_ollamas_form(answer::HeldAnswer& held) {
    if (held.body.starts_with(R"({"error":")")) return;
    const auto said = llm::read_failure_body(held.body);
    const bool no_such_path = held.status == 404 || held.status == 405;
    std::string message = said.message;
    if (message.empty())
        message = no_such_path
                      ? "The server of this model does not seem to speak Ollama's API. Ask "
                        "for the model at /v1/chat/completions."
                      : "The model server refused the request.";
    held.body = llm::error_body(llm::Dialect::ollama, {.status = held.status, .message = message});
    std::string fields;
    for (std::size_t at = 0; at < held.fields.size();) {
        const std::size_t end = held.fields.find("\r\n", at);
        const auto line = std::string_view(held.fields).substr(at, end - at);
        const auto name = line.substr(0, line.find(':'));
        if (!http::same_name(name, "content-type") && !http::same_name(name, "content-encoding"))
            fields.append(line).append("\r\n");
        at = end + 2;
    }
    held.fields = fields + "Content-Type: application/json\r\n";
}

}  // namespace sluice::proxy
