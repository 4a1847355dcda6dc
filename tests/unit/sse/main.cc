#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "allocations.h"

#include <doctest/doctest.h>

#include <malloc.h>

#include <cstdlib>
#include <new>

namespace {

sluice::test::Allocations counted;

}  // namespace

const sluice::test::Allocations& sluice::test::allocations() {
    return counted;
}

void* operator new(std::size_t size) {
    void* memory = std::malloc(size);
    if (memory == nullptr) std::abort();
    ++counted.count;
    counted.live_bytes += malloc_usable_size(memory);
    return memory;
}

void operator delete(void* memory) noexcept {
    if (memory == nullptr) return;
    counted.live_bytes -= malloc_usable_size(memory);
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
    operator delete(memory);
}
