#include "case.h"

#include "driver.h"

#include <array>
#include <charconv>

namespace sluice::sim {
namespace {

constexpr std::string_view id_prefix = "case-";

std::string hex(std::size_t value) {
    std::array<char, 16> text{};
    const auto [end, code] = std::to_chars(text.begin(), text.end(), value, 16);
    SLUICE_ASSERT(code == std::errc{});
    return {text.begin(), end};
}

}  // namespace

std::string Plan::body(bool with_usage) const {
    std::string text;
    for (const std::string& piece : pieces) {
        if (with_usage && &piece == &pieces.back()) text += usage_event;
        text += piece;
    }
    return text;
}

// --- the ledger -----------------------------------------------------------------------------

Case* Ledger::find(std::string_view id) {
    if (!id.starts_with(id_prefix)) return nullptr;
    std::size_t number = 0;
    const auto digits = id.substr(id_prefix.size());
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number < cases_.size() ? &cases_[number] : nullptr;
}

void Ledger::write(std::string_view line) {
    // About a backend, not about a request.
    if (line.find("\"event\":\"") != std::string_view::npos) return;
    ++lines_;
    constexpr std::string_view key = "\"id\":\"";
    const auto at = line.find(key);
    expect(at != std::string_view::npos, "a log line without an id");
    const auto id = line.substr(at + key.size());
    Case* logged = find(id.substr(0, id.find('"')));
    if (logged == nullptr) return;
    ++logged->logged;
    logged->logged_line = line;
    expect(logged->logged == 1, "a request was settled twice");
}

std::size_t Ledger::some_size(unsigned magnitude_max) {
    return prng_.below(std::uint64_t{1} << prng_.below(magnitude_max + 1)) + 1;
}

Case& Ledger::add() {
    Case& made = cases_.emplace_back();
    made.number = cases_.size() - 1;
    made.closes = prng_.chance(1, 12);
    if (has_routes && prng_.chance(1, 2)) {
        make_upload(made);
        return made;
    }
    const auto dice = prng_.below(100);
    if (dice < 75)
        make_forwarded(made);
    else if (dice < 85)
        make_own(made);
    else if (dice < 95)
        make_refused(made);
    else
        make_malformed(made);
    return made;
}

// Text in which no byte can be lost, doubled or moved unnoticed.
std::string Ledger::pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i)
        text[i] = static_cast<char>('a' + (i ^ i >> 4 ^ i >> 9) % 26);
    return text;
}

// --- requests -------------------------------------------------------------------------------

std::string Ledger::get(const Case& made, std::string_view method, std::string_view path) {
    std::string text(method);
    text += ' ';
    text += path;
    text += made.http_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n";
    text += "Host: localhost:8642\r\nX-Request-Id: ";
    text += id_prefix;
    text += std::to_string(made.number) + "\r\n";
    if (made.closes) text += "Connection: close\r\n";
    return text;
}

std::string Ledger::in_chunks(std::string_view body) {
    std::string text;
    while (!body.empty()) {
        const std::size_t size = prng_.between(1, body.size());
        text += hex(size) + "\r\n";
        text += body.substr(0, size);
        text += "\r\n";
        body.remove_prefix(size);
    }
    return text + "0\r\n\r\n";
}

std::string Ledger::post(const Case& made, std::string_view path, std::string_view body) {
    std::string text = get(made, "POST", path) + "Content-Type: application/json\r\n";
    if (prng_.chance(1, 20) && !made.http_1_0) text += "Expect: 100-continue\r\n";
    if (prng_.chance(1, 4) && !made.http_1_0)
        return text + "Transfer-Encoding: chunked\r\n\r\n" + in_chunks(body);
    text += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    text += body;
    return text;
}

std::string Ledger::chat_body(const Case& made, std::string_view model, bool stream) {
    std::string body = "{\"messages\":[{\"role\":\"user\",\"content\":\"";
    body.append(some_size(prng_.chance(1, 30) ? 15 : 9), 'x');
    body += "\"}],";
    if (stream) body += "\"stream\": true,";
    if (made.asks_usage) body += "\"stream_options\":{\"include_usage\":true},";
    body += "\"model\" : \"";
    body += model;
    // Each fourth may be shared, though nobody asks for the same: it goes through a recording.
    if (made.number % 4 == 0)
        return body + "\", \"temperature\":0,\"user\":\"" + std::to_string(made.number) + "\"}";
    return body + "\", \"temperature\":0.7}";
}

void Ledger::make_forwarded(Case& made) {
    constexpr std::array models = {"model-a", "model-b", "model-both", "alias-a"};
    made.kind = Case::Kind::forwarded;
    made.http_1_0 = prng_.chance(1, 20);
    const bool stream = prng_.chance(2, 3);
    made.asks_usage = stream && prng_.chance(1, 3);
    const std::string_view model = models[prng_.below(models.size())];
    const std::string body = chat_body(made, model, stream);
    made.upstream_body = body;
    made.may_fail = backend_b_is_down && model == "model-b";
    if (model == "model-both") made.backends = 2;
    if (model == "alias-a")
        made.upstream_body.replace(body.find("alias-a"), std::string_view("alias-a").size(),
                                   "model-a");
    made.wire = post(made, "/v1/chat/completions", body);
    make_plan(made.plan, stream);
    made.may_fail = made.may_fail || meets_nobody(made.backends, made.plan);
}

// The one sends it on, and the other is down.
bool Ledger::meets_nobody(int backends, const Plan& plan) const {
    return backend_b_is_down && backends == 2 && plan.status == 429;
}

// For a generic route: mostly so large that it is not kept.
void Ledger::make_upload(Case& made) {
    constexpr std::array paths = {"/route-a", "/route-b", "/route-both"};
    made.kind = Case::Kind::forwarded;
    made.generic = true;
    made.http_1_0 = prng_.chance(1, 20);
    const std::string_view path = paths[prng_.below(paths.size())];
    made.may_fail = backend_b_is_down && path == "/route-b";
    if (path == "/route-both") made.backends = 2;
    made.upstream_body =
        pattern(prng_.chance(1, 4) ? some_size(17) : prng_.between(4'000, 250'000));
    made.wire =
        get(made, prng_.chance(1, 2) ? "POST" : "PUT", path) + "Content-Type: audio/wav\r\n";
    if (prng_.chance(1, 20) && !made.http_1_0) made.wire += "Expect: 100-continue\r\n";
    if (prng_.chance(1, 8) && !made.http_1_0)
        made.wire += "Transfer-Encoding: chunked\r\n\r\n" + in_chunks(made.upstream_body);
    else
        made.wire += "Content-Length: " + std::to_string(made.upstream_body.size()) + "\r\n\r\n" +
                     made.upstream_body;
    make_plan(made.plan, false);
    made.may_fail = made.may_fail || meets_nobody(made.backends, made.plan);
    made.plan.early = prng_.chance(1, 4);
}

void Ledger::make_own(Case& made) {
    made.kind = Case::Kind::own;
    made.head = prng_.chance(1, 4);
    const bool health = prng_.chance(1, 2);
    if (health && !made.head) made.expected_body = "ok\n";
    made.wire = get(made, made.head ? "HEAD" : "GET", health ? "/healthz" : "/v1/models") + "\r\n";
}

void Ledger::make_refused(Case& made) {
    made.kind = Case::Kind::refused;
    switch (prng_.below(6)) {
        case 0:
            made.expected_status = 404;
            made.wire = post(made, "/v1/chat/completions", chat_body(made, "no-such-model", true));
            return;
        case 1:
            made.expected_status = 404;
            made.wire = post(made, "/v1/nothing", "{}");
            return;
        case 2:
            made.expected_status = 405;
            made.wire = get(made, "GET", "/v1/chat/completions") + "\r\n";
            return;
        case 3:
            made.expected_status = 400;
            made.wire = post(made, "/v1/chat/completions", "{\"model\":");
            return;
        case 4:
            made.expected_status = 413;
            made.closes = true;
            made.wire = get(made, "POST", "/v1/chat/completions") +
                        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
                        in_chunks("{\"x\":\"" + std::string(300'000, 'x') + "\"}");
            return;
        default:
            made.expected_status = 413;
            made.wire = get(made, "POST", "/v1/chat/completions") +
                        "Content-Type: application/json\r\nContent-Length: 99000000\r\n\r\n";
            made.closes = true;  // its body never comes
            return;
    }
}

void Ledger::make_malformed(Case& made) {
    constexpr std::array wires = {
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
        "Transfer-Encoding: chunked\r\n\r\n{}",
        "GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /healthz HTTP/1.1\nHost: localhost\n\n",
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        "application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    };
    made.kind = Case::Kind::malformed;
    made.closes = true;
    made.wire = wires[prng_.below(wires.size())];
}

// --- answers --------------------------------------------------------------------------------

void Ledger::make_plan(Plan& plan, bool stream) {
    using Shape = Plan::Shape;
    plan.completion_tokens = prng_.between(1, 5000);
    plan.first_byte = Duration::micros(static_cast<std::int64_t>(some_size(18)));
    plan.pause = Duration::micros(static_cast<std::int64_t>(some_size(15)));
    plan.interim = prng_.chance(1, 30);
    plan.closes = prng_.chance(1, 10);
    plan.closes_unannounced = prng_.chance(1, 10);
    if (stream && prng_.chance(19, 20)) {
        plan.shape = prng_.chance(1, 10) ? Shape::events_until_close : Shape::events_chunked;
        make_events(plan);
    } else {
        plan.shape = prng_.chance(1, 2) ? Shape::json_length : Shape::json_chunked;
        if (prng_.chance(1, 6)) plan.status = prng_.chance(1, 2) ? 400 : 429;
        plan.pieces.push_back(
            "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":"
            "{\"role\":\"assistant\",\"content\":\"" +
            pattern(some_size(prng_.chance(1, 4) ? 18 : 12)) +
            "\"}}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":" +
            std::to_string(plan.completion_tokens) + "}}");
    }
    if (prng_.chance(1, 5)) make_failure(plan);
}

void Ledger::make_failure(Plan& plan) {
    using Shape = Plan::Shape;
    plan.failure = static_cast<Plan::Failure>(prng_.between(1, 5));
    plan.cut_percent = static_cast<unsigned>(prng_.below(101));
    if (plan.failure == Plan::Failure::bad_chunk &&
        (plan.shape == Shape::json_length || plan.shape == Shape::events_until_close))
        plan.failure = Plan::Failure::reset;
}

void Ledger::make_events(Plan& plan) {
    const std::string_view end = prng_.chance(1, 5) ? "\r\n" : "\n";
    const auto event = [&](std::string data) {
        std::string text = "data: " + std::move(data);
        text += end;
        text += end;
        return text;
    };
    const std::size_t count = some_size(6);
    for (std::size_t i = 0; i < count; ++i) {
        if (prng_.chance(1, 20)) {
            plan.pieces.push_back(": still here" + std::string(end) + std::string(end));
            continue;
        }
        const std::size_t size = some_size(prng_.chance(1, 200) ? 18 : 9);
        plan.pieces.push_back(
            event("{\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
                  "\"delta\":{\"content\":\"" +
                  std::string(size, 'z') + "\"}}]}"));
    }
    plan.usage_event = event(
        "{\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{"
        "\"prompt_tokens\":9,\"completion_tokens\":" +
        std::to_string(plan.completion_tokens) + "}}");
    plan.pieces.push_back(event("[DONE]"));
}

}  // namespace sluice::sim
