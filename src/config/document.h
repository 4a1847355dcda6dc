// Document: a YAML text as a tree with places; the only door of the YAML library.
//
// Plain YAML: maps with plain keys, lists, texts; anchors, aliases and `<<` merges are followed,
// tags refused. Bounded in depth and in what its aliases expand to, so that walking the tree takes
// time in proportion to values_max. Nothing that the library throws leaves.
#pragma once

#include "sluice/config/load.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

inline constexpr std::size_t values_max = 100'000;
inline constexpr std::size_t depth_max = 32;

struct Node;

struct Entry {
    std::string key;
    Place at;
    const Node* value = nullptr;
};

struct Node {
    enum class Kind : std::uint8_t { nothing, text, list, map };
    Kind kind = Kind::nothing;
    Place at;
    bool quoted = false;  // a text that is no number and no truth value, whatever it looks like
    bool open = true;     // a list or map whose end has not come yet
    std::string text;
    std::vector<const Node*> items;
    std::vector<Entry> entries;
    std::size_t size = 1;  // values in it, those behind aliases counted each time

    const Node* find(std::string_view key) const;
};

struct Document {
    std::deque<Node> nodes;
    const Node* root = nullptr;  // null: a text that says nothing
    std::vector<Problem> problems;

    static Document parse(std::string_view text);
};

}  // namespace sluice::config
