// Exchange: everything about one request and its answer; what the stages share.
//
// Created when a head is complete, settled exactly once, destroyed after that. What only matters
// until the answer begins stands in RequestState and is freed then, so that a long stream is small.
#pragma once

#include "sluice/answer/lane.h"
#include "sluice/base/clock.h"
#include "sluice/cache/bypass.h"
#include "sluice/cache/directives.h"
#include "sluice/http/head.h"
#include "sluice/llm/body_reader.h"
#include "sluice/llm/edits.h"
#include "sluice/llm/endpoints.h"
#include "sluice/llm/multipart.h"
#include "sluice/mem/chain.h"
#include "sluice/policy/consumers.h"
#include "sluice/policy/key_form.h"
#include "sluice/policy/prefix_hasher.h"
#include "sluice/policy/retry_budget.h"
#include "sluice/policy/timeouts.h"
#include "sluice/policy/wait_queue.h"
#include "sluice/proxy/catalog_use.h"
#include "sluice/proxy/coded_body.h"
#include "sluice/proxy/service.h"
#include "sluice/proxy/sharing.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::proxy {

// What rules ask of a head, which is gone when the body is complete.
struct HeadCopy {
    explicit HeadCopy(const http::Head& head);
    HeadCopy(const HeadCopy&) = delete;
    HeadCopy& operator=(const HeadCopy&) = delete;

    std::string text;                 // what the others are views of
    std::vector<http::Field> fields;  // all of them
    std::string_view query;
};

// What is kept of a request until its answer begins: enough to send it again.
struct RequestState {
    explicit RequestState(mem::NodePool& nodes) : body(nodes) {}

    // Takes the next bytes of the body.
    void read(std::string_view bytes);
    // The value of a field that is forwarded; empty when there is none. `name` in lower case.
    std::string_view header(std::string_view name) const;
    // Whether there is one whose name begins so.
    bool has_header_beginning(std::string_view prefix) const;
    // Of what it asks, once the body is whole: see policy/request_digest.h. Made when it is first
    // asked for, and only then: most requests need none.
    std::uint64_t digest(std::uint64_t seed);

    std::string method;
    std::string target;  // for the backend
    std::string fields;  // end-to-end and ours; Host and framing come with each try
    // The client's own, for backends of which we have no key, and what it is.
    std::string credentials;
    policy::KeyForm key_form = policy::KeyForm::as_it_came;
    policy::KeyForm own_key_form = policy::KeyForm::bearer;  // of ours, to a provider
    mem::Chain body;  // as the client sent it, edits applied once it is routed
    llm::BodyReader json;
    std::unique_ptr<llm::MultipartReader> multipart;  // rare and large
    bool opaque = false;                              // nothing of the body is read
    std::unique_ptr<CodedBody> coded;                 // that is decoded as it comes; rare
    bool taken_as_json = false;                       // whatever type it came with
    std::unique_ptr<HeadCopy> head;                   // where there are rules
    llm::RequestFacts facts;
    std::string_view ruled_model;  // that a rule chose; in the service's table
    // What a backend without a name of its own for the model is asked for; empty: what the client
    // says.
    std::string asked_model;
    // Of a batch of which some items are kept: has the body ask for the others only.
    std::unique_ptr<llm::Edit> rest_of_batch;  // rare
    cache::Directives directives;              // of its Cache-Control
    std::uint64_t charged = 0;      // bytes of body that the shard has taken into account
    std::uint64_t hash_key = 0;     // of what stays together, for Balance::hash
    std::uint64_t digest_made = 0;  // 0: not yet
    std::unique_ptr<policy::PrefixHashes> prompt;  // where several backends may have it cached

private:
    template <class F>
    void each_header(F&& f) const;
};

struct Exchange {
    explicit Exchange(Service& shard) : service(shard) {}

    Service& service;
    // --- identity ---
    std::string id;  // x-request-id
    Instant begun;   // head complete
    WallTime begun_wall;
    const policy::Consumer* consumer = nullptr;  // null where nobody has to say who they are
    std::string_view key_id;                     // of the key that it showed
    policy::ConsumerKey client = 0;              // the address that it comes from
    const Door* door = nullptr;                  // that it came through
    std::string opened_to;  // the origin of a page that may read the answer; empty: no page's
    // --- of the head ---
    http::Method method = http::Method::other;
    std::string method_text;
    std::string path;
    int client_minor = 1;
    bool keep_alive = false;
    bool expects_continue = false;
    std::uint64_t body_bytes_declared = 0;    // 0 when chunked
    const llm::Endpoint* endpoint = nullptr;  // null: not an endpoint of the API
    // That serves it, where its path is no endpoint's; in the service's table.
    const policy::RouteTable::Route* route = nullptr;
    bool is_probe = false;  // whether we are well, or what we count: answered
    // --- of the body ---
    RequestState* request = nullptr;  // freed when the answer begins
    bool streamed = false;
    bool counts_events = false;  // its client takes comments for silence
    bool usage_asked = false;    // by us, not by the client
    policy::ClientTimeouts client_timeouts;
    bool client_retry = false;  // it says that this is not its first try
    std::uint8_t priority = policy::WaitQueue::class_default;
    // --- of the route ---
    std::string asked;  // the model that the client named; empty: none
    CatalogUse::Ref catalog;
    std::string_view rule;                   // that chose the model; in the service's table
    const upstream::Model* model = nullptr;  // that serves it, or is to
    const upstream::Target* target = nullptr;
    // --- of sharing ---
    std::unique_ptr<Sharing> sharing;  // null: its answer is nobody else's
    std::optional<cache::Outcome> cache;
    cache::Bypass cache_bypass = cache::Bypass::none;
    // Of a flight: its answer may turn out not to fit what is kept. Then the request is needed
    // again, and all of it is asked for.
    bool may_ask_anew = false;
    bool asks_anew = false;
    // --- of the answer ---
    int status = 0;
    bool answer_begun = false;     // bytes of an answer were queued for the client
    std::uint64_t bytes_in = 0;    // head and body
    std::uint64_t body_bytes = 0;  // of the request, decoded
    std::uint64_t bytes_out = 0;
    std::uint32_t retries = 0;
    std::uint32_t resumed = 0;             // times that another backend went on with the stream
    Duration queued;                       // time in lines
    std::string hops;                      // tries that failed: "URL transient, URL rate_limited"
    policy::RetryBudget::Request offered;  // to the retry budget, until it is settled
    answer::LaneChoice lane;               // splice, once any part of the body was
    answer::LaneChoice request_lane;       // where there was a choice: generic routes
    Instant first_byte;                    // of the backend's body; zero: none came
    Duration overhead;  // our own work: from the turn that saw the whole request to its being
                        // queued for the backend, and the same for the begin of the answer
    llm::Usage usage;
    bool usage_estimated =
        false;               // from what passed: the backend did not get to tell, or never does
    std::optional<End> end;  // set once, by settle()
    std::string error;       // for the log: what went wrong

    // The answer has begun: nothing will be sent again.
    void forget_request() {
        SLUICE_ASSERT(request != nullptr);
        service.release_body(request->charged);
        service.requests.destroy(*request);
        request = nullptr;
    }

    // Whom it counts for where consumers take turns.
    policy::ConsumerKey counts_for() const { return consumer != nullptr ? consumer->key : client; }
    std::string_view consumer_name() const {
        return consumer != nullptr ? consumer->name : std::string_view();
    }

    // Of a path that is no model's: bytes that nobody reads.
    bool is_generic() const { return route != nullptr; }
    // Sent twice it may do twice what it does once (RFC 9110 section 9.2.2). What a model is asked
    // for is only computed twice.
    bool must_not_repeat() const {
        using enum http::Method;
        return is_generic() && method != get && method != head && method != options &&
               method != put && method != del;
    }

    // Its method means a body, or it has one: then a backend is told of the length.
    bool sends_body() const {
        using enum http::Method;
        return !is_generic() || body_bytes > 0 || method == post || method == put ||
               method == patch;
    }

    // In which it is refused, at any stage; what is known of its path decides.
    llm::Dialect dialect() const {
        const bool known = endpoint != nullptr && endpoint->kind != llm::EndpointKind::opaque;
        return known ? endpoint->dialect : llm::dialect_of(path);
    }
};

}  // namespace sluice::proxy
