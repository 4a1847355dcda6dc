// The tables of keys: one description of each key reads it, suggests it for one that is misspelt,
// and documents it.
//
// A section is the table of one map of the file. Its keys are read in the order of the table, not
// of the file. Targets are untyped inside of a key; Table<T> is what keeps them in step.
#pragma once

#include "reader.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::config {

struct Section;

struct Key {
    std::string name;
    std::string type;
    std::string unit;
    std::string doc;
    std::string example;   // a YAML value
    std::string standard;  // the default, as a YAML value; empty: none
    bool required = false;
    const Section* section = nullptr;  // the table of what is below
    std::string below;                 // between this key and those: "", "[]" or ".NAME"
    std::function<void(Reader&, const Node&, void*)> read;
};

struct Section {
    std::string doc;
    std::vector<Key> keys;
    // What no key can judge alone; called when all are read and sound, for what follows from a
    // mistake is no mistake of its own.
    std::function<void(Reader&, const Node&, void*)> check;
};

// The whole file. Keys from `model_part` on are read after the flags are applied.
const Section& root_section();
std::size_t model_part();

const Section& timeouts_section();
const Section& hash_section();
const Section& model_section();
const Section& model_backend_section();
const Section& listing_backend_section();
const Section& route_backend_section();
const Section& breaker_section();
const Section& health_section();
const Section& queue_section();
const Section& cache_section();
const Section& consumer_section();
const Section& rule_section();
const Section& route_section();

// A model that says nothing of its own.
ModelSetting standard_model(const Settings& settings);

// Tells of one that has more backends than a choice can see.
void check_pool(Reader& reader, Place at, std::size_t backends);
// Tells of a `hash` that nothing is chosen by.
void check_hash(Reader& reader, const Node& node, Balance balance);

void check_keys(Reader& reader, const Section& section, const Node& node);
void read_keys(Reader& reader, const Section& section, const Node& node, void* target,
               std::size_t begin, std::size_t end);
void read_section(Reader& reader, const Section& section, const Node& node, void* target);

// What a key says of itself.
struct Words {
    std::string doc;
    std::string example;
    bool required = false;
};

// Builds the section whose target is a T. `access` yields the member of a T that a key sets.
template <class T>
class Table {
public:
    explicit Table(std::string doc) { section_.doc = std::move(doc); }

    // `value` reads and shows what the member holds; see values.h.
    template <class Access, class Value>
    Table& key(std::string name, Access access, Value value, Words words) {
        Key key = described(std::move(name), std::move(words));
        T standard{};
        key.standard = value.show(std::invoke(access, standard));
        key.type = value.type();
        key.unit = value.unit();
        key.read = [access, value](Reader& reader, const Node& node, void* target) {
            value.read(reader, node, std::invoke(access, *static_cast<T*>(target)));
        };
        section_.keys.push_back(std::move(key));
        return *this;
    }

    // A map below this one.
    template <class Access>
    Table& map(std::string name, Access access, const Section& section, Words words) {
        Key key = described(std::move(name), std::move(words));
        key.type = "map";
        key.section = &section;
        key.read = [access, &section](Reader& reader, const Node& node, void* target) {
            read_section(reader, section, node,
                         &prepared(std::invoke(access, *static_cast<T*>(target))));
        };
        section_.keys.push_back(std::move(key));
        return *this;
    }

    // A list of maps; each begins as what `fresh` makes of the T.
    template <class Item, class Fresh>
    Table& maps(std::string name, std::vector<Item> T::* member, const Section& section,
                Fresh fresh, Words words) {
        Key key = described(std::move(name), std::move(words));
        key.type = "list of maps";
        key.section = &section;
        key.below = "[]";
        key.read = [member, &section, fresh](Reader& reader, const Node& node, void* target) {
            T& whole = *static_cast<T*>(target);
            if (node.kind != Node::Kind::list) return reader.expected(node, "a list of maps");
            for (std::size_t i = 0; i < node.items.size(); ++i) {
                const Reader::Step step(reader, "[" + std::to_string(i) + "]");
                Item item = fresh(std::as_const(whole));
                read_section(reader, section, *node.items[i], &item);
                (whole.*member).push_back(std::move(item));
            }
        };
        section_.keys.push_back(std::move(key));
        return *this;
    }

    // Anything else: `read(Reader&, const Node&, T&)`.
    template <class Read>
    Table& custom(Key key, Read read) {
        key.read = [read](Reader& reader, const Node& node, void* target) {
            read(reader, node, *static_cast<T*>(target));
        };
        section_.keys.push_back(std::move(key));
        return *this;
    }

    template <class Check>
    Section checked(Check check) {
        section_.check = [check](Reader& reader, const Node& node, void* target) {
            check(reader, node, *static_cast<T*>(target));
        };
        return std::move(section_);
    }
    Section done() { return std::move(section_); }

private:
    static Key described(std::string name, Words words) {
        Key key;
        key.name = std::move(name);
        key.doc = std::move(words.doc);
        key.example = std::move(words.example);
        key.required = words.required;
        return key;
    }
    template <class S>
    static S& prepared(S& member) {
        return member;
    }
    template <class S>
    static S& prepared(std::optional<S>& member) {
        return member.emplace();
    }

    Section section_;
};

}  // namespace sluice::config
