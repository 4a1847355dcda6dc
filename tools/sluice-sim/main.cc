// sluice-sim: a scripted model server, on the layers of the gateway; see docs/sluice-sim.md.
//
// One thread, one ring. It ends at once and with status 0 on SIGTERM and SIGINT: whoever scripts a
// failure also scripts the end, and nothing here is worth saving.
#include "options.h"
#include "server.h"
#include "sluice/base/limits.h"
#include "sluice/io/loop.h"
#include "sluice/io/ring.h"
#include "sluice/mem/buffer_pool.h"

#include <fmt/format.h>

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

namespace {

using namespace sluice;

constexpr int exit_failure = 1;
// Only for what comes in, and that is copied out at once.
constexpr std::size_t buffers = 4096;

void end_at_once(int) {
    ::_exit(0);
}

// Thousands of connections need as many descriptors; the soft limit is often 1024.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

int fail(const Error& error) {
    fmt::print(stderr, "sluice-sim: {}\n", error.message);
    return exit_failure;
}

int run(const model_sim::Options& options) {
    mem::BufferPool pool(limits::buffer_bytes, buffers);
    mem::NodePool nodes;
    auto ring = io::Ring::create(pool);
    if (!ring.ok()) return fail(ring.error());
    io::Loop loop(*ring.value(), pool, nodes);
    model_sim::Server server(loop, options);
    for (const auto& address : options.listen) {
        const auto url = server.listen(address);
        if (!url.ok()) return fail(url.error());
        fmt::print("sluice-sim listening on {}\n", url.value());
    }
    server.start();
    std::fflush(stdout);
    while (true)
        loop.turn();
}

}  // namespace

int main(int argc, char** argv) {
    const auto parsed = model_sim::parse_options(argc, argv);
    if (const auto* status = std::get_if<int>(&parsed)) return *status;
    ::signal(SIGTERM, end_at_once);
    ::signal(SIGINT, end_at_once);
    raise_descriptor_limit();
    return run(std::get<model_sim::Options>(parsed));
}
