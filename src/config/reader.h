// Reader: walks a document by the tables of schema.h, and collects what is wrong with it.
//
// It goes on behind each mistake, so that one look at a file tells them all. Cold path.
#pragma once

#include "document.h"
#include "sluice/base/assert.h"
#include "sluice/config/load.h"

#include <cstddef>
#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::config {

// More are told by their number only.
inline constexpr std::size_t problems_max = 100;

class Reader {
public:
    Reader(const Checks& checks, const Node* root) : checks_(checks), root_(root) {}
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    const Checks& checks() const { return checks_; }
    // The value of a key below other ones; null where the file does not say it.
    const Node* find(std::initializer_list<std::string_view> keys) const;

    // "models.a.slots: what"
    void problem(Place at, const std::string& what);
    // "...: expected WHAT, found 'x'" and what else there is to say
    void expected(const Node& node, std::string_view what, std::string_view hint = {});
    bool is_full() const { return problems_.size() > problems_max; }
    std::vector<Problem>& problems() { return problems_; }

    // Where in the file the reading is, for messages.
    class Step {
    public:
        Step(Reader& reader, std::string_view part);
        ~Step() {
            SLUICE_ASSERT(reader_.path_.size() >= length_);
            reader_.path_.resize(length_);
        }
        Step(const Step&) = delete;
        Step& operator=(const Step&) = delete;

    private:
        Reader& reader_;
        std::size_t length_;
    };
    const std::string& path() const { return path_; }

    // A name that is given or used; who is meant is known only when all are read.
    struct Mention {
        std::string name;
        Place at;
        std::string path;
        std::string model;  // inside of whose entry it stands
    };
    void mentions_model(const std::string& name, Place at);
    void gives_alias(const std::string& name, Place at);
    const std::vector<Mention>& mentioned() const { return mentioned_; }
    const std::vector<Mention>& aliases() const { return aliases_; }
    // Tells of a second one: a `what` names one thing only.
    void given_once(const std::string& what, const std::string& name, Place at);

    // Said where a model stands, a listener and a backend's URL; the file as a whole where it does
    // not.
    void names_model(const std::string& name, Place at) { models_.try_emplace(name, at); }
    Place place_of_model(const std::string& name) const { return find_place(models_, name); }
    void names_listener(const std::string& address, Place at) {
        places_.listeners.try_emplace(address, at);
    }
    Place place_of_listener(const std::string& address) const {
        return find_place(places_.listeners, address);
    }
    void names_url(const std::string& url, Place at) { places_.urls.try_emplace(url, at); }
    const Places& places() const { return places_; }
    // What is of no use without consumers, by its name.
    void needs_consumers(const std::string& what, Place at) {
        consumers_needed_.push_back({what, at, path_, model});
    }
    const std::vector<Mention>& consumers_needed() const { return consumers_needed_; }
    // The rules so far, for what none of them leaves over.
    struct Rule {
        RuleSetting setting;
        Place at;
    };
    std::vector<Rule> rules;
    struct Route {
        RouteSetting setting;
        Place at;
    };
    std::vector<Route> routes;

    std::string model;                     // whose entry is being read; empty: none
    std::set<std::string> flagged_models;  // whose backends come from flags

private:
    const Checks& checks_;
    const Node* root_;
    std::vector<Problem> problems_;
    std::string path_;
    std::vector<Mention> mentioned_;
    std::vector<Mention> aliases_;
    std::map<std::pair<std::string, std::string>, Place> given_;
    std::map<std::string, Place> models_;
    Places places_;
    std::vector<Mention> consumers_needed_;
};

}  // namespace sluice::config
