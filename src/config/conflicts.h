// What is sound by itself and does not go together: told when the whole file and the flags are
// read.
#pragma once

#include "reader.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

// `of_file`: what the file says of all but models, before the flags.
void check_conflicts(Reader& reader, const Settings& settings, const Settings& of_file);

// Two backends of one pool that are the same server under the same name.
struct Twice {
    std::size_t first;
    std::size_t second;
};
std::optional<Twice> find_twice(const std::vector<BackendSetting>& backends);
// Tells of them at the second one's item.
void check_twice(Reader& reader, const Node& items, const std::vector<BackendSetting>& backends);

// How a URL is told from others: without what makes no difference.
std::string url_key(std::string_view url);

}  // namespace sluice::config
