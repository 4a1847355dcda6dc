// What of a request's head is kept for the backend, and what of it is never passed on.
#include "connection.h"
#include "sluice/http/writer.h"
#include "sluice/policy/key_form.h"

#include <algorithm>
#include <optional>

namespace sluice::proxy {
namespace {

// Fields of a request that go to no backend as they are.
constexpr http::FieldSet own = {
    http::FieldId::host,
    http::FieldId::expect,
    http::FieldId::forwarded,
    http::FieldId::x_forwarded_for,
    http::FieldId::x_forwarded_host,
    http::FieldId::x_forwarded_proto,
    http::FieldId::x_real_ip,
    http::FieldId::x_request_id,
    http::FieldId::x_consumer,  // who a client is, is ours to say
    http::FieldId::x_sluice,
    http::FieldId::x_sluice_backend,
    // Checked here: a backend would answer with its own rules. And where its clients browse is not
    // its business.
    http::FieldId::origin,
    http::FieldId::referer,
    http::FieldId::sec_fetch_site,
    http::FieldId::sec_fetch,
};

// Kept apart: these go only where we have no key of our own.
constexpr http::FieldSet own_or_keys = own | policy::key_fields;

// Further ones that do not go to a model.
constexpr http::FieldSet own_or_no_models =
    own_or_keys | http::FieldSet{
                      http::FieldId::cookie,           // no such API has any
                      http::FieldId::accept_encoding,  // the answer is read on its way
                      // llama-server goes on generating for a client that left when it sees it.
                      http::FieldId::x_conversation_id,
                  };

// Whether Connection names a field that carries a key: then that one ends here.
bool nominates_keys(const http::Head& head) {
    return std::ranges::any_of(head.fields(), [&head](const http::Field& field) {
        return policy::key_fields.contains(field.id) && head.connection_lists(field.name);
    });
}

// The client's own credential: a key in the form that models know; else its fields as they are.
void keep_credentials(const http::Head& head, const Exchange& exchange, RequestState& request) {
    const llm::Dialect dialect = exchange.dialect();
    SLUICE_ASSERT(request.credentials.empty());  // a head is kept once
    if (!exchange.is_generic()) request.own_key_form = policy::form_of_own_key(head, dialect);
    // What a consumer showed us is no backend's business.
    if (exchange.consumer != nullptr || !head.present.meets(policy::key_fields)) return;
    std::optional<std::string_view> key;
    if (!exchange.is_generic() && !nominates_keys(head)) key = policy::presented_key(head);
    if (key) {
        request.key_form = policy::form_of_clients_key(head, dialect);
        request.credentials = *key;
        return;
    }
    request.key_form = policy::KeyForm::as_it_came;
    for (const http::Field& field : head.fields()) {
        if (!policy::key_fields.contains(field.id) || head.connection_lists(field.name)) continue;
        request.credentials.append(field.name).append(": ").append(field.value).append("\r\n");
    }
}

}  // namespace

// Of a head that cannot be read: the path in its first line, as far as that came, so that the
// refusal is in the words of whom it was meant for. Nothing else is decided by it.
std::string Connection::path_begun() const {
    constexpr std::size_t line_bytes_max = 256;
    std::string line;
    stream_.received().for_each([&line](const mem::Slice& slice) {
        line += slice.text().substr(0, line_bytes_max - line.size());
        return line.size() < line_bytes_max;
    });
    line.erase(0, line.find_first_not_of("\r\n"));
    std::string_view target = std::string_view(line).substr(0, line.find_first_of("\r\n"));
    target.remove_prefix(std::min(target.find(' '), target.size()));
    target.remove_prefix(std::min(target.find_first_not_of(' '), target.size()));
    target = target.substr(0, target.find_first_of(" ?"));
    if (const std::size_t scheme = target.find("://"); scheme != target.npos)
        target.remove_prefix(std::min(target.find('/', scheme + 3), target.size()));
    return std::string(target.starts_with('/') ? target : std::string_view());
}

// What a backend will need of the head, which is gone when the body is complete.
void Connection::keep_request(const http::Head& head) {
    SLUICE_ASSERT(exchange_ != nullptr && exchange_->request != nullptr);
    RequestState& request = *exchange_->request;
    SLUICE_ASSERT(request.fields.empty());
    request.method = head.method_text;
    if (request.target.empty()) request.target = head.target;  // else a route has said it
    http::HeadWriter writer(service_.head_space());
    http::FieldSet without = exchange_->is_generic() ? own_or_keys : own_or_no_models;
    if (request.coded != nullptr) without.add(http::FieldId::content_encoding);
    if (request.taken_as_json) without.add(http::FieldId::content_type);
    writer.forward(head, without);
    if (request.taken_as_json) writer.field("Content-Type", "application/json");
    writer.field("X-Request-Id", exchange_->id);
    writer.field("X-Forwarded-For", client_);
    writer.field("X-Forwarded-Proto", "http");
    writer.field("CDN-Loop", service_.hop);  // one more item: see stages/hops.cc
    SLUICE_ASSERT(!writer.overflowed());
    request.fields = writer.text();
    SLUICE_ASSERT(request.fields.ends_with("\r\n"));  // it is read line by line
    keep_credentials(head, *exchange_, request);
    exchange_->client_timeouts = policy::read_client_timeouts(head);
    const std::string_view retry = head.find(http::FieldId::x_stainless_retry_count);
    exchange_->client = client_key_;
    exchange_->client_retry = !retry.empty() && retry != "0";
}

}  // namespace sluice::proxy
