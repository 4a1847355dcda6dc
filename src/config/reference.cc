#include "sluice/config/reference.h"

#include "schema.h"

#include <algorithm>
#include <utility>

namespace sluice::config {
namespace {

constexpr std::string_view head =
    R"(<!-- Written by config_reference from src/config/*_schema.cc; do not edit. -->
# Configuration

`sluice --config FILE` reads a file of settings, `sluice check FILE` only tells what is wrong with
one. No file is read that is not named. A flag wins over the file; `--model NAME=URL` replaces the
backends of the model of that name and leaves the rest of it, a list given by flags replaces the
file's list. Flags for what `defaults` has too, like `--timeout-first-byte`, take the place of
`defaults` only: what a model, a route or a backend says of its own stays.

The file is YAML of at most 1 MiB: one document, no tags; anchors, aliases and `<<` are followed.
Durations are whole numbers with a unit (`250ms`, `10s`, `5m`, `1h`, `1d`), and so are sizes
(`512B`, `64KiB`, `16MiB`, `1GiB`). In a wildcard each `*` is any run of characters.
`~/` at the begin of a path is the home folder. Keys of providers are never written in the file: it
says where they are.

)";

// A table and all the places where it holds.
struct Chapter {
    const Section* section;
    std::vector<std::string> paths;
};

void collect(const Section& section, const std::string& path, std::vector<Chapter>& chapters) {
    const auto known = std::ranges::find(chapters, &section, &Chapter::section);
    if (known != chapters.end()) {
        known->paths.push_back(path);
    } else {
        chapters.push_back({&section, {path}});
    }
    for (const Key& key : section.keys) {
        if (key.section == nullptr) continue;
        collect(*key.section, (path.empty() ? "" : path + ".") + key.name + key.below, chapters);
    }
}

// A bar would end a cell.
std::string cell(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '|') out += '\\';
        out += c;
    }
    return out;
}

std::string code(const std::string& text) {
    return text.empty() ? "" : "`" + cell(text) + "`";
}

std::string row_of(const Key& key) {
    std::string meaning = cell(key.doc);
    if (key.section != nullptr) meaning += " (a table of its own below)";
    return "| `" + key.name + "` | " + cell(key.type) + " | " + cell(key.unit) + " | " +
           (key.required ? "required" : code(key.standard)) + " | " + meaning + " | " +
           code(key.example) + " |\n";
}

void append(std::string& out, const Chapter& chapter) {
    if (chapter.paths.front().empty()) {
        out += "## The file\n\n";
    } else {
        out += "## ";
        for (std::size_t i = 0; i < chapter.paths.size(); ++i)
            out += (i == 0 ? "`" : ", `") + chapter.paths[i] + "`";
        out += "\n\n";
    }
    out += chapter.section->doc + "\n\n";
    out += "| key | type | unit | default | meaning | example |\n|---|---|---|---|---|---|\n";
    for (const Key& key : chapter.section->keys)
        out += row_of(key);
    out += '\n';
}

}  // namespace

std::string reference_text() {
    std::vector<Chapter> chapters;
    collect(root_section(), "", chapters);
    std::string out(head);
    for (const Chapter& chapter : chapters)
        append(out, chapter);
    out.pop_back();  // the last empty line
    return out;
}

std::vector<ReferenceKey> reference_keys() {
    std::vector<Chapter> chapters;
    collect(root_section(), "", chapters);
    std::vector<ReferenceKey> keys;
    for (const Chapter& chapter : chapters)
        for (const std::string& path : chapter.paths)
            for (const Key& key : chapter.section->keys)
                keys.push_back(
                    {(path.empty() ? "" : path + ".") + key.name, key.example, key.standard});
    return keys;
}

}  // namespace sluice::config
