// Catalog: which models there are and where; an immutable snapshot once sealed.
//
// Built on the shard that watches the backends (see Watch) and handed to every shard as a whole.
// An exchange keeps the snapshot it was routed by until it ends.
#pragma once

#include "sluice/config/model_settings.h"
#include "sluice/config/wildcard.h"
#include "sluice/llm/model_entry.h"
#include "sluice/llm/model_forms.h"
#include "sluice/policy/failure.h"
#include "sluice/upstream/endpoint.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice::upstream {

// One place where a model is served.
struct Target {
    // Shared: endpoints outlive the catalogs that name them, and catalogs come and go on all
    // shards.
    std::shared_ptr<const Endpoint> endpoint;
    std::string upstream_name;  // what the server calls the model; empty: as the request names it
    Kind kind = Kind::unknown;
    config::BackendSetting setting;
    // Dense, and the same in every catalog: of a server and what it calls the model.
    std::uint32_t id = 0;
    // Targets that one engine serves share its slots: they have the same pool, of so many.
    std::uint32_t slot_pool = 0;
    unsigned slots = 0;            // 0: unbounded, or unknown
    bool without_version = false;  // its paths have no /v1 in front
};

struct Model;

// What a name leads to.
struct Match {
    const Model* model = nullptr;  // null: to nothing
    // That of the names a wildcard stands for which a server is asked for, unless it has one of its
    // own. Empty where the model is none.
    std::string name;
};

// The models to turn to when this one cannot answer, in order.
struct Fallbacks {
    std::vector<Match> any;
    // For a cause; where one is empty, `any` serves.
    std::vector<Match> context_length;
    std::vector<Match> policy_block;
    std::vector<Match> rate_limit;
    std::vector<Match> overload;

    const std::vector<Match>& of(policy::FallbackChain chain) const;
};

struct Model {
    std::string name;              // or a wildcard
    std::uint32_t id = 0;          // dense, and the same in every catalog
    config::ModelSetting setting;  // its backends are the targets
    std::vector<Target> targets;
    Fallbacks fallbacks;
    llm::ModelEntry entry;             // as its first backend lists it
    std::uint64_t context = 0;         // tokens: of the backend that takes most; 0: not known
    std::vector<std::string> aliases;  // those that clients are told of; known once it is sealed

    // Another place than the one at hand might answer.
    bool has_others() const { return targets.size() > 1 || !setting.fallback.empty(); }
};

using config::is_wildcard;

// What Ollama takes for the same name: in small letters, without the tag `:latest` and without
// `library/` and its registry in front.
std::string plain_name(std::string_view name);

class Catalog {
public:
    // Adds a place where `name` is served; the first one gives the entry in the list.
    Model& add(std::string_view name, const llm::ModelEntry& entry, Target target);
    // A path that is no model's, by its number in the settings: in their order, all of them.
    Model& add_route(std::string_view path);
    // How far a name may be from that of what it leads to.
    enum class Likeness : std::uint8_t {
        exact,        // as it stands
        as_ollama,    // or as Ollama finds it, see plain_name()
        by_wildcard,  // or one that a wildcard stands for
    };
    // `alias` names `model` too; false if there is no such model, or the name is taken. One that is
    // not `listed` can be asked for all the same.
    bool add_alias(std::string_view alias, std::string_view model, bool listed = true,
                   Likeness likeness = Likeness::by_wildcard);
    // A server that has not said yet, since the start, what it serves.
    void await(const Endpoint& endpoint);
    // Computes the texts below; nothing is added any more.
    void seal();

    // By name or alias, else as Ollama finds it (see plain_name()), else by the wildcard that fits
    // it best; null if there is none.
    const Model* find(std::string_view name) const { return look_up(name).model; }
    // The same with what to ask a server for; allocates for what is no name as it stands.
    Match match(std::string_view name) const;
    // For requests that name no model, or one that there is not; null if there is none.
    const Match& default_model() const { return default_model_; }
    // A name that a model, an alias or a wildcard has by now.
    void set_default_model(std::string_view name);
    // Null while the catalog knows of no backends at all.
    const Model* route(std::size_t number) const {
        return number < routes_.size() ? routes_[number].get() : nullptr;
    }
    const std::vector<std::unique_ptr<Model>>& routes() const { return routes_; }
    const std::vector<std::unique_ptr<Model>>& models() const { return models_; }
    bool empty() const { return models_.empty(); }
    // There may be more than is known yet.
    bool awaits_any() const { return !awaited_.empty(); }
    bool awaits(const Endpoint& endpoint) const {
        return std::ranges::find(awaited_, endpoint.id) != awaited_.end();
    }
    const std::string& awaited() const { return awaited_names_; }  // "URL, URL": for error texts

    // The names that clients are told of, models before aliases.
    std::vector<llm::ListedModel> listed() const;
    // One that can be asked for, under the name that it was asked by.
    static llm::ListedModel listed_as(std::string_view name, const Model& model);
    const std::string& list_json() const { return list_json_; }  // the answer to GET /v1/models
    // Changes with everything that clients are told of the models.
    std::string told() const;
    // What the servers that speak Ollama's API say they are; empty: there are none.
    void set_ollama_version(std::string version) { ollama_version_ = std::move(version); }
    const std::string& ollama_version() const { return ollama_version_; }
    const std::string& names() const { return names_; }            // "a, b, c": for people
    const std::string& names_json() const { return names_json_; }  // ["a","b","c"]: for errors

private:
    std::vector<Match> all_of(const std::vector<std::string>& names) const;

    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>{}(text);
        }
    };

    struct Named {
        Model* model = nullptr;
        std::string meant;  // by an alias of a wildcard's: one of its names
    };
    struct Found {
        Model* model = nullptr;
        std::string_view meant;
    };
    struct Alias {
        std::string name;
        Model* model = nullptr;
        bool listed = true;
    };

    Found look_up(std::string_view name, Likeness likeness = Likeness::by_wildcard) const;
    void add_name(std::string_view name, Named named);

    std::vector<std::unique_ptr<Model>> models_;
    std::vector<std::unique_ptr<Model>> routes_;
    std::unordered_map<std::string, Named, Hash, std::equal_to<>> by_name_;
    std::unordered_map<std::string, const Named*, Hash, std::equal_to<>> by_plain_name_;
    std::vector<Alias> aliases_;       // in the order of adding
    config::WildcardTable wildcards_;  // numbers are places in models_
    Match default_model_;
    std::vector<std::uint32_t> awaited_;  // ids of endpoints
    std::string awaited_names_;
    std::string ollama_version_;
    std::string list_json_;
    std::string names_;
    std::string names_json_ = "[]";
};

}  // namespace sluice::upstream
