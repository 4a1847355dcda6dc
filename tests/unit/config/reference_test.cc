// The reference says what the reader does: it is written from the same tables, and each example and
// default in it is one that the reader takes.
#include "sluice/config/reference.h"

#include "sluice/config/load.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

using namespace sluice;
using namespace sluice::config;

namespace {

std::string read_text(const std::string& path) {
    std::string text;
    std::FILE* file = std::fopen(path.c_str(), "rb");
    if (file == nullptr) return text;
    char part[4096];
    while (const std::size_t length = std::fread(part, 1, sizeof(part), file))
        text.append(part, length);
    std::fclose(file);
    return text;
}

// A file with `key: value` at that place, and the number of the line where that stands.
struct Placed {
    std::string text = "{backends: [\"http://127.0.0.1:1\"],\n";
    int line = 2;
};

Placed place(const std::string& path, const std::string& value) {
    Placed placed;
    std::string closing = "}\n";
    std::size_t begin = 0;
    while (true) {
        const std::size_t end = path.find('.', begin);
        std::string part = path.substr(begin, end - begin);
        const bool in_list = part.ends_with("[]");
        if (in_list) part.resize(part.size() - 2);
        // Those do not go together.
        if (begin == 0 && (part == "backends" || part == "fallback_backend")) placed.text = "{\n";
        if (end == std::string::npos) {
            placed.text += part + ": " + value + "\n";
            break;
        }
        placed.text += part + ": " + (in_list ? "[{" : "{") + "\n";
        closing = (in_list ? "}]" : "}") + closing;
        ++placed.line;
        begin = end + 1;
    }
    placed.text += closing;
    return placed;
}

void check_takes(const std::string& path, const std::string& value) {
    const Placed placed = place(path, value);
    CAPTURE(placed.text);
    for (const Problem& problem : load_text(placed.text).problems) {
        CAPTURE(problem.to_text("file"));
        // What else belongs beside it is missing; that is told where the map begins.
        CHECK(problem.at.line < placed.line);
    }
}

}  // namespace

TEST_CASE("docs/configuration.md is what the tables say") {
    const bool same = read_text(SLUICE_SOURCE_ROOT "/docs/configuration.md") == reference_text();
    CHECK_MESSAGE(same,
                  "write it anew: BUILD/tests/unit/config/config_reference > "
                  "docs/configuration.md, with BUILD the build folder");
}

TEST_CASE("each example and each default of the reference can be read") {
    ::setenv("OPENAI_API_KEY", "sk-1", 1);
    const auto keys = reference_keys();
    CHECK(keys.size() > 100);
    for (const ReferenceKey& key : keys) {
        CAPTURE(key.path);
        if (!key.example.empty()) check_takes(key.path, key.example);
        if (!key.standard.empty()) check_takes(key.path, key.standard);
    }
}

TEST_CASE("an example says something else than the default") {
    for (const ReferenceKey& key : reference_keys()) {
        CAPTURE(key.path);
        CHECK((key.example.empty() || key.example != key.standard));
    }
}

TEST_CASE("each key has a place of its own") {
    std::set<std::string> paths;
    for (const ReferenceKey& key : reference_keys()) {
        CAPTURE(key.path);
        CHECK(paths.insert(key.path).second);
    }
}
