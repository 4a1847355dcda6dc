#include "sluice/upstream/catalog.h"

#include "sluice/llm/errors.h"

#include <algorithm>
#include <span>
#include <utility>

namespace sluice::upstream {
namespace {

// Names in an error text; past that "and N more", or the text itself becomes the problem.
constexpr std::size_t names_in_text_max = 20;
constexpr std::size_t awaited_in_text_max = 3;

// A wildcard is a name that nobody can ask for.
bool is_listed(const Model& model) {
    return !is_wildcard(model.name) && model.setting.listed;
}

bool take_off(std::string& name, std::string_view begin) {
    if (!name.starts_with(begin)) return false;
    name.erase(0, begin.size());
    return true;
}

}  // namespace

std::string plain_name(std::string_view name) {
    std::string plain(name);
    for (char& c : plain)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    take_off(plain, "registry.ollama.ai/");
    take_off(plain, "library/");
    if (constexpr std::string_view tag = ":latest"; plain.ends_with(tag))
        plain.resize(plain.size() - tag.size());
    return plain;
}

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
        add_name(name, {models_.back().get(), {}});
        found = by_name_.find(name);
    }
    SLUICE_ASSERT(found != by_name_.end());
    Model& model = *found->second.model;
    model.context = std::max(model.context, target.setting.context);
    model.targets.push_back(std::move(target));
    return model;
}

Model& Catalog::add_route(std::string_view path) {
    SLUICE_ASSERT(list_json_.empty());
    routes_.push_back(std::make_unique<Model>());
    routes_.back()->name = path;
    return *routes_.back();
}

bool Catalog::add_alias(std::string_view alias, std::string_view model, bool listed,
                        Likeness likeness) {
    SLUICE_ASSERT(list_json_.empty());
    const Found found = look_up(model, likeness);
    if (found.model == nullptr || by_name_.contains(alias)) return false;
    add_name(alias, {found.model, std::string(found.meant)});
    aliases_.push_back({std::string(alias), found.model, listed});
    return true;
}

// The first of several that Ollama would take for one keeps the name.
void Catalog::add_name(std::string_view name, Named named) {
    SLUICE_ASSERT(named.model != nullptr);
    const auto [added, is_new] = by_name_.emplace(std::string(name), std::move(named));
    SLUICE_ASSERT(is_new);
    if (!is_wildcard(name)) by_plain_name_.try_emplace(plain_name(name), &added->second);
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
    SLUICE_ASSERT(list_json_.empty());
    for (const auto& model : models_)
        model->fallbacks = {.any = all_of(model->setting.fallback.any),
                            .context_length = all_of(model->setting.fallback.context_length),
                            .policy_block = all_of(model->setting.fallback.policy_block),
                            .rate_limit = all_of(model->setting.fallback.rate_limit),
                            .overload = all_of(model->setting.fallback.overload)};
    for (const Alias& alias : aliases_)
        if (alias.listed) alias.model->aliases.push_back(alias.name);
    const auto all = listed();
    names_.clear();
    names_json_ = "[";
    for (const auto& each : std::span(all).first(std::min(all.size(), names_in_text_max))) {
        names_ += names_.empty() ? "" : ", ";
        names_ += each.id;
        names_json_ += names_json_.ends_with('[') ? "\"" : ",\"";
        llm::append_json_escaped(names_json_, each.id);
        names_json_ += '"';
    }
    names_json_ += ']';
    if (all.size() > names_in_text_max)
        names_ += " and " + std::to_string(all.size() - names_in_text_max) + " more";
    list_json_ = llm::openai_list(all);
    SLUICE_ASSERT(!list_json_.empty());  // by which a sealed one is known
}

std::vector<llm::ListedModel> Catalog::listed() const {
    std::vector<llm::ListedModel> all;
    for (const auto& model : models_)
        if (is_listed(*model)) all.push_back(listed_as(model->name, *model));
    for (const Alias& alias : aliases_)
        if (alias.listed) all.push_back(listed_as(alias.name, *alias.model));
    return all;
}

llm::ListedModel Catalog::listed_as(std::string_view name, const Model& model) {
    return {.id = name,
            .entry = &model.entry,
            .aliases = name == model.name ? std::span<const std::string>(model.aliases)
                                          : std::span<const std::string>(),
            .context = model.context};
}

std::string Catalog::told() const {
    SLUICE_ASSERT(!list_json_.empty());
    const auto all = listed();
    return list_json_ + llm::ollama_tags(all) + llm::ollama_running(all) + ollama_version_;
}

Catalog::Found Catalog::look_up(std::string_view name, Likeness likeness) const {
    if (const auto found = by_name_.find(name); found != by_name_.end())
        return {found->second.model, found->second.meant};
    if (likeness == Likeness::exact) return {};
    if (const auto found = by_plain_name_.find(plain_name(name)); found != by_plain_name_.end())
        return {found->second->model, found->second->meant};
    if (likeness == Likeness::as_ollama) return {};
    const std::size_t at = wildcards_.find(name);
    if (at == config::WildcardTable::none) return {};
    SLUICE_ASSERT(at < models_.size());
    return {models_[at].get(), name};
}

Match Catalog::match(std::string_view name) const {
    const Found found = look_up(name);
    SLUICE_ASSERT(found.model != nullptr || found.meant.empty());
    return {found.model, std::string(found.meant)};
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
