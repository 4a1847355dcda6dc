#include "names.h"

#include "sluice/config/wildcard.h"
#include "text.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
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

void check_mentions(Reader& reader, const Names& names) {
    const auto all = names.all();
    for (const auto& mention : reader.mentioned()) {
        if (reader.is_full()) return;
        if (names.is_known(mention.name)) continue;
        tell(reader, mention,
             "there is no model '" + shown(mention.name) + "'" + did_you_mean(mention.name, all));
    }
}

// Depth first, with a stack of its own: a chain may be as long as the file.
class Cycles {
public:
    Cycles(Reader& reader, const Names& names, const Settings& settings)
        : reader_(reader), models_(settings.models), edges_(models_.size()) {
        for (const auto& mention : reader.mentioned()) {
            if (mention.model.empty()) continue;
            const std::size_t from = names.find(mention.model);
            const std::size_t to = names.find(mention.name);
            if (from != none && to != none) edges_[from].push_back({to, &mention});
        }
    }

    void tell_all() {
        state_.assign(models_.size(), State::unseen);
        for (std::size_t i = 0; i < models_.size(); ++i)
            if (state_[i] == State::unseen) walk(i);
    }

private:
    enum class State : std::uint8_t { unseen, on_the_way, done };
    struct Edge {
        std::size_t to;
        const Reader::Mention* mention;
    };
    struct Stop {
        std::size_t model;
        std::size_t next = 0;  // of its edges
    };

    void walk(std::size_t start) {
        std::vector<Stop> way{{start}};
        state_[start] = State::on_the_way;
        while (!way.empty()) {
            Stop& stop = way.back();
            if (stop.next == edges_[stop.model].size()) {
                state_[stop.model] = State::done;
                way.pop_back();
                continue;
            }
            const Edge& edge = edges_[stop.model][stop.next++];
            if (state_[edge.to] == State::on_the_way) tell_one(way, edge);
            if (state_[edge.to] != State::unseen) continue;
            state_[edge.to] = State::on_the_way;
            way.push_back({edge.to});
        }
    }

    void tell_one(const std::vector<Stop>& way, const Edge& edge) {
        constexpr std::size_t told_max = 8;
        std::size_t first = way.size() - 1;
        while (way[first].model != edge.to)
            --first;
        std::string round;
        for (std::size_t i = first; i < way.size() && i < first + told_max; ++i)
            round += shown(models_[way[i].model].name) + " -> ";
        if (way.size() - first > told_max) round += "... -> ";
        tell(reader_, *edge.mention,
             "a fallback that leads back: " + round + shown(models_[edge.to].name));
    }

    Reader& reader_;
    const std::vector<ModelSetting>& models_;
    std::vector<std::vector<Edge>> edges_;
    std::vector<State> state_;
};

}  // namespace

void check_names(Reader& reader, const Settings& settings) {
    const Names names(reader, settings);
    check_aliases(reader, names);
    // Servers that are asked what they have may have any model.
    const bool all_known =
        settings.backends.empty() && (!settings.models.empty() || !settings.discover);
    if (all_known) check_mentions(reader, names);
    // What a flag says stands nowhere in the file.
    const auto in_file =
        std::ranges::find(reader.mentioned(), settings.default_model, &Reader::Mention::name);
    if (all_known && !settings.default_model.empty() && in_file == reader.mentioned().end() &&
        !names.is_known(settings.default_model))
        reader.problem({}, "the default model: there is no model '" +
                               shown(settings.default_model) + "'" +
                               did_you_mean(settings.default_model, names.all()));
    Cycles(reader, names, settings).tell_all();
}

}  // namespace sluice::config
