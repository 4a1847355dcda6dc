#include "interrupt.h"

#include "sluice/base/assert.h"

#include <signal.h>
#include <unistd.h>

namespace sluice::bench {
namespace {

std::atomic<bool> flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may use it");

void on_signal(int) {
    if (flag.exchange(true)) ::_exit(exit_interrupted);
}

}  // namespace

void watch_for_interrupts() {
    struct sigaction action{};
    action.sa_handler = on_signal;
    // No SA_RESTART: a thread that waits looks at the flag at once.
    for (const int number : {SIGINT, SIGTERM}) {
        const int set = ::sigaction(number, &action, nullptr);
        SLUICE_ASSERT(set == 0);
    }
}

const std::atomic<bool>& interrupt_flag() {
    return flag;
}

}  // namespace sluice::bench
