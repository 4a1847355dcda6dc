// Pipeline: the order in which a request is looked at; one table, read from top to bottom.
//
// A stage may look at the head (on_head), at the complete body (on_body), or both. It answers
// `next`, or fills a Reply, which ends the request: policy comes before protocol, and nothing
// passes around it.
#pragma once

#include "sluice/http/head.h"
#include "sluice/policy/retry_after.h"
#include "sluice/proxy/exchange.h"

#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::proxy {

// An answer of the gateway's own.
struct Reply {
    int status = 200;
    std::string body;
    std::string_view content_type = "application/json; charset=utf-8";
    std::string fields;  // further header lines, each with its CRLF
    policy::RetryAdvice advice;
    std::string error;  // for the log; empty when nothing is wrong
    End end = End::ok;
    bool close = false;  // the connection cannot go on
};

// An error in the dialect of the endpoint that was asked, with the advice for it. `code`, `param`
// and `members` (llm::ErrorText) may be empty.
Reply error_reply(const Exchange& exchange, int status, std::string_view message,
                  std::string_view code = {}, std::string_view param = {},
                  std::string_view members = {});

// The code for what a backend, or the want of one, failed with.
std::string_view failure_code(int status);

// 404, with the models there are.
Reply unknown_model_reply(const Exchange& exchange, std::string_view model);
// 413, naming the limit.
Reply body_too_large_reply(const Exchange& exchange);
// 504: only a kept answer was asked for.
Reply nothing_kept_reply(const Exchange& exchange);
// 503: the shard has no memory for it now.
Reply out_of_memory_reply(const Exchange& exchange);

enum class Verdict : std::uint8_t {
    next,
    respond,
    // Until exchange.sharing is ready: then on_ready() says how it goes on. What waited with its
    // head alone is answered then.
    wait,
};

inline Verdict refuse(Reply& reply, Reply refusal) {
    reply = std::move(refusal);
    return Verdict::respond;
}

struct Stage {
    const char* name;
    // Either may be null.
    Verdict (*on_head)(Exchange&, const http::Head&, Reply&);
    Verdict (*on_body)(Exchange&, Reply&);
    // Of one that may wait.
    Verdict (*on_ready)(Exchange&, Reply&) = nullptr;
};

std::span<const Stage> pipeline();

// What is asked for at a path, in the form in which this client reads it; null when it is no
// endpoint's.
const llm::Endpoint* endpoint_asked(const http::Head& head);

// The stages, each in its own file under src/proxy/stages.
Verdict guard_on_head(Exchange& exchange, const http::Head& head, Reply& reply);
Verdict hops_on_head(Exchange& exchange, const http::Head& head, Reply& reply);
Verdict identify_on_head(Exchange& exchange, const http::Head& head, Reply& reply);
Verdict own_on_head(Exchange& exchange, const http::Head& head, Reply& reply);
// Which kept answers are to go; one of the own paths.
Verdict purge_on_head(Exchange& exchange, const http::Head& head, Reply& reply);
Verdict purge_on_ready(Exchange& exchange, Reply& reply);
// Whether it is about the gateway itself; and whether a route may have it all the same.
bool is_own_path(std::string_view path);
bool yields_to_routes(std::string_view path);
Verdict classify_on_head(Exchange& exchange, const http::Head& head, Reply& reply);
Verdict lists_on_head(Exchange& exchange, const http::Head& head, Reply& reply);
// Of the paths by which Ollama's clients manage models, which nothing is served at: why; else "".
std::string why_not_done(const Exchange& exchange, std::string_view path);
Verdict ollama_on_body(Exchange& exchange, Reply& reply);
Verdict facts_on_body(Exchange& exchange, Reply& reply);
// What a name of a request's, which may be empty, finds: a model, or the default one.
upstream::Match model_found(const upstream::Catalog& catalog, std::string_view named);
Verdict rules_on_head(Exchange& exchange, const http::Head& head, Reply& reply);
Verdict rules_on_body(Exchange& exchange, Reply& reply);
Verdict route_on_body(Exchange& exchange, Reply& reply);
Verdict place_on_body(Exchange& exchange, Reply& reply);
Verdict usage_on_body(Exchange& exchange, Reply& reply);
Verdict share_on_head(Exchange& exchange, const http::Head& head, Reply& reply);
Verdict share_on_body(Exchange& exchange, Reply& reply);
Verdict share_on_ready(Exchange& exchange, Reply& reply);

}  // namespace sluice::proxy
