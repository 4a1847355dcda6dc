#include "sluice/proxy/pipeline.h"

#include "sluice/llm/errors.h"

namespace sluice::proxy {
namespace {

// The life of a request, up to where it is sent on.
constexpr Stage stages[] = {
    {"guard", guard_on_head, nullptr},        // who may talk to us at all: Host, Origin
    {"own", own_on_head, nullptr},            // what we answer about ourselves
    {"classify", classify_on_head, nullptr},  // which endpoint, method, kind and size of body
    {"route", nullptr, route_on_body},        // which model, and where it is served
    {"usage", nullptr, usage_on_body},        // see to it that tokens are counted
};

}  // namespace

std::span<const Stage> pipeline() { return stages; }

Reply error_reply(const Exchange& exchange, int status, std::string_view message,
                  std::string_view code, std::string_view param) {
    Reply reply;
    reply.status = status;
    reply.body = llm::error_body(
        exchange.dialect(),
        {.status = status, .message = message, .code = code, .param = param});
    reply.error = message;
    reply.end = status >= 500 ? End::unavailable : End::refused;
    return reply;
}

}  // namespace sluice::proxy
