// Feeds a text to a reader in every way that could matter: whole, byte by byte, and split once at
// every offset. Each run is a copy of its own, so that a sanitizer sees any look outside of it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::llm::test {

// Lengths of the runs; what is left of the text is the last one.
using Runs = std::vector<std::size_t>;

template <class Reader>
void feed_runs(Reader& reader, std::string_view text, const Runs& runs) {
    for (const std::size_t length : runs) {
        const std::string run(text.substr(0, length));
        reader.feed(run);
        text.remove_prefix(run.size());
    }
    const std::string rest(text);
    reader.feed(rest);
}

inline std::vector<Runs> all_splits(std::string_view text) {
    std::vector<Runs> splits{{}, Runs(text.size(), 1)};
    for (std::size_t i = 0; i <= text.size(); ++i)
        splits.push_back({i});
    return splits;
}

}  // namespace sluice::llm::test
