#include "sluice/policy/key_form.h"

#include "sluice/http/parser.h"
#include "sluice/policy/consumers.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

using namespace sluice;
using namespace sluice::policy;
using llm::Dialect;

namespace {

struct Forms {
    KeyForm clients;
    KeyForm own;
    bool operator==(const Forms&) const = default;
};

Forms forms(const std::string& lines, Dialect dialect) {
    const std::string text = "GET / HTTP/1.1\r\nHost: x\r\n" + lines + "\r\n";
    http::Parser parser(http::Parser::Side::request);
    const auto head = std::make_unique<http::Head>();
    REQUIRE(parser.parse_head(text, *head) == http::Progress::complete);
    const KeyForm clients =
        presented_key(*head) ? form_of_clients_key(*head, dialect) : KeyForm::as_it_came;
    return {clients, form_of_own_key(*head, dialect)};
}

}  // namespace

TEST_CASE("C3: a key goes on in the form that whoever reads it knows") {
    const std::string old_version = "anthropic-version: 2023-06-01\r\n";
    const std::string new_version = "anthropic-version: 2026-10-21\r\n";
    const auto bearer = KeyForm::bearer;
    const auto x_api_key = KeyForm::x_api_key;
    const struct {
        std::string lines;
        Dialect dialect;
        Forms forms;
    } cases[] = {
        // Anthropic's clients: as they choose; a key of ours as the version has it.
        {"x-api-key: k\r\n" + old_version, Dialect::anthropic, {x_api_key, x_api_key}},
        {"Authorization: Bearer k\r\n" + new_version, Dialect::anthropic, {bearer, bearer}},
        {"Authorization: Bearer k\r\n" + old_version, Dialect::anthropic, {bearer, x_api_key}},
        {"x-api-key: k\r\nAuthorization: Bearer k\r\n", Dialect::anthropic, {bearer, bearer}},
        {"x-api-key: k\r\n" + new_version, Dialect::anthropic, {x_api_key, bearer}},
        {"api-key: k\r\n" + old_version, Dialect::anthropic, {bearer, x_api_key}},
        // Everybody else's API knows Bearer.
        {"x-api-key: k\r\n" + old_version, Dialect::openai, {bearer, bearer}},
        {"api-key: k\r\n", Dialect::openai, {bearer, bearer}},
        {"apikey: k\r\n", Dialect::responses, {bearer, bearer}},
        {"x-goog-api-key: k\r\n", Dialect::ollama, {bearer, bearer}},
        {"Authorization: bEARER   k\r\n", Dialect::openai, {bearer, bearer}},
        // No key, or not clear which one.
        {"Authorization: Basic k\r\n", Dialect::openai, {KeyForm::as_it_came, bearer}},
        {"api-key: k\r\nx-api-key: j\r\n", Dialect::openai, {KeyForm::as_it_came, bearer}},
    };
    for (const auto& c : cases) {
        CAPTURE(c.lines);
        CHECK(forms(c.lines, c.dialect) == c.forms);
    }
}

TEST_CASE("C3: one field a key, and lines as they came") {
    const auto text = [](KeyForm form, std::string_view credential) {
        std::string out;
        append_credential(out, form, credential);
        return out;
    };
    CHECK(text(KeyForm::bearer, "k") == "Authorization: Bearer k\r\n");
    CHECK(text(KeyForm::x_api_key, "k") == "X-Api-Key: k\r\n");
    CHECK(text(KeyForm::as_it_came, "a: b\r\nc: d\r\n") == "a: b\r\nc: d\r\n");
    CHECK(text(KeyForm::bearer, "").empty());
    CHECK(text(KeyForm::as_it_came, "").empty());
}
