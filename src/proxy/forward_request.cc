// The request on its way to the backend: its head, and its body from where it is kept or, where it
// is not, as it comes from the client.
#include "body_edits.h"
#include "forward.h"
#include "sluice/llm/edits.h"

#include <algorithm>

namespace sluice::proxy {
namespace {

using policy::KeyForm;

// vLLM looks for a key behind Bearer only, in Anthropic's dialect, too.
KeyForm clients_form(const upstream::Target& target, KeyForm form) {
    const bool bearer_only = target.kind == upstream::Kind::vllm;
    return bearer_only && form == KeyForm::x_api_key ? KeyForm::bearer : form;
}

// Model servers know Bearer; a provider may know no more than what its API says.
KeyForm own_form(const upstream::Target& target, KeyForm form) {
    const bool model_server =
        target.kind != upstream::Kind::unknown || target.endpoint->target.address.is_loopback();
    return model_server ? KeyForm::bearer : form;
}

// What stands in front of a path without /v1 that only llama-server has: others know it with /v1.
std::string_view version_before(const upstream::Target& target, const llm::Endpoint& endpoint) {
    const bool is_asked_as_it_is =
        target.kind == upstream::Kind::llama_server || target.without_version;
    return endpoint.has_version_elsewhere && !is_asked_as_it_is ? "/v1" : "";
}

// Without /v1 in front where the server has no such thing.
std::string_view path_at(const upstream::Target& target, std::string_view path) {
    constexpr std::string_view version = "/v1/";
    if (target.without_version && path.starts_with(version)) path.remove_prefix(version.size() - 1);
    return path;
}

}  // namespace

// A body that is not kept follows when the backend is there.
bool Forward::send_request() {
    const upstream::Target& target = *exchange_.target;
    const RequestState& request = *exchange_.request;
    usage_injected_ = exchange_.usage_asked && target.kind != upstream::Kind::llama_server &&
                      pool_->takes_additions() && !plainly_;
    const auto kind = request.multipart != nullptr ? llm::BodyKind::multipart : llm::BodyKind::json;
    const std::string& name =
        target.upstream_name.empty() ? campaign_.name() : target.upstream_name;
    auto edits =
        llm::plan_edits(kind, request.facts, {.model = name, .include_usage = usage_injected_});
    if (request.rest_of_batch) edits.add(*request.rest_of_batch);
    const std::string resumed =
        resumes_ ? llm::resumed_body(resume_->body, edits, resume_->plan) : std::string();
    const std::size_t body_bytes = resumes_             ? resumed.size()
                                   : upload_ != nullptr ? exchange_.body_bytes
                                                        : edits.edited_size(request.body.size());

    // Of literals the size is known.
    using namespace std::string_view_literals;
    std::string& head = service_.text;
    head.clear();
    head += request.method;
    head += ' ';
    head += target.endpoint->target.path;
    head += version_before(target, *exchange_.endpoint);
    head += path_at(target, request.target);
    head += " HTTP/1.1\r\nHost: "sv;
    head += target.endpoint->target.host;
    head += "\r\n"sv;
    if (exchange_.sends_body())
        head.append("Content-Length: "sv).append(std::to_string(body_bytes)).append("\r\n"sv);
    head += request.fields;
    // A key of ours goes to its own server only, and a client's never where we have one.
    if (const auto& key = target.setting.key; key.empty())
        append_credential(head, clients_form(target, request.key_form), request.credentials);
    else
        append_credential(head, own_form(target, request.own_key_form), key.value());
    head += "\r\n"sv;

    mem::Chain message(service_.loop.nodes());
    if (!message.append_copy(service_.loop.buffers(), head)) return false;
    if (resumes_ ? !message.append_copy(service_.loop.buffers(), resumed)
                 : !append_edited(message, request.body, edits, service_.loop.buffers()))
        return false;
    link_->stream.send(std::move(message));
    return true;
}

// Of the request at hand, by the backend's socket: then nobody can have begun to do it.
bool Forward::nothing_taken() const {
    return !link_->stream.sending() && link_->stream.bytes_sent() == link_sent_before_;
}

// What has come of a body that is not kept. Also beside its answer: a backend may begin that before
// it has read everything.
void Forward::pass_body() {
    SLUICE_ASSERT(upload_ != nullptr);
    if (link_ == nullptr || upload_->complete() || !link_->stream.open()) return;
    // One that reads no more may have said why: its answer is still received.
    if (link_->stream.error() != 0) return upload_->rest();
    const bool goes_on = upload_->move(link_->stream, service_.loop.now());
    exchange_.bytes_in += upload_->take_moved();
    if (goes_on || delivery_.client().ended()) service_.loop.make_ready(owner_);
}

Instant Forward::upload_silent_since() const {
    if (upload_->waits_for_client()) return service_.loop.now();
    return std::max(phase_begun_, upload_->moved_at());
}

}  // namespace sluice::proxy
