// config_reference: writes the reference of the configuration, which stands in the tree as
// docs/configuration.md.
#include "sluice/config/reference.h"

#include <cstdio>

int main() {
    const std::string text = sluice::config::reference_text();
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}
