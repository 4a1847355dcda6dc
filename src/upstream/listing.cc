#include "listing.h"

#include "sluice/base/assert.h"
#include "sluice/llm/errors.h"

#include <algorithm>
#include <utility>

namespace sluice::upstream {
namespace {

// A model that was exchanged for another one is to be listed within two seconds.
constexpr Duration round_gap = Duration::seconds(1);
// Where nobody was ever found there is nothing to exchange.
constexpr Duration round_gap_nobody = Duration::millis(1500);
// What hardly ever changes while the list stays the same.
constexpr Duration details_gap = Duration::seconds(10);
constexpr Duration answer_timeout = Duration::seconds(2);
// More would keep the list from being asked for in time.
constexpr int shows_in_round = 8;
constexpr std::string_view list_path = "/v1/models";
constexpr std::string_view list_path_without_version = "/models";

Kind kind_of(const FetchAnswer& answer, const std::vector<llm::ModelEntry>& listed) {
    if (answer.server == "llama.cpp") return Kind::llama_server;
    const std::string_view owner = listed.empty() ? "" : std::string_view(listed[0].owned_by);
    if (owner == "llamacpp") return Kind::llama_server;
    if (owner == "vllm") return Kind::vllm;
    if (owner == "library") return Kind::ollama;
    if (owner == "organization_owner") return Kind::lm_studio;
    return Kind::unknown;
}

// Keeps what it said before of the time where it says the same as before.
void keep_times(std::vector<llm::ModelEntry>& now, const std::vector<llm::ModelEntry>& before) {
    for (auto& entry : now) {
        const auto known = std::ranges::find(before, entry.id, &llm::ModelEntry::id);
        if (known == before.end()) continue;
        if (llm::says_the_same(entry, *known)) entry.created = known->created;
        // Each use puts it off; to the minute is news enough.
        constexpr std::size_t minute = sizeof("2026-11-30T12:34") - 1;
        if (entry.expires_at.substr(0, minute) == known->expires_at.substr(0, minute))
            entry.expires_at = known->expires_at;
    }
}

}  // namespace

Listing::Listing(io::Loop& loop, io::Actor& watch, WatchPlan::Server planned, std::string hop_line)
    : loop_(loop),
      watch_(watch),
      plan_(std::move(planned)),
      fetch_(loop, *this),
      next_(this, [](void* self) { static_cast<Listing*>(self)->ask(); }),
      heard_(plan_.generic()) {
    SLUICE_ASSERT(plan_.endpoint != nullptr);
    fetch_.add_line(std::move(hop_line));
}

Listing::~Listing() {
    SLUICE_ASSERT(stopped());
}

void Listing::ask() {
    if (stopping_ || plan_.generic()) return;
    due_ = true;
    loop_.make_ready(*this);
}

void Listing::stop() {
    stopping_ = true;
    loop_.timers().disarm(next_);
    fetch_.stop();
}

void Listing::advance() {
    if (stopping_ || !fetch_.idle()) return;
    switch (std::exchange(step_, Step::rest)) {
        case Step::rest:
            if (std::exchange(due_, false)) begin_round();
            return;
        case Step::list:
            if (take_list()) return ask_next();
            if (!may_have_other_list()) return end_round();
            return ask_for_list(Step::other_list, !asks_without_version_);
        case Step::other_list: {
            // Whoever has neither is told of by what it said first.
            const std::string trouble = trouble_;
            const int status = list_status_;
            if (take_list()) return ask_next();
            trouble_ = trouble;
            list_status_ = status;
            return end_round();
        }
        case Step::question:
            SLUICE_ASSERT(fetch_.outcome().has_value());
            SLUICE_ASSERT(question_ < questions_for(kind_).size());
            if (const auto& outcome = fetch_.outcome();
                outcome->ok() && outcome->value().status == 200)
                (this->*questions_for(kind_)[question_].learn)(outcome->value().body);
            ++question_;
            return ask_next();
        case Step::show:
            learn_shown();
            return ask_next();
    }
}

void Listing::begin_round() {
    SLUICE_ASSERT(step_ == Step::rest);
    SLUICE_ASSERT(!plan_.generic());  // a route's backend is not asked what it serves
    loop_.timers().disarm(next_);
    // Whoever starts a gateway waits for the first round.
    shows_left_ = heard_ ? shows_in_round : 0;
    ask_for_list(Step::list, without_version_);
}

void Listing::ask_for_list(Step step, bool without_version) {
    step_ = step;
    asks_without_version_ = without_version;
    ask_for(without_version ? list_path_without_version : list_path);
}

void Listing::ask_for(std::string_view path, std::string_view json) {
    SLUICE_ASSERT(step_ != Step::rest);  // the answer will be looked at
    fetch_.start(*plan_.endpoint, path, plan_.key.value(), answer_timeout,
                 llm::model_list_bytes_max, Fetch::Until::end, json);
}

void Listing::end_round() {
    SLUICE_ASSERT(step_ == Step::rest && !next_.armed());
    SLUICE_ASSERT(!stopping_);
    compose();
    heard_ = true;
    const bool nobody = plan_.origin == WatchPlan::Origin::discovered && entries_.empty();
    loop_.timers().arm(next_, loop_.now() + (nobody ? round_gap_nobody : round_gap));
    loop_.make_ready(watch_);
}

// --- the list -------------------------------------------------------------------------------

// What was asked for is not there, or is something else.
bool Listing::may_have_other_list() const {
    constexpr int ok = 200;
    constexpr int not_found = 404;
    constexpr int method_not_allowed = 405;
    SLUICE_ASSERT(!trouble_.empty());
    return !is_sluice_ &&
           (list_status_ == ok || list_status_ == not_found || list_status_ == method_not_allowed);
}

// False: it has none.
bool Listing::take_list() {
    const auto& outcome = fetch_.outcome();
    SLUICE_ASSERT(outcome.has_value());
    is_sluice_ = false;
    answers_ = outcome->ok();
    list_status_ = outcome->ok() ? outcome->value().status : 0;
    if (outcome->ok())
        learn_list(outcome->value());
    else
        give_up_list(outcome->error().message);
    question_ = 0;
    return trouble_.empty();
}

void Listing::learn_list(const FetchAnswer& answer) {
    constexpr int loop_detected = 508;
    is_sluice_ = answer.server == "sluice";
    if (is_sluice_ && answer.status == loop_detected)
        return give_up_list("is this gateway itself, so that its requests come round: take it out");
    const std::string asked =
        "GET " + std::string(asks_without_version_ ? list_path_without_version : list_path);
    if (answer.status != 200)
        return give_up_list(asked + " answered " + std::to_string(answer.status));
    // Whoever names one as a backend means it; to find one is to serve what is served already.
    if (is_sluice_ && plan_.origin != WatchPlan::Origin::configured)
        return give_up_list("is a Sluice itself");
    is_sluice_ = false;
    auto listed = llm::parse_model_list(answer.body);
    if (!listed) return give_up_list(asked + ": " + listed.error().message);
    without_version_ = asks_without_version_;
    keep_times(*listed, listed_);
    list_changed_ = *listed != listed_;
    listed_ = std::move(*listed);
    const Kind kind = kind_of(answer, listed_);
    if (kind != std::exchange(kind_, kind)) {
        // Another server: nothing that the one before said holds.
        details_.clear();
        running_.clear();
        shown_.clear();
        props_ = {};
        ollama_version_.clear();
        list_changed_ = true;
    }
    trouble_.clear();
}

void Listing::give_up_list(std::string trouble) {
    SLUICE_ASSERT(!trouble.empty());  // without words its list would count as known
    if (plan_.origin != WatchPlan::Origin::configured) listed_.clear();
    trouble_ = std::move(trouble);
}

// --- what it says elsewhere -----------------------------------------------------------------

std::span<const Listing::Question> Listing::questions_for(Kind kind) {
    static constexpr Question llama[] = {{"/props", &Listing::learn_props, false}};
    static constexpr Question ollama[] = {{"/api/tags", &Listing::learn_tags, false},
                                          {"/api/version", &Listing::learn_version, false},
                                          {"/api/ps", &Listing::learn_running, true}};
    static constexpr Question lm_studio[] = {{"/api/v0/models", &Listing::learn_tags, false}};
    switch (kind) {
        case Kind::llama_server:
            return llama;
        case Kind::ollama:
            return ollama;
        case Kind::lm_studio:
            return lm_studio;
        case Kind::vllm:
        case Kind::unknown:
            return {};
    }
    return {};
}

void Listing::ask_next() {
    SLUICE_ASSERT(trouble_.empty());  // who has no list is asked nothing more
    const auto questions = questions_for(kind_);
    SLUICE_ASSERT(question_ <= questions.size());
    if (question_ == 0 && (list_changed_ || loop_.now() - details_asked_ >= details_gap)) {
        list_changed_ = true;
        details_asked_ = loop_.now();
    }
    while (question_ < questions.size() && !questions[question_].each_round && !list_changed_)
        ++question_;
    if (question_ == questions.size()) {
        list_changed_ = false;
        if (!ask_to_show()) end_round();
        return;
    }
    step_ = Step::question;
    ask_for(questions[question_].path);
}

// False: there is nothing to ask.
bool Listing::ask_to_show() {
    if (kind_ != Kind::ollama || shows_left_ == 0) return false;
    const auto next = std::ranges::find_if(entries_, [this](const llm::ModelEntry& entry) {
        return entry.context == 0 && !shown_.contains(entry.id);
    });
    if (next == entries_.end()) return false;
    SLUICE_ASSERT(shows_left_ > 0);
    --shows_left_;
    asked_to_show_ = next->id;
    std::string json = R"({"model":")";
    llm::append_json_escaped(json, asked_to_show_);
    step_ = Step::show;
    ask_for("/api/show", json + "\"}");
    return true;
}

// What it does not tell is not asked for again; who does not answer is, in another round.
void Listing::learn_shown() {
    const auto& outcome = fetch_.outcome();
    SLUICE_ASSERT(outcome.has_value());
    SLUICE_ASSERT(kind_ == Kind::ollama);
    if (!outcome->ok()) {
        shows_left_ = 0;
        return;
    }
    Shown& shown = shown_[asked_to_show_];
    shown.digest = digest_of(asked_to_show_);
    if (outcome->value().status == 200) shown.said = llm::parse_shown_model(outcome->value().body);
}

// What it said of models that are no longer there, or have become others.
void Listing::forget_shown() {
    std::erase_if(shown_, [this](const auto& shown) {
        return digest_of(shown.first) != shown.second.digest;
    });
}

// By its list of what it has; what is not there has none.
std::string Listing::digest_of(std::string_view id) const {
    const auto found = std::ranges::find(details_, id, &llm::ModelEntry::id);
    return found == details_.end() ? std::string() : found->digest;
}

// Where it does not tell, what it told before stays.
void Listing::learn_props(std::string_view body) {
    if (auto props = llm::parse_server_props(body)) props_ = std::move(*props);
}

void Listing::learn_tags(std::string_view body) {
    auto tags = llm::parse_model_list(body);
    if (!tags) return;
    details_ = std::move(*tags);
    forget_shown();
}

void Listing::learn_running(std::string_view body) {
    auto running = llm::parse_model_list(body);
    if (!running) return;
    // The size in this list is not that of a file.
    for (auto& entry : *running)
        entry.size_running = std::exchange(entry.size, 0);
    keep_times(*running, running_);
    running_ = std::move(*running);
}

void Listing::learn_version(std::string_view body) {
    ollama_version_ = llm::parse_version(body);
}

void Listing::compose() {
    entries_ = listed_;
    for (auto& entry : entries_) {
        if (kind_ == Kind::ollama) {
            const auto running = std::ranges::find(running_, entry.id, &llm::ModelEntry::id);
            entry.loaded = running != running_.end();
            if (running != running_.end()) llm::describe(entry, *running);
        }
        if (const auto more = std::ranges::find(details_, entry.id, &llm::ModelEntry::id);
            more != details_.end())
            llm::describe(entry, *more);
        if (const auto shown = shown_.find(entry.id); shown != shown_.end())
            llm::describe(entry, shown->second.said);
        if (kind_ != Kind::llama_server || props_.router) continue;
        if (entry.input_modalities.empty()) entry.input_modalities = props_.input_modalities;
        if (entry.format.empty()) entry.format = "gguf";
        if (!entry.loaded.has_value()) entry.loaded = !props_.sleeping;
    }
}

}  // namespace sluice::upstream
