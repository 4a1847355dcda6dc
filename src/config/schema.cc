#include "schema.h"

#include "sluice/base/assert.h"
#include "text.h"

#include <algorithm>

namespace sluice::config {
namespace {

std::vector<std::string_view> names_of(const Section& section) {
    std::vector<std::string_view> names;
    for (const Key& key : section.keys)
        names.push_back(key.name);
    return names;
}

}  // namespace

void check_keys(Reader& reader, const Section& section, const Node& node) {
    SLUICE_ASSERT(node.kind == Node::Kind::map);
    const auto names = names_of(section);
    for (const Entry& entry : node.entries) {
        if (reader.is_full()) return;
        if (std::ranges::find(names, entry.key) != names.end()) continue;
        const std::string meant = did_you_mean(entry.key, names);
        reader.problem(entry.at, "there is no key '" + shown(entry.key) + "' here" +
                                     (meant.empty() ? ": expected " + one_of(names) : meant));
    }
    for (const Key& key : section.keys)
        if (key.required && node.find(key.name) == nullptr)
            reader.problem(node.at, "the key '" + key.name + "' is missing");
}

void read_keys(Reader& reader, const Section& section, const Node& node, void* target,
               std::size_t begin, std::size_t end) {
    SLUICE_ASSERT(begin <= end && end <= section.keys.size());
    for (std::size_t i = begin; i < end; ++i) {
        const Key& key = section.keys[i];
        const Node* value = node.find(key.name);
        if (value == nullptr) continue;
        const Reader::Step step(reader, key.name);
        key.read(reader, *value, target);
    }
}

void read_section(Reader& reader, const Section& section, const Node& node, void* target) {
    if (node.kind != Node::Kind::map)
        return reader.expected(node, "a map with " + one_of(names_of(section)));
    const std::size_t problems = reader.problems().size();
    check_keys(reader, section, node);
    read_keys(reader, section, node, target, 0, section.keys.size());
    if (section.check && reader.problems().size() == problems) section.check(reader, node, target);
}

}  // namespace sluice::config
