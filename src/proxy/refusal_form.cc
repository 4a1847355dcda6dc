#include "refusal_form.h"

#include "sluice/http/head.h"
#include "sluice/llm/failure_body.h"
#include "sluice/llm/refusal.h"

#include <algorithm>
#include <string>
#include <utility>

namespace sluice::proxy {
namespace {

using llm::Dialect;

struct Line {
    std::string_view name;
    std::string_view value;
    std::string_view whole;  // without its CRLF
};

// Calls f(Line) for each of the field lines.
template <class F>
void each_line(std::string_view fields, F&& f) {
    while (!fields.empty()) {
        const std::size_t end = fields.find("\r\n");
        const std::string_view whole = fields.substr(0, end);
        const std::size_t colon = std::min(whole.find(':'), whole.size());
        const std::size_t value = std::min(whole.find_first_not_of(": \t", colon), whole.size());
        f(Line{whole.substr(0, colon), whole.substr(value), whole});
        fields.remove_prefix(end == fields.npos ? fields.size() : end + 2);
    }
}

std::string value_of(std::string_view fields, std::string_view name) {
    std::string found;
    each_line(fields, [&](const Line& line) {
        if (found.empty() && http::same_name(line.name, name)) found = line.value;
    });
    return found;
}

// What the body says where it says nothing.
std::string_view said_by_status(int status, Dialect dialect) {
    if (status != 404 && status != 405) return "The model server refused the request.";
    return dialect == Dialect::ollama
               ? "The server of this model does not seem to speak Ollama's API. Ask for the model "
                 "at /v1/chat/completions."
               : "The server of this model does not seem to speak Anthropic's API. Ask for the "
                 "model at /v1/chat/completions.";
}

void replace_body(answer::HeldAnswer& held, std::string body) {
    held.body = std::move(body);
    std::string fields;
    each_line(held.fields, [&fields](const Line& line) {
        if (!http::same_name(line.name, "content-type") &&
            !http::same_name(line.name, "content-encoding"))
            fields.append(line.whole).append("\r\n");
    });
    held.fields = fields + "Content-Type: application/json\r\n";
}

void say_to_ollamas(answer::HeldAnswer& held) {
    if (held.body.starts_with(R"({"error":")")) return;
    const auto said = llm::read_failure_body(held.body);
    const std::string_view message = said.message.empty()
                                         ? said_by_status(held.status, Dialect::ollama)
                                         : std::string_view(said.message);
    replace_body(held,
                 llm::error_body(Dialect::ollama, {.status = held.status, .message = message}));
}

void say_to_anthropics(std::string_view request_id, answer::HeldAnswer& held) {
    std::string id = value_of(held.fields, "request-id");
    if (id.empty()) {
        id = request_id;
        held.fields.append("request-id: ").append(id).append("\r\n");
    }
    // What is packed is left to the client, who asked for it.
    const std::string coding = value_of(held.fields, "content-encoding");
    if (!coding.empty() && !http::same_name(coding, "identity")) return;
    if (llm::is_anthropic_error(held.body, id)) return;
    const auto said = llm::read_refusal(held.body, said_by_status(held.status, Dialect::anthropic));
    replace_body(held,
                 llm::error_body(Dialect::anthropic,
                                 {.status = held.status, .request_id = id, .refusal = &said}));
}

}  // namespace

void say_in_form_of(Dialect dialect, std::string_view request_id, answer::HeldAnswer& held) {
    if (dialect == Dialect::ollama) say_to_ollamas(held);
    if (dialect == Dialect::anthropic) say_to_anthropics(request_id, held);
}

}  // namespace sluice::proxy
