#include "discover.h"

#include "sluice/base/limits.h"
#include "sluice/io/loop.h"
#include "sluice/io/ring.h"
#include "sluice/mem/buffer_pool.h"
#include "sluice/mem/chain.h"
#include "sluice/upstream/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace sluice::app {
namespace {

constexpr int exit_none_found = 1;
constexpr Duration turn_max = Duration::millis(100);

// What is known when every server has answered or will not.
Result<std::vector<upstream::Sighting>> look() {
    if (const auto usable = io::Ring::probe(); !usable) return usable.error();
    mem::BufferPool buffers(limits::buffer_bytes, 2 * limits::buffers_provided);
    mem::NodePool nodes;
    auto ring = io::Ring::create(buffers);
    if (!ring) return ring.error();
    io::Loop loop(**ring, buffers, nodes);
    auto plan = upstream::WatchPlan::create(config::Settings{}, {});
    if (!plan) return plan.error();
    bool all_heard = false;
    upstream::Watch watch(loop, std::move(*plan), &all_heard,
                          [](void* owner, std::shared_ptr<const upstream::Catalog> catalog) {
                              *static_cast<bool*>(owner) = !catalog->awaits_any();
                          });
    watch.start();
    while (!all_heard)
        loop.turn(loop.now() + turn_max);
    auto seen = watch.sightings();
    watch.stop();
    while (!watch.stopped() || loop.ring().in_flight() > 0)
        loop.turn(loop.now() + turn_max);
    return seen;
}

std::string what_is_there(const upstream::Sighting& seen) {
    std::string kind(upstream::kind_name(seen.kind));
    if (kind.empty()) kind = "a model server";
    if (!seen.models.empty()) return fmt::format("{}: {}", kind, fmt::join(seen.models, ", "));
    if (!seen.lists_nothing) return seen.trouble;
    return fmt::format("answers, and lists no models{}{}{}",
                       seen.trouble.empty() ? "" : ": " + seen.trouble,
                       seen.advice.empty() ? "" : "; ", seen.advice);
}

}  // namespace

int discover() {
    const auto looked = look();
    if (!looked) {
        fmt::print(stderr, "sluice: {}\n", looked.error().message);
        return exit_none_found;
    }
    bool any = false;
    for (const auto& seen : looked.value()) {
        const bool nobody = seen.models.empty() && !seen.lists_nothing;
        if (nobody && seen.trouble.find("refused") != std::string::npos) continue;
        // A page in HTML answers, too.
        any |= !seen.models.empty() || (seen.lists_nothing && seen.trouble.empty());
        fmt::print("{}  {}\n", seen.url, what_is_there(seen));
    }
    if (!any) fmt::print("no model server was found\n");
    fmt::print("looked on 127.0.0.1, ports {}\n",
               upstream::ports_text(upstream::well_known_ports()));
    return any ? 0 : exit_none_found;
}

}  // namespace sluice::app
