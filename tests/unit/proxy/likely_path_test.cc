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
        // Written wrongly.
        {"/v1/chat/complitions", "/v1/chat/completions"},
        {"/v1/chat-completions", "/v1/chat/completions"},
        {"/v1/chats/completions", "/v1/chat/completions"},
        {"/v1/chatcompletions", "/v1/chat/completions"},
        {"/v1/Chat/Complitions/", "/v1/chat/completions"},
        {"/v2/chat/completions", "/v1/chat/completions"},
        {"/v1/message", "/v1/messages"},
        {"/v1/embedings", "/v1/embeddings"},
        {"/api/chats", "/api/chat"},
        {"/api/tag", "/api/tags"},
        // Escaped, and with blanks.
        {"/v1/chat/completions%20", "/v1/chat/completions"},
        {"/v1%2Fchat/completions", "/v1/chat/completions"},
        {"/v1%2fchat%2fcompletions", "/v1/chat/completions"},
        {"%2Fv1/models%0A", "/v1/models"},
        {"/v1/models%", "/v1/models"},
        // Nothing is like these.
        {"/", ""},
        {"//", ""},
        {"/v1", ""},
        {"/nowhere", ""},
        {"/models/load", ""},
        {"/slots/0", ""},
        {"/slots", ""},
        {"/props", ""},
        {"/api/push", ""},
        {"/api/pull", ""},
        {"/api/me", ""},
        {"/v1/files", ""},
        {"/v1/batches", ""},
        {"/docs", ""},
        {"/%", ""},
        {"v1/models", ""},
        {"", ""},
        {std::string(100'000, '/'), ""},
    };
    for (const auto& c : cases) {
        CAPTURE(c.path.substr(0, 100));
        CHECK(likely_path(c.path) == c.likely);
    }
}
