#include "sluice/config/home.h"

#include <cstdlib>

namespace sluice::config {

std::string with_home(std::string_view path) {
    const char* const home = std::getenv("HOME");
    if (!path.starts_with("~/") || home == nullptr || *home == '\0') return std::string(path);
    std::string whole(home);
    while (whole.ends_with('/'))
        whole.pop_back();
    return whole.append(path.substr(1));
}

std::string address_with_home(std::string_view text) {
    constexpr std::string_view unix_prefix = "unix:";
    if (!text.starts_with(unix_prefix)) return std::string(text);
    return std::string(unix_prefix) + with_home(text.substr(unix_prefix.size()));
}

}  // namespace sluice::config
