#include "sluice/upstream/catalog.h"

#include <utility>

namespace sluice::upstream {
namespace {

// Names in an error text; past that "and N more", or the text itself becomes the problem.
constexpr std::size_t names_in_text_max = 20;

}  // namespace

void Catalog::add(std::string_view name, const llm::ModelEntry& entry, Target target) {
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
    for (const auto& model : models_) {
        listed.push_back({model->name, &model->entry});
        if (named == names_in_text_max) continue;
        if (named++ > 0) names_ += ", ";
        names_ += model->name;
    }
    if (models_.size() > named)
        names_ += " and " + std::to_string(models_.size() - named) + " more";
    list_json_ = llm::merged_model_list(listed);
}

const Model* Catalog::find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
}

}  // namespace sluice::upstream
