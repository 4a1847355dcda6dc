#include "sluice/proxy/likely_path.h"

#include <doctest/doctest.h>

#include <string>

using sluice::proxy::likely_path;

TEST_CASE("C7: what a client with a wrong base URL meant") {
    const struct {
        std::string path;
        std::string likely;
    } cases[] = {
        {"//v1/chat/completions", "/v1/chat/completions"},
        {"/v1//chat/completions", "/v1/chat/completions"},
        {"/v1/v1/chat/completions", "/v1/chat/completions"},
        {"//v1///v1/messages/", "/v1/messages"},
        {"/v1/chat/completions/", "/v1/chat/completions"},
        {"/v1/models/", "/v1/models"},
        {"/v1/v1/models/org/Name:7B", "/v1/models/org/Name:7B"},
        {"/v1/chat/completions/chat/completions", "/v1/chat/completions"},
        {"/openai/chat/completions", "/v1/chat/completions"},
        {"/api/v1/chat/completions", "/v1/chat/completions"},
        {"/messages", "/v1/messages"},
        {"/V1/Chat/Completions", "/v1/chat/completions"},
        {"/v1/api/chat", "/api/chat"},
        {"/v1/chat/completion", "/v1/chat/completions"},
        {"/v1/embedding", "/v1/embeddings"},
        {"/completion/", "/completion"},
        {"/healthz/", "/healthz"},
        {"//health", "/health"},
        {"/v1/metrics", "/metrics"},
        // Nothing is like these.
        {"/", ""},
        {"//", ""},
        {"/v1", ""},
        {"/nowhere", ""},
        {"/models/load", ""},
        {"/slots/0", ""},
        {"v1/models", ""},
        {"", ""},
        {std::string(100'000, '/'), ""},
    };
    for (const auto& c : cases) {
        CAPTURE(c.path.substr(0, 100));
        CHECK(likely_path(c.path) == c.likely);
    }
}
