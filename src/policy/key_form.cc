#include "sluice/policy/key_form.h"

#include "sluice/base/assert.h"
#include "sluice/policy/consumers.h"

namespace sluice::policy {
namespace {

// The first version of Anthropic's API whose clients send keys as Bearer. Versions are dates, and
// compare as text.
constexpr std::string_view bearer_since = "2026-10-21";

}  // namespace

KeyForm form_of_clients_key(const http::Head& head, llm::Dialect dialect) {
    SLUICE_ASSERT(head.present.meets(key_fields));
    const bool chosen =
        head.has(http::FieldId::x_api_key) && !head.has(http::FieldId::authorization);
    return chosen && dialect == llm::Dialect::anthropic ? KeyForm::x_api_key : KeyForm::bearer;
}

KeyForm form_of_own_key(const http::Head& head, llm::Dialect dialect) {
    if (dialect != llm::Dialect::anthropic) return KeyForm::bearer;
    const std::string_view version = head.find("anthropic-version");
    const bool old = !version.empty() && version < bearer_since;
    return old ? KeyForm::x_api_key : KeyForm::bearer;
}

void append_credential(std::string& out, KeyForm form, std::string_view credential) {
    using namespace std::string_view_literals;
    if (credential.empty()) return;
    switch (form) {
        case KeyForm::as_it_came:
            SLUICE_ASSERT(credential.ends_with("\r\n"));
            out += credential;
            return;
        case KeyForm::bearer:
            out.append("Authorization: Bearer "sv).append(credential).append("\r\n"sv);
            return;
        case KeyForm::x_api_key:
            out.append("X-Api-Key: "sv).append(credential).append("\r\n"sv);
            return;
    }
}

}  // namespace sluice::policy
