// A file of settings: whatever it holds, reading it ends, throws nothing, and tells mistakes in the
// order of the text, at places that the text has.
//
// Input: the text.
#include "sluice/base/assert.h"
#include "sluice/config/load.h"
#include "sluice/config/wildcard.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

using namespace sluice;
using namespace sluice::config;

namespace {

void check_places(std::string_view text, const LoadOutcome& outcome) {
    const auto lines = std::ranges::count(text, '\n') + 1;
    Place last;
    for (const Problem& problem : outcome.problems) {
        SLUICE_ASSERT(last <= problem.at && problem.at.line <= lines);
        SLUICE_ASSERT(!problem.message.empty());
        const bool one_line = problem.message.find('\n') == std::string::npos;
        SLUICE_ASSERT(one_line);
        last = problem.at;
    }
}

void check_settings(const Settings& settings) {
    SLUICE_ASSERT(settings.shards >= 1 && settings.shards <= 64);
    for (const ModelSetting& model : settings.models) {
        SLUICE_ASSERT(!model.name.empty() && !model.backends.empty());
        SLUICE_ASSERT(Wildcard::compile(model.name).value().matches(model.name));
        for (const BackendSetting& backend : model.backends)
            SLUICE_ASSERT(!backend.url.empty() && backend.weight >= 1);
    }
    for (const RuleSetting& rule : settings.rules)
        SLUICE_ASSERT(rule.use.empty() != rule.split.empty());
    for (const RouteSetting& route : settings.routes)
        SLUICE_ASSERT(route.path.starts_with('/') && !route.backends.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const LoadOutcome outcome = load_text(text);
    check_places(text, outcome);
    if (outcome.ok()) check_settings(outcome.settings);
    return 0;
}
