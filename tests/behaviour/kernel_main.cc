// Runs the tests of this module. Those of the suite "kernel" need io_uring: where it is refused
// they are left out, the reason is printed, and the exit status says "skipped" (77).
#define DOCTEST_CONFIG_IMPLEMENT
#include "sluice/io/ring.h"

#include <doctest/doctest.h>

#include <cstdio>

int main(int argc, char** argv) {
    doctest::Context context(argc, argv);
    const auto usable = sluice::io::Ring::probe();
    if (!usable) context.addFilter("test-suite-exclude", "kernel");
    const int failed = context.run();
    if (failed != 0 || usable) return failed;
    std::printf("SKIP: %s\n", usable.error().message.c_str());
    return 77;
}
