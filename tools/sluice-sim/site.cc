#include "site.h"

#include "append.h"
#include "documents.h"
#include "job_reader.h"
#include "sluice/llm/errors.h"

#include <array>
#include <optional>
#include <utility>

namespace sluice::model_sim {
namespace {

using http::Method;

constexpr std::string_view id_letters =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

std::string new_id(Prng& prng) {
    constexpr std::size_t length = 32;
    std::string id;
    while (id.size() < length) {
        // Ten letters of 62 fit into 64 bits.
        std::uint64_t bits = prng.next();
        for (int i = 0; i < 10 && id.size() < length; ++i, bits /= 62)
            id += id_letters[bits % 62];
    }
    return id;
}

Document document(std::string body) {
    return {.body = std::move(body)};
}

}  // namespace

Site::Site(const Options& options, const Slots& slots, Instant start)
    : options_(options),
      slots_(slots),
      ready_at_(start + options.load_time),
      ids_(options.script.seed) {}

Request Site::request_of(const http::Head& head) {
    Request request{.method = head.method,
                    .method_text = std::string(head.method_text),
                    .target = std::string(head.target),
                    .origin = std::string(head.find("origin")),
                    .keep_alive = head.keep_alive,
                    .script = options_.script,
                    .wrong = {}};
    // Only work fails, so that a look at /health or at the models tells the truth.
    const bool work = head.method == Method::post && !request.internal();
    if (!work || ++counted_ % options_.fail_every != 0) request.script.failure = Failure::none;
    const auto status = apply_overrides(request.script, head.find("x-sim"));
    if (!status.ok()) request.wrong = status.error().message;
    return request;
}

// --- routes ---------------------------------------------------------------------------------

const Site::Route* Site::find(std::string_view path) {
    static constexpr std::array routes = {
        Route{"/v1/chat/completions", Method::post, &Site::generate<Kind::chat>},
        Route{"/chat/completions", Method::post, &Site::generate<Kind::chat>},
        Route{"/v1/completions", Method::post, &Site::generate<Kind::completions>},
        Route{"/v1/responses", Method::post, &Site::generate<Kind::responses>},
        Route{"/v1/messages", Method::post, &Site::generate<Kind::messages>},
        Route{"/completion", Method::post, &Site::generate<Kind::native>},
        Route{"/infill", Method::post, &Site::generate<Kind::native>},
        Route{"/api/chat", Method::post, &Site::generate<Kind::ollama_chat>},
        Route{"/api/generate", Method::post, &Site::generate<Kind::ollama_generate>},
        Route{"/v1/embeddings", Method::post, &Site::compute<embeddings>},
        Route{"/embeddings", Method::post, &Site::compute<embeddings>},
        Route{"/v1/rerank", Method::post, &Site::compute<rerank>},
        Route{"/rerank", Method::post, &Site::compute<rerank>},
        Route{"/tokenize", Method::post, &Site::compute<tokenize>},
        Route{"/v1/messages/count_tokens", Method::post, &Site::count_tokens},
        Route{"/v1/chat/completions/input_tokens", Method::post, &Site::count_tokens},
        Route{"/v1/responses/input_tokens", Method::post, &Site::count_tokens},
        Route{"/v1/audio/transcriptions", Method::post, &Site::transcription},
        Route{"/v1/audio/speech", Method::post, &Site::speech},
        Route{"/v1/images/generations", Method::post, &Site::image},
        Route{"/", Method::get, &Site::root},
        Route{"/health", Method::get, &Site::health},
        Route{"/v1/health", Method::get, &Site::health},
        Route{"/props", Method::get, &Site::props},
        Route{"/slots", Method::get, &Site::slot_list},
        Route{"/v1/models", Method::get, &Site::models},
        Route{"/models", Method::get, &Site::models},
        Route{"/version", Method::get, &Site::version},
        Route{"/api/version", Method::get, &Site::version},
        Route{"/api/tags", Method::get, &Site::tags},
        Route{"/sim/stats", Method::get, &Site::sim_stats},
        Route{"/sim/last-request", Method::get, &Site::sim_last_request},
    };
    static constexpr Route by_id{"/v1/models/", Method::get, &Site::model_by_id};
    for (const auto& route : routes)
        if (route.path == path) return &route;
    return path.starts_with(by_id.path) ? &by_id : nullptr;
}

Answer Site::answer(const Request& request, std::string_view body, Instant now) {
    if (now < ready_at_ && !request.internal()) return refusal(options_.api, Kind::chat, loading());
    if (!request.wrong.empty())
        return refusal(options_.api, Kind::chat, bad_request(request.wrong));
    if (request.method == Method::options)
        return Document{.content_type = "text/html",
                        .fields =
                            "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"
                            "Access-Control-Allow-Headers: *\r\n"};
    const Route* route = find(request.path());
    if (route == nullptr) return refusal(options_.api, Kind::chat, unknown_path());
    const bool fits = request.method == route->method ||
                      (request.method == Method::head && route->method == Method::get);
    if (!fits) return wrong_method(request, *route);
    return (this->*route->handler)(request, body);
}

// llama-server knows no path with another method; the others say so.
Answer Site::wrong_method(const Request&, const Route& route) {
    if (options_.api == Api::llama) return refusal(options_.api, Kind::chat, unknown_path());
    auto fault = bad_request("Method Not Allowed");
    fault.status = 405;
    fault.fields = route.method == Method::get ? "Allow: GET, HEAD\r\n" : "Allow: POST\r\n";
    return refusal(options_.api, Kind::chat, fault);
}

// --- work -----------------------------------------------------------------------------------

// The failures that are an answer instead of the answer.
std::optional<Answer> Site::struck(Kind kind, const Request& request) {
    switch (request.script.failure) {
        case Failure::loading:
            return refusal(options_.api, kind, loading());
        case Failure::rate_limited:
            return refusal(options_.api, kind, rate_limited());
        case Failure::context:
            return refusal(options_.api, kind, exceeds_context(0));
        case Failure::broken:
            return refusal(options_.api, kind, broken());
        case Failure::overloaded:
            return refusal(options_.api, kind, overloaded());
        case Failure::unauthorized:
            return refusal(options_.api, kind, unauthorized());
        case Failure::policy:
            return refusal(options_.api, kind, blocked());
        case Failure::html:
            return Document{.content_type = "text/html",
                            .body =
                                "<!doctype html><html><head><title>Sign in</title></head>"
                                "<body><h1>It works!</h1></body></html>\n"};
        default:
            return std::nullopt;
    }
}

template <Kind kind>
Answer Site::generate(const Request& request, std::string_view body) {
    if (auto answer = struck(kind, request)) return std::move(*answer);
    auto read = read_job(options_, kind, request.script, body);
    if (auto* fault = std::get_if<Fault>(&read)) return refusal(options_.api, kind, *fault);
    auto& job = std::get<Job>(read);
    job.id = new_id(ids_);
    job.created_us = wall_now().us;
    return std::move(job);
}

template <auto work>
Answer Site::compute(const Request& request, std::string_view body) {
    if (auto answer = struck(Kind::document, request)) return std::move(*answer);
    auto read = read_json(body);
    if (auto* fault = std::get_if<Fault>(&read))
        return refusal(options_.api, Kind::document, *fault);
    std::variant<Work, Fault> done = [&] {
        if constexpr (std::is_invocable_v<decltype(work), const Options&, const JsonBody&>)
            return work(options_, std::get<JsonBody>(read));
        else
            return work(std::get<JsonBody>(read));
    }();
    if (auto* fault = std::get_if<Fault>(&done))
        return refusal(options_.api, Kind::document, *fault);
    auto& finished = std::get<Work>(done);
    return later(request, std::move(finished.document), finished.prompt_tokens);
}

// A document that takes as long as a prompt is read.
Answer Site::later(const Request& request, Document document, std::uint64_t prompt_tokens) {
    Job job;
    job.kind = Kind::document;
    job.api = options_.api;
    job.prompt_tokens = prompt_tokens;
    job.script = request.script;
    job.document = std::move(document);
    return job;
}

Answer Site::count_tokens(const Request& request, std::string_view body) {
    auto read = read_job(options_, Kind::native, request.script, body);
    if (auto* fault = std::get_if<Fault>(&read))
        return refusal(options_.api, Kind::document, *fault);
    const bool anthropic = request.path().starts_with("/v1/messages");
    const auto object = anthropic ? "" : R"(,"object":"response.input_tokens")";
    return document(joined(R"({"input_tokens":)", std::get<Job>(read).prompt_tokens, object, '}'));
}

Answer Site::transcription(const Request& request, std::string_view body) {
    if (auto answer = struck(Kind::document, request)) return std::move(*answer);
    std::string text;
    for (std::uint64_t i = 0; i < request.script.tokens; ++i)
        Text(request.script.seed, request.script.token_bytes).append_escaped(text, i);
    return later(request, document(joined(R"({"text":")", text, R"("})")),
                 tokens_in_bytes(body.size()));
}

// Bytes that are no text, so that nobody treats them as such.
Answer Site::speech(const Request& request, std::string_view body) {
    if (auto answer = struck(Kind::document, request)) return std::move(*answer);
    std::string bytes;
    Prng noise(request.script.seed);
    for (std::uint64_t i = 0; i < request.script.tokens; ++i) {
        std::uint64_t bits = noise.next();
        for (int n = 0; n < 8; ++n, bits >>= 8)
            bytes += static_cast<char>(bits & 0xff);
    }
    return later(request, {.content_type = "audio/mpeg", .body = std::move(bytes)},
                 tokens_in_bytes(body.size()));
}

Answer Site::image(const Request& request, std::string_view body) {
    if (auto answer = struck(Kind::document, request)) return std::move(*answer);
    constexpr std::string_view pixel =  // a PNG of one transparent pixel
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5E"
        "rkJggg==";
    return later(request,
                 document(joined(R"({"created":)", wall_now().us / 1'000'000,
                                 R"(,"data":[{"b64_json":")", pixel, R"("}]})")),
                 tokens_in_bytes(body.size()));
}

// --- about the server -----------------------------------------------------------------------

Answer Site::root(const Request&, std::string_view) {
    const bool ollama = options_.api == Api::ollama;
    return Document{.content_type = "text/plain; charset=utf-8",
                    .body = ollama ? "Ollama is running" : "sluice-sim is running"};
}

Answer Site::health(const Request&, std::string_view) {
    if (options_.api == Api::vllm) return document({});
    return document(R"({"status":"ok"})");
}

Answer Site::props(const Request&, std::string_view) {
    return document(server_props(options_));
}

Answer Site::slot_list(const Request& request, std::string_view) {
    if (request.target.find("fail_on_no_slot=1") != std::string::npos && !slots_.one_free()) {
        Fault fault{
            .status = 503, .message = "no slot available", .llama_type = "unavailable_error"};
        return refusal(options_.api, Kind::chat, fault);
    }
    return document(slots_.listing());
}

Answer Site::models(const Request&, std::string_view) {
    return document(model_list(options_));
}

Answer Site::model_by_id(const Request& request, std::string_view) {
    const auto name = request.path().substr(std::string_view("/v1/models/").size());
    auto entry = model_entry(options_, name);
    if (entry.empty()) return refusal(options_.api, Kind::chat, unknown_model(name));
    return document(std::move(entry));
}

Answer Site::version(const Request&, std::string_view) {
    return document(R"({"version":")" SLUICE_VERSION R"("})");
}

Answer Site::tags(const Request&, std::string_view) {
    return document(ollama_tags(options_));
}

// --- about the simulation -------------------------------------------------------------------

Answer Site::sim_stats(const Request&, std::string_view) {
    std::string last;
    llm::append_json_escaped(last, stats_.last_line);
    return document(
        joined(R"({"requests":)", stats_.requests, R"(,"posts":)", stats_.posts, R"(,"active":)",
               slots_.working(), R"(,"active_max":)", slots_.working_most(), R"(,"waiting":)",
               slots_.waiting(), R"(,"waiting_max":)", slots_.waiting_most(), R"(,"cancelled":)",
               stats_.cancelled, R"(,"completed":)", stats_.completed, R"(,"failed":)",
               stats_.failed, R"(,"connections":)", stats_.connections, R"(,"reused":)",
               stats_.reused, R"(,"open":)", stats_.open, R"(,"last_request":")", last, R"("})"));
}

Answer Site::sim_last_request(const Request&, std::string_view) {
    return Document{.content_type = "application/octet-stream", .body = stats_.last_bytes};
}

}  // namespace sluice::model_sim
