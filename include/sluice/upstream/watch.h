// Watch: finds out which models the backends serve, and publishes the catalog when it changes.
//
// Runs on one shard. Asks every known server what it lists (which loads no model and generates
// no token) at start and every second after that; see src/upstream/listing.h. What the settings
// name is served from the first moment, and what a server says is published as soon as it has,
// whatever others do. A configured backend that does not answer keeps its last list, so that its
// models answer "backend down" and not "no such model"; a discovered one that went away is
// forgotten.
#pragma once

#include "sluice/config/settings.h"
#include "sluice/io/loop.h"
#include "sluice/upstream/catalog.h"
#include "sluice/upstream/watch_plan.h"

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice::upstream {

class Listing;

// What was found at a place.
struct Sighting {
    std::string url;
    std::string asked;  // where its list is: "http://127.0.0.1:8080/v1/models"
    WatchPlan::Origin origin = WatchPlan::Origin::configured;
    Kind kind = Kind::unknown;
    std::vector<std::string> models;  // that it lists
    bool lists_nothing = false;       // it answers, and tells of none
    std::string trouble;              // why it is not known what it serves; empty: it is
    std::string advice;               // what to write for one that lists nothing; may be empty
};

class Watch final : public io::Actor {
public:
    // Called at the start, then whenever the catalog has changed. Each server has been heard of
    // when one comes that awaits none.
    using Publish = void (*)(void* owner, std::shared_ptr<const Catalog> catalog);

    Watch(io::Loop& loop, WatchPlan plan, void* owner, Publish publish);
    ~Watch();

    void start();
    void stop();
    bool stopped() const;

    // A sentence for each server that was configured and did not answer when it was asked last.
    std::vector<std::string> complaints() const;
    // For each that answers and tells of no model, configured or discovered: what to write.
    std::vector<std::string> hints() const;
    // For each whose models the settings name and that refuses its key, or that there is none.
    std::vector<std::string> refusals() const;
    // For each alias, and the default model, that comes to nothing with what is known now.
    const std::vector<std::string>& idle_names() const { return idle_names_; }
    // Every server that is asked, in the order of the plan.
    std::vector<Sighting> sightings() const;

    void advance() override;
    void bury() override {}

private:
    // Dense numbers for names, which keep theirs from catalog to catalog.
    class Numbers {
    public:
        std::uint32_t of(const std::string& name) {
            return numbers_.try_emplace(name, static_cast<std::uint32_t>(numbers_.size()))
                .first->second;
        }

    private:
        std::unordered_map<std::string, std::uint32_t> numbers_;
    };

    void publish_news();
    void add_models(Catalog& catalog, const Listing& server);
    void add_model(Catalog& catalog, const Listing& server, const WatchPlan::Named& named,
                   const llm::ModelEntry& entry);
    void add_given_aliases(Catalog& catalog) const;
    void find_idle_names(const Catalog& catalog);
    bool is_given_alias(std::string_view name) const;
    void add_aliases(Catalog& catalog, const Listing& server) const;
    void add_routes(Catalog& catalog);
    std::shared_ptr<const Catalog> build();

    io::Loop& loop_;
    void* owner_;
    Publish publish_;
    std::vector<std::unique_ptr<Listing>> servers_;
    std::vector<config::AliasSetting> aliases_;
    std::vector<config::ModelSetting> models_;
    config::ModelSetting defaults_;
    std::string default_model_;
    std::vector<std::string> idle_names_;
    std::vector<WatchPlan::Route> routes_;
    config::QueueSetting route_queue_;
    Numbers model_numbers_;
    Numbers target_numbers_;
    Numbers slot_pool_numbers_;
    std::string published_;  // what the last catalog said, to see a change
    bool stopping_ = false;
};

}  // namespace sluice::upstream
