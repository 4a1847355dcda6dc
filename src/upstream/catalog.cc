#include "sluice/upstream/catalog.h"

#include "sluice/llm/errors.h"

#include <utility>

namespace sluice::upstream {
namespace {

// Names in an error text; past that "and N more", or the text itself becomes the problem.
constexpr std::size_t names_in_text_max = 20;
constexpr std::size_t awaited_in_text_max = 3;

}  // namespace

const std::vector<Match>& Fallbacks::of(policy::FallbackChain chain) const {
    static const std::vector<Match> none;
    const auto or_any = [this](const std::vector<Match>& models) -> const auto& {
        return models.empty() ? any : models;
    };
    switch (chain) {
        case policy::FallbackChain::none:
            return none;
        case policy::FallbackChain::general:
            return any;
        case policy::FallbackChain::context_length:
            return or_any(context_length);
        case policy::FallbackChain::policy_block:
            return or_any(policy_block);
        case policy::FallbackChain::rate_limit:
            return or_any(rate_limit);
        case policy::FallbackChain::overload:
            return or_any(overload);
    }
    return none;
}

Model& Catalog::add(std::string_view name, const llm::ModelEntry& entry, Target target) {
    SLUICE_ASSERT(target.endpoint != nullptr);
    SLUICE_ASSERT(list_json_.empty());
    auto found = by_name_.find(name);
    if (found == by_name_.end()) {
        // The settings were checked; a wildcard that is not good finds nothing.
        if (is_wildcard(name)) (void)wildcards_.add(name, models_.size());
        models_.push_back(std::make_unique<Model>());
        models_.back()->name = name;
        models_.back()->entry = entry;
        found = by_name_.emplace(std::string(name), Named{models_.back().get(), {}}).first;
    }
    Model& model = *found->second.model;
    model.targets.push_back(std::move(target));
    return model;
}

Model& Catalog::add_route(std::string_view path) {
    SLUICE_ASSERT(list_json_.empty());
    routes_.push_back(std::make_unique<Model>());
    routes_.back()->name = path;
    return *routes_.back();
}

bool Catalog::add_alias(std::string_view alias, std::string_view model) {
    const auto found = by_name_.find(model);
    if (found != by_name_.end()) return by_name_.emplace(std::string(alias), found->second).second;
    const std::size_t at = wildcards_.find(model);
    if (at == config::WildcardTable::none) return false;
    Named named{models_[at].get(), std::string(model)};
    return by_name_.emplace(std::string(alias), std::move(named)).second;
}

void Catalog::await(const Endpoint& endpoint) {
    SLUICE_ASSERT(list_json_.empty());
    if (awaited_.size() < awaited_in_text_max)
        awaited_names_ += (awaited_.empty() ? "" : ", ") + endpoint.url;
    else if (awaited_.size() == awaited_in_text_max)
        awaited_names_ += " and others";
    awaited_.push_back(endpoint.id);
}

void Catalog::seal() {
    std::vector<llm::ListedModel> listed;
    names_.clear();
    names_json_ = "[";
    std::size_t named = 0;
    for (const auto& model : models_) {
        model->fallbacks = {.any = all_of(model->setting.fallback.any),
                            .context_length = all_of(model->setting.fallback.context_length),
                            .policy_block = all_of(model->setting.fallback.policy_block),
                            .rate_limit = all_of(model->setting.fallback.rate_limit),
                            .overload = all_of(model->setting.fallback.overload)};
        if (is_wildcard(model->name)) continue;  // a name that nobody can ask for
        listed.push_back({model->name, &model->entry});
        if (named == names_in_text_max) continue;
        names_ += named > 0 ? ", " : "";
        names_ += model->name;
        names_json_ += named++ > 0 ? ",\"" : "\"";
        llm::append_json_escaped(names_json_, model->name);
        names_json_ += '"';
    }
    names_json_ += ']';
    if (listed.size() > named) names_ += " and " + std::to_string(listed.size() - named) + " more";
    list_json_ = llm::merged_model_list(listed);
}

const Model* Catalog::find(std::string_view name) const {
    const auto found = by_name_.find(name);
    if (found != by_name_.end()) return found->second.model;
    const std::size_t at = wildcards_.find(name);
    return at == config::WildcardTable::none ? nullptr : models_[at].get();
}

Match Catalog::match(std::string_view name) const {
    const auto found = by_name_.find(name);
    if (found != by_name_.end()) return {found->second.model, found->second.meant};
    const std::size_t at = wildcards_.find(name);
    if (at == config::WildcardTable::none) return {};
    return {models_[at].get(), std::string(name)};
}

std::vector<Match> Catalog::all_of(const std::vector<std::string>& names) const {
    std::vector<Match> found;
    for (const auto& name : names)
        if (auto match_of = match(name); match_of.model != nullptr)
            found.push_back(std::move(match_of));
    return found;
}

void Catalog::set_default_model(std::string_view name) {
    default_model_ = match(name);
}

}  // namespace sluice::upstream
