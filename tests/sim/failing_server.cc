#include "failing_server.h"

#include "driver.h"

#include <algorithm>
#include <charconv>
#include <memory>

namespace sluice::sim {
namespace {

// All far below the deadlines of the gateway.
constexpr Duration first_byte_max = Duration::millis(80);
constexpr Duration pause_max = Duration::millis(30);
// Of a process that ends: its connections are closed before its port is.
constexpr Duration port_outlives_max = Duration::millis(20);
// Each after such a pause: longer than a gap is.
constexpr std::size_t comments_of_life = 40;

constexpr std::string_view head_end = "\r\n\r\n";
constexpr std::string_view loading_body =
    R"({"error":{"message":"Loading model","type":"unavailable_error","code":503}})";

std::string_view field(std::string_view head, std::string_view name) {
    const auto at = head.find("\r\n" + std::string(name) + ": ");
    if (at == std::string_view::npos) return {};
    const auto value = head.substr(at + name.size() + 4);
    return value.substr(0, value.find("\r\n"));
}

std::string chunk(std::string_view data) {
    char size[16];
    const auto end = std::to_chars(std::begin(size), std::end(size), data.size(), 16).ptr;
    return std::string(size, end) + "\r\n" + std::string(data) + "\r\n";
}

std::string choice(std::string_view delta, std::string_view finish) {
    return R"(data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{)" +
           std::string(delta) + R"(},"finish_reason":)" + std::string(finish) + "}]}\n\n";
}

}  // namespace

void Backend::go() {
    Simulation::current().network().stop_serving(address);
    for (auto* connection : std::exchange(open, {}))
        connection->die();
}

void Backend::end_under(Tries& tries, Try& asked) {
    auto& simulation = Simulation::current();
    if (++asked.ended == 2)
        asked.alone = tries.alone(asked, simulation.now(), Duration::millis(100));
    mood = Mood::gone;
    ended_at = simulation.now();
    if (simulation.prng().chance(1, 2)) return go();
    for (auto* connection : std::exchange(open, {}))
        connection->die();
    simulation.after(simulation.random_delay(port_outlives_max), [this] {
        if (mood == Mood::gone) go();
    });
}

void Backend::come(Tries& tries) {
    Simulation::current().network().serve(
        address, [this, &tries] { return std::make_unique<FailingServer>(tries, *this); });
}

// --- requests -------------------------------------------------------------------------------

void FailingServer::on_data(std::string_view bytes) {
    received_ += bytes;
    while (!over() && !working_ && !silent_ && read_request()) {
    }
}

bool FailingServer::read_request() {
    const auto end = received_.find(head_end);
    if (end == std::string::npos) return false;
    const std::string head = received_.substr(0, end + 2);
    const auto length = field(head, "Content-Length");
    std::size_t size = 0;
    std::from_chars(length.data(), length.data() + length.size(), size);
    if (received_.size() < end + head_end.size() + size) return false;
    received_.erase(0, end + head_end.size() + size);
    const auto path = std::string_view(head).substr(head.find(' ') + 1);
    if (head.starts_with("GET ")) {
        answer_get(path.substr(0, path.find(' ')));
        return true;
    }
    Try* asked = tries_.find(field(head, "X-Request-Id"));
    expect(asked != nullptr, "a backend got a request that nobody made");
    answer_post(*asked);
    return true;
}

void FailingServer::respond(int status, std::string_view fields, std::string_view body) {
    send("HTTP/1.1 " + std::to_string(status) + " Status\r\n" + std::string(fields) +
         "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body));
}

// What the gateway asks of its own accord.
void FailingServer::answer_get(std::string_view path) {
    switch (backend_.mood) {
        case Mood::stalls:
            silent_ = true;
            return;
        case Mood::loading:
            return respond(503, "", loading_body);
        default:
            break;
    }
    if (path == "/v1/models")
        return respond(200, "",
                       std::string(R"({"object":"list","data":[{"id":"pool","object":"model",)") +
                           R"("created":1,"owned_by":")" +
                           (backend_.like_llama ? "llamacpp" : "sim") + R"("}]})");
    if (path == "/health") return respond(200, "", R"({"status":"ok"})");
    respond(404, "", R"({"error":{"message":"File Not Found","code":404}})");
}

// --- answers --------------------------------------------------------------------------------

Mood FailingServer::mood_now() {
    if (backend_.mood != Mood::mixed) return backend_.mood;
    auto mood = static_cast<Mood>(simulation().prng().below(moods - 1));
    return mood == Mood::gone ? Mood::resets : mood;
}

void FailingServer::answer_post(Try& asked) {
    working_ = true;
    ++asked.arrivals;
    backend_.at_work_max = std::max(backend_.at_work_max, ++backend_.at_work);
    if (asked.deadly && !backend_.steady)
        return after(simulation().random_delay(first_byte_max), [this, &asked] {
            if (backend_.mood != Mood::gone) backend_.end_under(tries_, asked);
        });
    const Mood mood = mood_now();
    ++backend_.answers[static_cast<std::size_t>(mood)];
    after(simulation().random_delay(first_byte_max),
          [this, &asked, mood] { begin_text(asked, mood); });
}

void FailingServer::begin_text(const Try& asked, Mood mood) {
    const auto refuse = [this](int status, std::string_view fields, std::string_view body) {
        end_work();
        respond(status, fields, body);
    };
    constexpr std::string_view failure = R"({"error":{"message":"no","type":"server_error"}})";
    switch (mood) {
        case Mood::gone:
        case Mood::resets:
            end_work();
            return reset();
        case Mood::closes:
            end_work();
            return close();
        case Mood::fails:
            return refuse(500, "", failure);
        case Mood::limited:
            return refuse(429, simulation().prng().chance(1, 2) ? "Retry-After: 1\r\n" : "",
                          failure);
        case Mood::loading:
            return refuse(503, "", loading_body);
        case Mood::stalls:
            return;
        case Mood::bad_head:
            send("220 mail.example ESMTP\r\n");
            end_work();
            return close();
        case Mood::error_first:
            if (!asked.stream) return refuse(500, "", failure);
            break;
        case Mood::well:
        case Mood::breaks:
        case Mood::stops:
        case Mood::hesitates:
        case Mood::mixed:
            break;
    }
    mood_ = mood;
    pieces_.clear();
    next_piece_ = 0;
    if (asked.stream) {
        pieces_.push_back(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
        if (simulation().prng().chance(1, 3)) pieces_.push_back(chunk(": hello\n\n"));
        pieces_.push_back(chunk(choice(R"("role":"assistant","content":"")", "null")));
        if (mood == Mood::error_first) {
            pieces_.push_back(chunk("data: " + std::string(failure) + "\n\n") + "0\r\n\r\n");
            return write_text();
        }
        for (std::size_t i = 0; i < asked.tokens; ++i)
            pieces_.push_back(chunk(choice(
                R"("content":")" + std::string(1, backend_.letter) + std::to_string(i) + R"( ")",
                "null")));
        pieces_.push_back(chunk(choice("", R"("stop")")) + chunk("data: [DONE]\n\n") + "0\r\n\r\n");
    } else {
        const std::string body = R"({"object":"chat.completion","choices":[{"index":0,"message":)"
                                 R"({"role":"assistant","content":")" +
                                 asked.text(backend_.letter) + R"("},"finish_reason":"stop"}]})";
        pieces_.push_back("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                          std::to_string(body.size()) + "\r\n\r\n" +
                          body.substr(0, body.size() / 2));
        pieces_.push_back(body.substr(body.size() / 2));
    }
    spoil(mood);
    write_text();
}

// The text is there: what becomes of it in that mood.
void FailingServer::spoil(Mood mood) {
    const bool breaks = mood == Mood::breaks || mood == Mood::stops;
    if (breaks) return pieces_.resize(simulation().prng().between(0, pieces_.size() - 1));
    const bool stream = pieces_.size() > 2;  // a document has two
    if (mood != Mood::hesitates || !stream) return;
    const auto at = simulation().prng().between(1, pieces_.size() - 1);
    pieces_.insert(pieces_.begin() + static_cast<std::ptrdiff_t>(at), comments_of_life,
                   chunk(":\n\n"));
}

void FailingServer::write_text() {
    if (next_piece_ < pieces_.size()) {
        send(pieces_[next_piece_++]);
        const bool last = next_piece_ == pieces_.size();
        if (!last || mood_ == Mood::breaks || mood_ == Mood::stops)
            return after(simulation().random_delay(pause_max), [this] { write_text(); });
    }
    if (mood_ == Mood::stops) return;
    end_work();
    if (mood_ != Mood::breaks) return on_data({});  // what came meanwhile
    if (simulation().prng().chance(1, 2)) return reset();
    close();
}

// --- endings --------------------------------------------------------------------------------

void FailingServer::end_work() {
    if (std::exchange(working_, false)) --backend_.at_work;
}

// The gateway closed: nobody waits for the answer any more.
void FailingServer::on_end() {
    end_work();
    backend_.open.erase(this);
    close();
}

void FailingServer::die() {
    end_work();
    reset();
}

}  // namespace sluice::sim
