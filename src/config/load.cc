#include "sluice/config/load.h"

#include "conflicts.h"
#include "file.h"
#include "names.h"
#include "schema.h"
#include "sluice/config/home.h"
#include "text.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace sluice::config {
namespace {

// Models of flags have backends only: the rest is the file's, or that of a standard model.
void merge(Reader& reader, Settings& settings, std::vector<ModelSetting> flagged) {
    for (ModelSetting& from : flagged) {
        auto found = std::ranges::find(settings.models, from.name, &ModelSetting::name);
        if (found == settings.models.end()) {
            settings.models.push_back(standard_model(settings));
            found = std::prev(settings.models.end());
            found->name = from.name;
        }
        found->backends = std::move(from.backends);
        const Reader::Step step(reader, "the model '" + shown(found->name) + "' of the flags");
        check_pool(reader, {}, found->backends.size());
        if (const auto twice = find_twice(found->backends))
            reader.problem({}, "'" + shown(found->backends[twice->second].url) +
                                   "' stands there twice: each server once");
        for (BackendSetting& backend : found->backends)
            backend.timeouts = found->timeouts;
    }
}

// In the order of the text, and what several aliases of YAML lead to once.
void arrange(std::vector<Problem>& problems) {
    std::ranges::sort(problems, [](const Problem& a, const Problem& b) {
        return std::tie(a.at, a.message) < std::tie(b.at, b.message);
    });
    const auto same = [](const Problem& a, const Problem& b) {
        return a.at == b.at && a.message == b.message;
    };
    problems.erase(std::unique(problems.begin(), problems.end(), same), problems.end());
    if (problems.size() <= problems_max) return;
    problems.resize(problems_max);
    problems.push_back({problems.back().at, "more than " + std::to_string(problems_max) +
                                                " mistakes: the others are not told"});
}

void read(const Document& document, Reader& reader, const Override& flags, Settings& settings) {
    const Section& root = root_section();
    const Node* node = document.root;
    if (node != nullptr && node->kind == Node::Kind::nothing) node = nullptr;
    if (node != nullptr && node->kind != Node::Kind::map) {
        reader.expected(*node, "a map of keys like 'listen' and 'models'");
        node = nullptr;
    }
    if (node != nullptr) {
        check_keys(reader, root, *node);
        read_keys(reader, root, *node, &settings, 0, model_part());
    }
    const Settings of_file = settings;
    if (flags) flags(settings);
    for (BackendSetting& backend : settings.backends)
        backend.timeouts = settings.model_timeouts;
    if (const auto twice = find_twice(settings.backends))
        reader.problem({}, "'" + shown(settings.backends[twice->second].url) +
                               "' stands there twice: each server once");
    auto flagged = std::exchange(settings.models, {});
    for (const ModelSetting& model : flagged)
        reader.flagged_models.insert(model.name);
    if (node != nullptr) read_keys(reader, root, *node, &settings, model_part(), root.keys.size());
    merge(reader, settings, std::move(flagged));
    check_names(reader, settings);
    check_conflicts(reader, settings, of_file);
}

}  // namespace

std::string Problem::to_text(std::string_view file) const {
    std::string text(file);
    if (at.line > 0) text += ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
    return text + ": " + message;
}

Place find_place(const std::map<std::string, Place>& places, const std::string& text) {
    const auto found = places.find(text);
    return found == places.end() ? Place{} : found->second;
}

LoadOutcome load_text(std::string_view text, const Checks& checks, const Override& flags) {
    LoadOutcome outcome;
    if (text.size() > file_bytes_max) {
        outcome.problems.push_back(
            {{}, "has more than " + std::to_string(file_bytes_max) + " bytes"});
        return outcome;
    }
    Document document = Document::parse(text);
    Reader reader(checks, document.root);
    reader.problems() = std::move(document.problems);
    read(document, reader, flags, outcome.settings);
    outcome.problems = std::move(reader.problems());
    outcome.places = reader.places();
    outcome.says_nothing = document.root == nullptr || document.root->kind == Node::Kind::nothing;
    arrange(outcome.problems);
    return outcome;
}

LoadOutcome load_file(const std::string& path, const Checks& checks, const Override& flags) {
    auto text = read_file(with_home(path), file_bytes_max, Readers::anyone);
    if (text) return load_text(*text, checks, flags);
    LoadOutcome outcome;
    outcome.problems.push_back({{}, text.error().message});
    return outcome;
}

}  // namespace sluice::config
