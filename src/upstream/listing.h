// Listing: what one model server says that it serves. Asked at the start and every second from
// then on, in its own time: no server waits for another one that is slow.
//
// A round asks for the list of models, and then for what this kind of server says elsewhere: a
// llama-server's /props, Ollama's /api/tags, /api/ps and /api/version, LM Studio's /api/v0/models;
// and Ollama's /api/show for those whose context none of its lists tells, a few in a round.
// None of that loads a model or makes a token. Where /v1/models is not served, /models is tried: a
// server that has its list there has all of its paths without /v1 (infinity-emb).
#pragma once

#include "sluice/io/loop.h"
#include "sluice/llm/model_list.h"
#include "sluice/upstream/fetch.h"
#include "sluice/upstream/watch_plan.h"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::upstream {

class Listing final : public io::Actor {
public:
    // `watch` is made ready when a round is over.
    Listing(io::Loop& loop, io::Actor& watch, WatchPlan::Server planned, std::string hop_line);
    ~Listing();

    // Begins a round now, unless one is going on.
    void ask();
    void stop();
    bool stopped() const { return !next_.armed() && fetch_.idle(); }

    void advance() override;
    void bury() override {}

    const WatchPlan::Server& plan() const { return plan_; }
    Kind kind() const { return kind_; }
    // What it lists, with all that it says of it.
    const std::vector<llm::ModelEntry>& entries() const { return entries_; }
    const llm::ServerProps& props() const { return props_; }
    bool without_version() const { return without_version_; }
    const std::string& ollama_version() const { return ollama_version_; }
    // It has answered, or will not.
    bool heard() const { return heard_; }
    bool answers() const { return answers_; }
    // It answers, but has told of no model that it serves.
    bool lists_nothing() const { return heard_ && answers_ && entries_.empty(); }
    // How it answered for its list; 0: it did not.
    int list_status() const { return list_status_; }
    // Why its list is not known now, in words for people; empty: it is.
    const std::string& trouble() const { return trouble_; }
    // It is this gateway itself, or one like it that was found.
    bool is_sluice() const { return is_sluice_; }

private:
    // What a kind of server is asked beside its list.
    struct Question {
        std::string_view path;
        void (Listing::*learn)(std::string_view body);
        bool each_round;  // else where the list has changed, and from time to time
    };
    static std::span<const Question> questions_for(Kind kind);

    enum class Step : std::uint8_t { rest, list, other_list, question, show };

    void begin_round();
    void end_round();
    void ask_for_list(Step step, bool without_version);
    bool may_have_other_list() const;
    void ask_for(std::string_view path, std::string_view json = {});
    void ask_next();
    bool ask_to_show();
    void learn_shown();
    void forget_shown();
    std::string digest_of(std::string_view id) const;
    bool take_list();
    void learn_list(const FetchAnswer& answer);
    void give_up_list(std::string trouble);
    void learn_props(std::string_view body);
    void learn_tags(std::string_view body);
    void learn_running(std::string_view body);
    void learn_version(std::string_view body);
    void compose();

    io::Loop& loop_;
    io::Actor& watch_;
    WatchPlan::Server plan_;
    Fetch fetch_;
    io::Timer next_;
    Step step_ = Step::rest;
    std::size_t question_ = 0;
    Kind kind_ = Kind::unknown;
    std::vector<llm::ModelEntry> listed_;   // by its list
    std::vector<llm::ModelEntry> details_;  // by its other one
    std::vector<llm::ModelEntry> running_;  // by Ollama's /api/ps
    // By /api/show, of the model that had this digest.
    struct Shown {
        std::string digest;
        llm::ModelEntry said;
    };
    std::map<std::string, Shown> shown_;
    std::string asked_to_show_;
    int shows_left_ = 0;  // in this round
    std::vector<llm::ModelEntry> entries_;
    llm::ServerProps props_;
    std::string ollama_version_;
    std::string trouble_;
    Instant details_asked_;
    int list_status_ = 0;
    bool list_changed_ = false;
    bool without_version_ = false;
    bool asks_without_version_ = false;
    bool heard_ = false;
    bool answers_ = false;
    bool is_sluice_ = false;
    bool due_ = false;
    bool stopping_ = false;
};

}  // namespace sluice::upstream
