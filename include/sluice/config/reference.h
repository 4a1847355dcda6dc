// The reference of all keys of the configuration, from the same tables that read them.
#pragma once

#include <string>
#include <vector>

namespace sluice::config {

// docs/configuration.md, byte for byte.
std::string reference_text();

// A key as the reference shows it, for tests: `path` is "models.NAME.backends[].slots", `example`
// and `standard` are YAML values; `standard` is empty where there is none to write.
struct ReferenceKey {
    std::string path;
    std::string example;
    std::string standard;
};
std::vector<ReferenceKey> reference_keys();

}  // namespace sluice::config
