#include "model_server.h"

#include "driver.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace sluice::sim {
namespace {

constexpr std::string_view head_end = "\r\n\r\n";
constexpr std::string_view injected = "\"stream_options\":{\"include_usage\":true},";

std::string_view field(std::string_view head, std::string_view name) {
    const auto at = head.find(std::string("\r\n") + std::string(name) + ": ");
    if (at == std::string_view::npos) return {};
    const auto value = head.substr(at + name.size() + 4);
    return value.substr(0, value.find("\r\n"));
}

std::size_t number(std::string_view text) {
    std::size_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::string hex(std::size_t value) {
    std::array<char, 16> text{};
    const auto [end, code] = std::to_chars(text.begin(), text.end(), value, 16);
    SLUICE_ASSERT(code == std::errc{});
    return {text.begin(), end};
}

// The client's bytes, but for what the gateway is meant to put in.
bool is_intact(std::string_view body, const Case& asked) {
    if (body == asked.upstream_body) return true;
    return body.starts_with('{') && body.substr(1).starts_with(injected) &&
           body.substr(1 + injected.size()) == std::string_view(asked.upstream_body).substr(1);
}

}  // namespace

// --- requests -------------------------------------------------------------------------------

void ModelServer::on_connected() {
    if (habits_.reads_slowly) read_slowly(700, Duration::micros(300));
    watch_idle();
}

void ModelServer::on_data(std::string_view bytes) {
    if (closing_) return;
    received_ += bytes;
    read_rest();
    if (at_work_ != nullptr && !received_.empty())
        fail("a backend got a request before it had answered the last one");
    while (!over() && at_work_ == nullptr && read_request()) {
    }
}

void ModelServer::read_rest() {
    const std::size_t size = std::min(rest_.size(), received_.size());
    expect(received_.compare(0, size, rest_, 0, size) == 0,
           "a backend got other bytes than the client sent");
    received_.erase(0, size);
    rest_.erase(0, size);
}

bool ModelServer::read_request() {
    const auto end = received_.find(head_end);
    if (end == std::string::npos) return false;
    const std::string head = received_.substr(0, end + 2);
    const std::size_t size = number(field(head, "Content-Length"));
    Case* asked = ledger_.find(field(head, "X-Request-Id"));
    const bool whole = received_.size() >= end + head_end.size() + size;
    if (!whole && (asked == nullptr || !asked->plan.early)) return false;
    const std::string body = received_.substr(end + head_end.size(), size);
    received_.erase(0, end + head_end.size() + body.size());
    ++requests_;
    if (head.starts_with("GET ")) {
        answer_question(std::string_view(head).substr(4, head.find(' ', 4) - 4));
        return true;
    }
    expect(asked != nullptr, "a backend got a request that nobody made");
    expect(asked->kind == Case::Kind::forwarded, "a backend got a request that is to be refused");
    expect(whole ? is_intact(body, *asked) : asked->upstream_body.starts_with(body),
           "a backend got other bytes than the client sent");
    expect(!field(head, "X-Forwarded-For").empty(), "a backend is not told of the client");
    if (!whole) {
        rest_ = asked->upstream_body.substr(body.size());
        if (asked->plan.failure == Plan::Failure::stalls) {
            read_slowly(0, {});
            return false;
        }
    }
    answer(*asked, body);
    return false;
}

// What the gateway asks of its own accord.
void ModelServer::answer_question(std::string_view path) {
    std::string body = habits_.models;
    if (path == "/health") body = R"({"status":"ok"})";
    if (path == "/props")
        body = R"({"total_slots":)" + std::to_string(habits_.slots) + R"(,"endpoint_slots":true})";
    if (path == "/slots") body = "[]";
    std::string text = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    if (!habits_.software.empty()) text += "Server: " + habits_.software + "\r\n";
    text += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    send(text + body);
}

// --- answers --------------------------------------------------------------------------------

void ModelServer::answer(Case& asked, std::string_view body) {
    if (asked.seen_by_backends++ == 0) asked.first_seen_at = simulation().now();
    // By each backend of its pool once, and once more on a fresh connection.
    expect(asked.seen_by_backends <= 2 * asked.backends, "a request was sent too often");
    at_work_ = &asked;
    asked.backend_busy = true;
    plan_ = asked.plan;
    const bool with_usage = body.find("include_usage\":true") != std::string_view::npos;
    asked.usage_was_sent = with_usage || !plan_.events();
    answer_ = encode(plan_, with_usage);
    after(plan_.first_byte, [this] { write_some(); });
}

std::string ModelServer::head_fields(const Plan& plan, std::size_t body_size) const {
    std::string text = plan.events() ? "Content-Type: text/event-stream\r\n"
                                     : "Content-Type: application/json; charset=utf-8\r\n";
    if (!habits_.software.empty()) text += "Server: " + habits_.software + "\r\n";
    const bool until_close = plan.shape == Plan::Shape::events_until_close;
    if (plan.closes || until_close) text += "Connection: close\r\n";
    if (plan.shape == Plan::Shape::json_length)
        text += "Content-Length: " + std::to_string(body_size) + "\r\n";
    else if (!until_close)
        text += "Transfer-Encoding: chunked\r\n";
    return text + "\r\n";
}

std::string ModelServer::encode(const Plan& plan, bool with_usage) {
    if (plan.failure == Plan::Failure::bad_head) {
        constexpr std::array heads = {
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            "220 mail.example ESMTP\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc",
        };
        return heads[simulation().prng().below(heads.size())];
    }
    const std::string body = plan.body(with_usage);
    std::string text = plan.interim ? "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" : "";
    text += "HTTP/1.1 " + std::to_string(plan.status) + " Status\r\n";
    text += head_fields(plan, body.size());
    const std::size_t head_size = text.size();
    text += encode_body(plan, body);
    if (plan.failure == Plan::Failure::none || plan.failure == Plan::Failure::bad_chunk)
        return text;
    // A failure cuts at least the last byte off.
    const std::size_t cut = text.size() * plan.cut_percent / 100;
    if (plan.shape == Plan::Shape::events_until_close && cut >= head_size)
        return text.substr(0, std::min(cut, text.size() - plan.pieces.back().size()));
    return text.substr(0, std::min(cut, text.size() - 1));
}

// Chunks do not care for events: one may hold several, or a part of one.
std::string ModelServer::encode_body(const Plan& plan, std::string_view body) {
    Prng& prng = simulation().prng();
    if (plan.shape != Plan::Shape::events_chunked && plan.shape != Plan::Shape::json_chunked)
        return std::string(body);
    const bool by_event = plan.shape == Plan::Shape::events_chunked && prng.chance(2, 3);
    const std::size_t bad_at = plan.failure == Plan::Failure::bad_chunk
                                   ? body.size() * plan.cut_percent / 101
                                   : body.size();
    std::string text;
    for (std::size_t at = 0; at < body.size();) {
        std::size_t size = prng.between(1, body.size() - at);
        if (by_event) {
            const auto line = body.find("\n\n", at);
            if (line != std::string_view::npos) size = line + 2 - at;
        }
        if (at + size > bad_at) return text + "zz\r\n";
        text += hex(size) + "\r\n";
        text += body.substr(at, size);
        text += "\r\n";
        at += size;
    }
    return text + "0\r\n\r\n";
}

void ModelServer::write_some() {
    if (at_work_ == nullptr) return;
    Prng& prng = simulation().prng();
    const std::size_t most = std::min<std::size_t>(answer_.size(), 1U << prng.between(6, 18));
    const std::size_t size = answer_.empty() ? 0 : prng.between(1, most);
    send(std::string_view(answer_).substr(0, size));
    answer_.erase(0, size);
    if (answer_.empty()) return finish_answer();
    after(simulation().random_delay(plan_.pause), [this] { write_some(); });
}

void ModelServer::finish_answer() {
    using Failure = Plan::Failure;
    if (plan_.failure == Failure::stalls) return;
    free_case();
    if (plan_.failure == Failure::reset) return reset();
    // Closed now, what has still to come would be answered with a reset, which may be faster.
    if (!rest_.empty() && plan_.failure == Failure::none) return;
    closing_ = plan_.failure != Failure::none || plan_.closes || plan_.closes_unannounced ||
               plan_.shape == Plan::Shape::events_until_close || requests_ == habits_.requests_max;
    if (closing_) return close_when_sent();
    watch_idle();
}

void ModelServer::close_when_sent() {
    if (all_sent()) return close();
    after(Duration::millis(1), [this] { close_when_sent(); });
}

void ModelServer::watch_idle() {
    if (habits_.idle_max.ns == 0) return;
    after(habits_.idle_max, [this, count = requests_] {
        const bool idle = at_work_ == nullptr && received_.empty();
        if (requests_ == count && idle) close();
    });
}

void ModelServer::free_case() {
    if (at_work_ == nullptr) return;
    at_work_->backend_busy = false;
    at_work_->backend_free_at = simulation().now();
    at_work_ = nullptr;
}

// The gateway closed: nobody waits for the answer any more.
void ModelServer::lost() {
    free_case();
    close();
}

}  // namespace sluice::sim
