#include "sluice/proxy/pipeline.h"

#include "sluice/llm/errors.h"
#include "sluice/policy/advice.h"
#include "sluice/policy/request_digest.h"

namespace sluice::proxy {
namespace {

// The life of a request, up to where it is sent on.
constexpr Stage stages[] = {
    {"guard", guard_on_head, nullptr},              // who may talk to us at all: Host, Origin
    {"own", own_on_head, nullptr, purge_on_ready},  // what we answer about ourselves
    {"hops", hops_on_head, nullptr},                // whether the request has come round
    {"identify", identify_on_head, nullptr},        // who asks
    {"classify", classify_on_head, nullptr},        // which endpoint, method, kind and size of body
    {"lists", lists_on_head, nullptr},              // which models there are
    {"facts", nullptr, facts_on_body},              // what the body says
    {"rules", rules_on_head, rules_on_body},        // which model the settings choose by that
    {"route", nullptr, route_on_body},              // which model, and where it is served
    {"ollama", nullptr, ollama_on_body},  // what its clients ask of servers of other kinds
    {"place", nullptr, place_on_body},    // what a choice between several places goes by
    {"usage", nullptr, usage_on_body},    // see to it that tokens are counted
    // whether another one's answer will do
    {"share", share_on_head, share_on_body, share_on_ready},
};

}  // namespace

std::span<const Stage> pipeline() {
    return stages;
}

HeadCopy::HeadCopy(const http::Head& head) {
    std::size_t bytes = head.query.size();
    for (const auto& field : head.fields())
        bytes += field.name.size() + field.value.size();
    text.reserve(bytes);  // so that it stays where it is
    fields.reserve(head.fields().size());
    const auto keep = [this](std::string_view piece) {
        const std::size_t begin = text.size();
        text += piece;
        return std::string_view(text).substr(begin);
    };
    query = keep(head.query);
    for (const auto& field : head.fields()) {
        fields.push_back(field);
        fields.back().name = keep(field.name);
        fields.back().value = keep(field.value);
    }
    SLUICE_ASSERT(text.size() == bytes);
}

// Calls f(name, value) with each field, while it says true.
template <class F>
void RequestState::each_header(F&& f) const {
    for (std::size_t at = 0; at < fields.size();) {
        const std::size_t end = fields.find("\r\n", at);
        const std::string_view line = std::string_view(fields).substr(at, end - at);
        const std::size_t colon = line.find(':');
        if (colon != line.npos) {
            const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
            const auto value = begin == line.npos ? std::string_view() : line.substr(begin);
            if (!f(line.substr(0, colon), value)) return;
        }
        at = end + 2;
    }
}

void RequestState::read(std::string_view bytes) {
    if (opaque) return;
    if (multipart != nullptr)
        multipart->feed(bytes);
    else
        json.feed(bytes);
}

std::string_view RequestState::header(std::string_view name) const {
    std::string_view found;
    each_header([&](std::string_view given, std::string_view value) {
        if (!http::same_name(given, name)) return true;
        found = value;
        return false;
    });
    return found;
}

bool RequestState::has_header_beginning(std::string_view prefix) const {
    bool found = false;
    each_header([&](std::string_view given, std::string_view) {
        found = http::same_name(given.substr(0, prefix.size()), prefix);
        return !found;
    });
    return found;
}

std::uint64_t RequestState::digest(std::uint64_t seed) {
    SLUICE_ASSERT(coded == nullptr);  // it is of what was decoded
    if (digest_made != 0) return digest_made;
    policy::RequestDigest made(seed);
    for (const std::string* part : {&method, &target}) {
        made.feed(*part);
        made.end_part();
    }
    body.for_each([&made](const mem::Slice& slice) {
        made.feed(slice.text());
        return true;
    });
    made.end_part();
    return digest_made = made.value();
}

Reply error_reply(const Exchange& exchange, int status, std::string_view message,
                  std::string_view code, std::string_view param, std::string_view members) {
    SLUICE_ASSERT(status >= 400 && status < 600);
    Reply reply;
    reply.status = status;
    reply.body = llm::error_body(exchange.dialect(), {.status = status,
                                                      .message = llm::message_of(message),
                                                      .code = code,
                                                      .param = param,
                                                      .request_id = exchange.id,
                                                      .members = members});
    reply.advice = policy::advise({.source = Source::gateway, .status = status});
    reply.error = message;
    reply.end = status >= 500 ? End::unavailable : End::refused;
    return reply;
}

std::string_view failure_code(int status) {
    SLUICE_ASSERT(status >= 400);
    switch (status) {
        case 504:
            return "upstream_timeout";
        case 503:
            return "overloaded";
        case 429:
            return "queue_full";
        case 408:
            return "request_timeout";
        default:
            return "upstream_error";
    }
}

}  // namespace sluice::proxy
