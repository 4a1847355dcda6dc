#include "names.h"

#include "sluice/base/assert.h"
#include "sluice/config/wildcard.h"
#include "text.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace sluice::config {
namespace {

constexpr std::size_t none = WildcardTable::none;

// Who serves a name, as far as the file and the flags tell.
class Names {
public:
    Names(const Reader& reader, const Settings& settings) : models_(settings.models) {
        for (std::size_t i = 0; i < models_.size(); ++i) {
            by_name_.emplace(models_[i].name, i);
            // One that is too long is told of as a name.
            if (is_wildcard(models_[i].name)) (void)wildcards_.add(models_[i].name, i);
        }
        for (const auto& alias : reader.aliases())
            if (!alias.model.empty()) by_name_.emplace(alias.name, model(alias.model));
        for (const auto& alias : settings.aliases)
            by_name_.emplace(alias.alias, find(alias.model));
    }

    bool is_model(const std::string& name) const { return model(name) != none; }

    // Its own name before an alias, and that before the wildcard that fits it best.
    std::size_t find(const std::string& name) const {
        if (const auto found = by_name_.find(name); found != by_name_.end()) return found->second;
        return wildcards_.find(name);
    }
    bool is_known(const std::string& name) const {
        return by_name_.contains(name) || find(name) != none;
    }

    std::vector<std::string_view> all() const {
        std::vector<std::string_view> names;
        for (const auto& [name, index] : by_name_)
            names.push_back(name);
        return names;
    }

private:
    std::size_t model(const std::string& name) const {
        const auto found = by_name_.find(name);
        const bool is_one =
            found != by_name_.end() && found->second != none && models_[found->second].name == name;
        return is_one ? found->second : none;
    }

    const std::vector<ModelSetting>& models_;
    std::map<std::string, std::size_t> by_name_;
    WildcardTable wildcards_;
};

void tell(Reader& reader, const Reader::Mention& mention, const std::string& what) {
    reader.problem(mention.at, mention.path + ": " + what);
}

void check_aliases(Reader& reader, const Names& names) {
    std::map<std::string, Place> taken;
    for (const auto& alias : reader.aliases()) {
        const auto [first, is_new] = taken.try_emplace(alias.name, alias.at);
        if (names.is_model(alias.name))
            tell(reader, alias, "'" + shown(alias.name) + "' is a model's own name");
        else if (!is_new)
            tell(reader, alias,
                 "'" + shown(alias.name) + "' is an alias already, in line " +
                     std::to_string(first->second.line));
    }
}

// An alias may stand for another one, but somewhere there has to be a model.
void check_circles(Reader& reader, const Names& names, const Settings& settings) {
    std::map<std::string_view, std::string_view> meant;
    for (const auto& alias : settings.aliases)
        if (!names.is_model(alias.alias)) meant.emplace(alias.alias, alias.model);
    std::set<std::string_view> told;
    for (const auto& [alias, model] : meant) {
        std::vector<std::string_view> way{alias};
        for (auto next = meant.find(model); next != meant.end() && way.size() <= meant.size();
             next = meant.find(next->second)) {
            way.push_back(next->first);
            if (next->first == alias) break;
        }
        const bool is_circle = way.back() == alias && (way.size() > 1 || model == alias);
        if (!is_circle || told.contains(alias)) continue;
        if (way.size() == 1) way.push_back(alias);
        told.insert(way.begin(), way.end());
        std::string text;
        for (const std::string_view name : way)
            text += (text.empty() ? "'" : " -> '") + shown(name) + "'";
        const auto place = std::ranges::find(reader.aliases(), alias, &Reader::Mention::name);
        reader.problem(place == reader.aliases().end() ? Place{} : place->at,
                       "aliases: they go round in a circle and lead to no model: " + text);
    }
}

// Those of flags: what the file says twice was told where it stands.
void check_flagged_names(Reader& reader, const Names& names, const Settings& settings) {
    std::map<std::string_view, std::string_view> taken;
    for (const auto& alias : settings.aliases) {
        const auto [first, is_new] = taken.try_emplace(alias.alias, alias.model);
        const bool in_file = std::ranges::find(reader.aliases(), alias.alias,
                                               &Reader::Mention::name) != reader.aliases().end();
        if (!is_new)
            reader.problem({}, "the alias '" + shown(alias.alias) + "' is given twice, for '" +
                                   shown(first->second) + "' and for '" + shown(alias.model) + "'");
        else if (!in_file && names.is_model(alias.alias))
            reader.problem({}, "the alias '" + shown(alias.alias) +
                                   "' is a model's own name: leave it away, or choose another one");
        else if (!in_file && is_wildcard(alias.alias))
            reader.problem({}, "the alias '" + shown(alias.alias) +
                                   "' is a wildcard, which no alias is: name a model so instead");
    }
}

// What a flag says stands nowhere in the file.
void check_flagged_aliases(Reader& reader, const Names& names, const Settings& settings) {
    for (const auto& alias : settings.aliases) {
        const bool in_file = std::ranges::find(reader.aliases(), alias.alias,
                                               &Reader::Mention::name) != reader.aliases().end();
        if (in_file || names.is_known(alias.model)) continue;
        reader.problem({}, "the alias '" + shown(alias.alias) + "': there is no model '" +
                               shown(alias.model) + "'" + did_you_mean(alias.model, names.all()));
    }
}

void check_mentions(Reader& reader, const Names& names) {
    const auto all = names.all();
    for (const auto& mention : reader.mentioned()) {
        if (reader.is_full()) return;
        if (names.is_known(mention.name)) continue;
        tell(reader, mention,
             "there is no model '" + shown(mention.name) + "'" + did_you_mean(mention.name, all));
    }
}

// A fallback's own chain is not followed, so two models may name each other; one that names itself
// would only be tried again.
void check_fallbacks(Reader& reader, const Names& names, const Settings& settings) {
    for (const auto& mention : reader.mentioned()) {
        if (mention.model.empty()) continue;
        const std::size_t model = names.find(mention.model);
        if (model == none || names.find(mention.name) != model) continue;
        SLUICE_ASSERT(model < settings.models.size());
        const bool by_name = mention.name == settings.models[model].name;
        tell(reader, mention,
             by_name ? "a model is no fallback of its own: name another one"
                     : "'" + shown(mention.name) + "' is the model '" +
                           shown(settings.models[model].name) +
                           "' itself, which is no fallback of its own: name another one");
    }
}

}  // namespace

void check_names(Reader& reader, const Settings& settings) {
    const Names names(reader, settings);
    check_aliases(reader, names);
    // Servers that are asked what they have may have any model.
    const bool all_known =
        settings.backends.empty() && (!settings.models.empty() || !settings.discover);
    check_flagged_names(reader, names, settings);
    check_circles(reader, names, settings);
    if (all_known) check_mentions(reader, names);
    if (all_known) check_flagged_aliases(reader, names, settings);
    // What a flag says stands nowhere in the file.
    const auto in_file =
        std::ranges::find(reader.mentioned(), settings.default_model, &Reader::Mention::name);
    if (all_known && !settings.default_model.empty() && in_file == reader.mentioned().end() &&
        !names.is_known(settings.default_model))
        reader.problem({}, "the default model: there is no model '" +
                               shown(settings.default_model) + "'" +
                               did_you_mean(settings.default_model, names.all()));
    check_fallbacks(reader, names, settings);
}

}  // namespace sluice::config
