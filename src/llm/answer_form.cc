#include "sluice/llm/answer_form.h"

#include <array>
#include <string_view>
#include <utility>

namespace sluice::llm {

std::optional<AnswerForm> form_of(const Endpoint& endpoint) {
    static constexpr std::array<std::pair<std::string_view, AnswerForm>, 8> forms{{
        {"/v1/chat/completions", AnswerForm::chat},
        {"/chat/completions", AnswerForm::chat},
        {"/v1/completions", AnswerForm::completion},
        {"/v1/messages", AnswerForm::messages},
        {"/v1/responses", AnswerForm::responses},
        {"/responses", AnswerForm::responses},
        {"/api/chat", AnswerForm::ollama_chat},
        {"/api/generate", AnswerForm::ollama_generate},
    }};
    for (const auto& [path, form] : forms) {
        if (path == endpoint.path) return form;
    }
    return std::nullopt;
}

}  // namespace sluice::llm
