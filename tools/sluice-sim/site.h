// Site: what all connections share: the options, the counters, and how a request is understood.
//
// It decides, it does no I/O: a complete request becomes a Document to send or a Job to work on.
#pragma once

#include "faults.h"
#include "job.h"
#include "options.h"
#include "slots.h"
#include "sluice/base/prng.h"
#include "sluice/http/head.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace sluice::model_sim {

// Requests to /sim/ are counted nowhere.
struct Stats {
    std::uint64_t requests = 0;
    std::uint64_t posts = 0;        // those of them that ask for work
    std::uint64_t completed = 0;    // answered to the last byte
    std::uint64_t cancelled = 0;    // jobs whose client left before that
    std::uint64_t failed = 0;       // broken off by the script
    std::uint64_t connections = 0;  // that carried a request
    std::uint64_t reused = 0;       // requests that were not the first on their connection
    std::uint64_t open = 0;         // connections now
    std::string last_line;          // method and target of the last request
    std::string last_bytes;         // all of it, as it came
};

// What is kept of a request's head.
struct Request {
    http::Method method = http::Method::other;
    std::string method_text;
    std::string target;
    std::string origin;  // for CORS
    bool keep_alive = false;
    Script script;      // as the program's flags and the request's x-sim say
    std::string wrong;  // what is wrong with its x-sim, if anything

    std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
    // About the simulation itself, so that looking changes nothing.
    bool internal() const { return path().starts_with("/sim/"); }
};

using Answer = std::variant<Document, Job>;

class Site {
public:
    // Both must outlive it. `start`: when the model began to load.
    Site(const Options& options, const Slots& slots, Instant start);

    const Options& options() const { return options_; }
    Stats& stats() { return stats_; }

    // Reads what matters of a head. Counts towards --fail-every.
    Request request_of(const http::Head& head);
    // Understands a complete request.
    Answer answer(const Request& request, std::string_view body, Instant now);

private:
    using Handler = Answer (Site::*)(const Request& request, std::string_view body);
    struct Route {
        std::string_view path;
        http::Method method;
        Handler handler;
    };
    static const Route* find(std::string_view path);

    Answer wrong_method(const Request& request, const Route& route);
    std::optional<Answer> struck(Kind kind, const Request& request);
    template <Kind kind>
    Answer generate(const Request& request, std::string_view body);
    template <auto work>
    Answer compute(const Request& request, std::string_view body);
    Answer later(const Request& request, Document document, std::uint64_t prompt_tokens);

    Answer root(const Request& request, std::string_view body);
    Answer health(const Request& request, std::string_view body);
    Answer props(const Request& request, std::string_view body);
    Answer slot_list(const Request& request, std::string_view body);
    Answer models(const Request& request, std::string_view body);
    Answer model_by_id(const Request& request, std::string_view body);
    Answer version(const Request& request, std::string_view body);
    Answer tags(const Request& request, std::string_view body);
    Answer count_tokens(const Request& request, std::string_view body);
    Answer transcription(const Request& request, std::string_view body);
    Answer speech(const Request& request, std::string_view body);
    Answer image(const Request& request, std::string_view body);
    Answer sim_stats(const Request& request, std::string_view body);
    Answer sim_last_request(const Request& request, std::string_view body);

    const Options& options_;
    const Slots& slots_;
    Instant ready_at_;
    Prng ids_;
    Stats stats_;
    std::uint64_t counted_ = 0;  // requests that --fail-every counts
};

}  // namespace sluice::model_sim
