#include "document.h"

#include "sluice/base/assert.h"
#include "text.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <utility>

namespace sluice::config {
namespace {

// Messages of the library repeat names of the text, however long they are.
constexpr std::size_t library_bytes_max = 200;

// What ends the reading of a text; thrown through the library and caught in parse().
struct Stop {
    Problem problem;
};

Place place_of(const YAML::Mark& mark) {
    return {mark.line + 1, mark.column + 1};
}

class Builder final : public YAML::EventHandler {
public:
    explicit Builder(Document& document) : document_(document) {}

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override { SLUICE_ASSERT(frames_.empty()); }
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        Node& node = make(Node::Kind::nothing, mark, anchor);
        node.open = false;
        // The library points to where the next thing begins, which may be lines below.
        if (!frames_.empty() && frames_.back().key) node.at = frames_.back().key->at;
        take(node);
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const Node* node = anchor < anchors_.size() ? anchors_[anchor] : nullptr;
        if (node == nullptr) stop(place_of(mark), "an alias without its anchor");
        if (node->open) stop(place_of(mark), "an alias inside of what it stands for");
        take(*node);
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        check_tag(mark, tag);
        Node& node = make(Node::Kind::text, mark, anchor);
        node.open = false;
        node.text = value;
        node.quoted = tag == "!";
        take(node);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        begin(make(Node::Kind::list, mark, anchor), mark, tag);
    }
    void OnSequenceEnd() override { end(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        begin(make(Node::Kind::map, mark, anchor), mark, tag);
    }
    void OnMapEnd() override { end(); }

private:
    struct Frame {
        Node* node;
        std::optional<Entry> key;  // of a map, until its value comes
        std::vector<Entry> merges;
        std::unordered_map<std::string, int> lines;  // of the keys so far
    };

    [[noreturn]] static void stop(Place at, std::string what) { throw Stop{{at, std::move(what)}}; }

    static void check_tag(const YAML::Mark& mark, const std::string& tag) {
        if (!tag.empty() && tag != "?" && tag != "!")
            stop(place_of(mark), "tags are not used here: leave '" + shown(tag) + "' out");
    }

    Node& make(Node::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
        Node& node = document_.nodes.emplace_back();
        node.kind = kind;
        node.at = place_of(mark);
        if (anchor != 0) {
            if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
            anchors_[anchor] = &node;
        }
        return node;
    }

    void begin(Node& node, const YAML::Mark& mark, const std::string& tag) {
        check_tag(mark, tag);
        if (frames_.size() >= depth_max)
            stop(node.at, "nested deeper than " + std::to_string(depth_max) + " levels");
        if (!frames_.empty() && frames_.back().node->kind == Node::Kind::map && !frames_.back().key)
            stop(node.at, "a key has to be a plain text");
        frames_.push_back({&node, {}, {}, {}});
    }

    void end() {
        SLUICE_ASSERT(!frames_.empty() && !frames_.back().key);
        Frame frame = std::move(frames_.back());
        frames_.pop_back();
        for (const Entry& entry : frame.merges)
            merge(frame, entry);
        frame.node->open = false;
        take(*frame.node);
    }

    // A value that is complete belongs to the innermost list or map that is not.
    void take(const Node& node) {
        if (frames_.empty()) {
            document_.root = &node;
            return;
        }
        Frame& frame = frames_.back();
        if (frame.node->kind == Node::Kind::map && !frame.key) {
            if (node.kind != Node::Kind::text) stop(node.at, "a key has to be a plain text");
            frame.key = Entry{node.text, node.at, nullptr};
            return;
        }
        frame.node->size += node.size;
        if (frame.node->size > values_max)
            stop(node.at, "more than " + std::to_string(values_max) +
                              " values, those behind an alias counted each time");
        if (frame.node->kind == Node::Kind::list) {
            frame.node->items.push_back(&node);
            return;
        }
        Entry entry = *std::exchange(frame.key, {});
        entry.value = &node;
        if (entry.key == "<<")
            frame.merges.push_back(std::move(entry));
        else
            add(frame, std::move(entry));
    }

    void add(Frame& frame, Entry entry) {
        const auto [first, is_new] = frame.lines.try_emplace(entry.key, entry.at.line);
        if (is_new) {
            frame.node->entries.push_back(std::move(entry));
            return;
        }
        document_.problems.push_back({entry.at, "'" + shown(entry.key) +
                                                    "' stands twice in one map, first in line " +
                                                    std::to_string(first->second)});
    }

    // `<<: *defaults` brings the entries that the map does not have itself.
    void merge(Frame& frame, const Entry& entry) {
        std::vector<const Node*> sources{entry.value};
        if (entry.value->kind == Node::Kind::list) sources = entry.value->items;
        for (const Node* source : sources) {
            if (source->kind != Node::Kind::map) stop(entry.at, "'<<' merges maps only");
            for (const Entry& inherited : source->entries)
                if (frame.lines.try_emplace(inherited.key, inherited.at.line).second)
                    frame.node->entries.push_back(inherited);
        }
    }

    Document& document_;
    std::vector<Frame> frames_;
    std::vector<const Node*> anchors_;  // by the library's number
};

// The library replaces what is no UTF-8 and reads UTF-16 where it guesses it: neither is meant.
std::optional<Problem> unreadable(std::string_view text) {
    Place at{1, 1};
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte == '\n') {
            at = {at.line + 1, 1};
            continue;
        }
        if ((byte < 0x20 && byte != '\t' && byte != '\r') || byte == 0x7f)
            return Problem{at, "a control character: write it as \"\\x..\" if it is meant"};
        const std::size_t length = utf8_length(text.substr(i));
        if (length == 0) return Problem{at, "not UTF-8"};
        i += length - 1;
        at.column += static_cast<int>(length);
    }
    return std::nullopt;
}

// What the library says of a tab in front of a line differs, and never names it.
std::optional<Problem> tab_before(std::string_view text, int line) {
    SLUICE_ASSERT(line > 0);
    for (int i = 1; i < line && !text.empty(); ++i)
        text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    const std::size_t indentation = std::min(text.find_first_not_of(" \t"), text.size());
    const std::size_t tab = text.substr(0, indentation).find('\t');
    if (tab == std::string_view::npos) return std::nullopt;
    return Problem{{line, static_cast<int>(tab) + 1},
                   "no sound YAML: a tab in the indentation: write spaces"};
}

void read(std::string_view text, Document& document) {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Builder first(document);
    if (!parser.HandleNextDocument(first)) return;
    Document rest;
    Builder second(rest);
    if (!parser.HandleNextDocument(second)) return;
    const Place at = rest.root != nullptr ? rest.root->at : Place{};
    document.problems.push_back({at, "a second document: there is one in a file"});
}

}  // namespace

const Node* Node::find(std::string_view key) const {
    const auto found = std::ranges::find(entries, key, &Entry::key);
    return found != entries.end() ? found->value : nullptr;
}

Document Document::parse(std::string_view text) {
    Document document;
    if (auto problem = unreadable(text)) {
        document.problems.push_back(std::move(*problem));
        return document;
    }
    try {
        read(text, document);
    } catch (Stop& stop) {
        document.problems.push_back(std::move(stop.problem));
        document.root = nullptr;
    } catch (const YAML::Exception& error) {
        const Place at = place_of(error.mark);
        auto tab = at.line > 0 ? tab_before(text, at.line) : std::nullopt;
        document.problems.push_back(
            tab ? std::move(*tab)
                : Problem{at, "no sound YAML: " + shown(error.msg, library_bytes_max)});
        document.root = nullptr;
    } catch (const std::exception& error) {
        document.problems.push_back(
            {{}, "no sound YAML: " + shown(error.what(), library_bytes_max)});
        document.root = nullptr;
    }
    return document;
}

}  // namespace sluice::config
