#include "sluice/upstream/catalog.h"

#include <utility>

namespace sluice::upstream {
namespace {

// Names in an error text; past that "and N more", or the text itself becomes the problem.
constexpr std::size_t names_in_text_max = 20;

}  // namespace

const std::vector<const Model*>& Fallbacks::of(policy::FallbackChain chain) const {
    static const std::vector<const Model*> none;
    const auto or_any = [this](const std::vector<const Model*>& models) -> const auto& {
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
        models_.push_back(std::make_unique<Model>());
        models_.back()->name = name;
        models_.back()->entry = entry;
        found = by_name_.emplace(std::string(name), models_.back().get()).first;
    }
    found->second->targets.push_back(std::move(target));
    return *found->second;
}

bool Catalog::add_alias(std::string_view alias, std::string_view model) {
    const auto found = by_name_.find(model);
    if (found == by_name_.end()) return false;
    return by_name_.emplace(std::string(alias), found->second).second;
}

void Catalog::seal() {
    std::vector<llm::ListedModel> listed;
    names_.clear();
    std::size_t named = 0;
    for (std::size_t i = 0; i < models_.size(); ++i) {
        const auto& model = models_[i];
        model->fallbacks = {.any = all_of(model->setting.fallback.any),
                            .context_length = all_of(model->setting.fallback.context_length),
                            .policy_block = all_of(model->setting.fallback.policy_block),
                            .rate_limit = all_of(model->setting.fallback.rate_limit),
                            .overload = all_of(model->setting.fallback.overload)};
        if (is_wildcard(model->name)) {
            // The settings were checked; one that is not good finds nothing.
            (void)wildcards_.add(model->name, i);
            continue;  // a name that nobody can ask for
        }
        listed.push_back({model->name, &model->entry});
        if (named == names_in_text_max) continue;
        if (named++ > 0) names_ += ", ";
        names_ += model->name;
    }
    if (listed.size() > named) names_ += " and " + std::to_string(listed.size() - named) + " more";
    list_json_ = llm::merged_model_list(listed);
}

const Model* Catalog::find(std::string_view name) const {
    const auto found = by_name_.find(name);
    if (found != by_name_.end()) return found->second;
    const std::size_t at = wildcards_.find(name);
    return at == config::WildcardTable::none ? nullptr : models_[at].get();
}

std::vector<const Model*> Catalog::all_of(const std::vector<std::string>& names) const {
    std::vector<const Model*> found;
    for (const auto& name : names)
        if (const auto at = by_name_.find(name); at != by_name_.end()) found.push_back(at->second);
    return found;
}

void Catalog::set_default_model(std::string_view name) {
    const auto found = by_name_.find(name);
    default_model_ = found == by_name_.end() ? nullptr : found->second;
}

}  // namespace sluice::upstream
