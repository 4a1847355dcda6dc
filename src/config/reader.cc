#include "reader.h"

#include "text.h"

namespace sluice::config {

Reader::Step::Step(Reader& reader, std::string_view part)
    : reader_(reader), length_(reader.path_.size()) {
    if (!part.starts_with('[') && !reader.path_.empty()) reader.path_ += '.';
    reader.path_ += shown(part);
}

const Node* Reader::find(std::initializer_list<std::string_view> keys) const {
    const Node* node = root_;
    for (const std::string_view key : keys)
        if (node != nullptr) node = node->find(key);
    return node;
}

void Reader::problem(Place at, const std::string& what) {
    if (is_full()) return;
    problems_.push_back({at, path_.empty() ? what : path_ + ": " + what});
}

void Reader::expected(const Node& node, std::string_view what, std::string_view hint) {
    std::string found;
    switch (node.kind) {
        case Node::Kind::nothing:
            found = "nothing";
            break;
        case Node::Kind::text:
            found = node.quoted ? "the text \"" + shown(node.text) + "\""
                                : "'" + shown(node.text) + "'";
            break;
        case Node::Kind::list:
            found = node.items.empty() ? "an empty list" : "a list";
            break;
        case Node::Kind::map:
            found = "a map";
            break;
    }
    problem(node.at, "expected " + std::string(what) + ", found " + found + std::string(hint));
}

void Reader::mentions_model(const std::string& name, Place at) {
    mentioned_.push_back({name, at, path_, model});
}

void Reader::given_once(const std::string& what, const std::string& name, Place at) {
    const auto [first, is_new] = given_.try_emplace({what, name}, at);
    if (!is_new)
        problem(at, "the same " + what + " stands in line " + std::to_string(first->second.line));
}

void Reader::gives_alias(const std::string& name, Place at) {
    aliases_.push_back({name, at, path_, model});
}

}  // namespace sluice::config
