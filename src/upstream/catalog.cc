#include "sluice/upstream/catalog.h"

#include "sluice/llm/errors.h"

#include <algorithm>
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
        found = by_name_.emplace(std::string(name), Named{models_.back().get(), {}}).first;
    }
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

bool Catalog::add_alias(std::string_view alias, std::string_view model, bool listed) {
    const auto found = by_name_.find(model);
    Named named;
    if (found != by_name_.end()) {
        named = found->second;
    } else {
        const std::size_t at = wildcards_.find(model);
        if (at == config::WildcardTable::none) return false;
        named = {models_[at].get(), std::string(model)};
    }
    Model* const meant = named.model;
    if (!by_name_.emplace(std::string(alias), std::move(named)).second) return false;
    aliases_.push_back({std::string(alias), meant, listed});
    return true;
}

// The first of several that Ollama would take for one keeps the name.
void Catalog::add_plain(const std::string& name) {
    if (!is_wildcard(name))
        by_plain_name_.try_emplace(plain_name(name), &by_name_.find(name)->second);
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
    names_.clear();
    names_json_ = "[";
    std::size_t named = 0;
    std::size_t known = 0;
    for (const auto& model : models_) {
        model->fallbacks = {.any = all_of(model->setting.fallback.any),
                            .context_length = all_of(model->setting.fallback.context_length),
                            .policy_block = all_of(model->setting.fallback.policy_block),
                            .rate_limit = all_of(model->setting.fallback.rate_limit),
                            .overload = all_of(model->setting.fallback.overload)};
        add_plain(model->name);
        if (!is_listed(*model)) continue;
        ++known;
        if (named == names_in_text_max) continue;
        names_ += named > 0 ? ", " : "";
        names_ += model->name;
        names_json_ += named++ > 0 ? ",\"" : "\"";
        llm::append_json_escaped(names_json_, model->name);
        names_json_ += '"';
    }
    names_json_ += ']';
    if (known > named) names_ += " and " + std::to_string(known - named) + " more";
    for (const Alias& alias : aliases_) {
        add_plain(alias.name);
        if (alias.listed) alias.model->aliases.push_back(alias.name);
    }
    list_json_ = llm::openai_list(listed());
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
    const auto all = listed();
    return list_json_ + llm::ollama_tags(all) + llm::ollama_running(all) + ollama_version_;
}

Catalog::Found Catalog::look_up(std::string_view name) const {
    if (const auto found = by_name_.find(name); found != by_name_.end())
        return {found->second.model, found->second.meant};
    if (const auto found = by_plain_name_.find(plain_name(name)); found != by_plain_name_.end())
        return {found->second->model, found->second->meant};
    const std::size_t at = wildcards_.find(name);
    if (at == config::WildcardTable::none) return {};
    return {models_[at].get(), name};
}

Match Catalog::match(std::string_view name) const {
    const Found found = look_up(name);
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
