// Catalog: which models there are and where; an immutable snapshot once sealed.
//
// Built on the shard that watches the backends (see Watch) and handed to every shard as a whole.
// An exchange keeps the snapshot it was routed by until it ends.
#pragma once

#include "sluice/llm/model_list.h"
#include "sluice/upstream/endpoint.h"

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
    std::string upstream_name;  // what the server calls the model
    Kind kind = Kind::unknown;
};

struct Model {
    std::string name;
    std::vector<Target> targets;
    llm::ModelEntry entry;  // as its first backend lists it
};

class Catalog {
public:
    // Adds a place where `name` is served; the first one gives the entry in the list.
    void add(std::string_view name, const llm::ModelEntry& entry, Target target);
    // `alias` names `model` too; false if there is no such model, or the name is taken.
    bool add_alias(std::string_view alias, std::string_view model);
    // Computes the texts below; nothing is added any more.
    void seal();

    // By name or alias; null if there is none.
    const Model* find(std::string_view name) const;
    const std::vector<std::unique_ptr<Model>>& models() const { return models_; }
    bool empty() const { return models_.empty(); }

    const std::string& list_json() const { return list_json_; }  // the answer to GET /v1/models
    const std::string& names() const { return names_; }          // "a, b, c": for error texts

private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>{}(text);
        }
    };

    std::vector<std::unique_ptr<Model>> models_;
    std::unordered_map<std::string, Model*, Hash, std::equal_to<>> by_name_;
    std::string list_json_;
    std::string names_;
};

}  // namespace sluice::upstream
