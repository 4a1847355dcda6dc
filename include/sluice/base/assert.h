// Assertions that stay on in every build: a bug stops the process at the place where it shows.
//
// SLUICE_ASSERT(condition) costs one predictable branch. An assertion states a fact the program
// relies on; it never validates input (that is what Result is for).
#pragma once

namespace sluice {

// Prints the failed condition and where it stands to stderr, then aborts. Does not allocate.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace sluice

#define SLUICE_ASSERT(condition)                                                \
    (__builtin_expect(static_cast<bool>(condition), true)                       \
         ? static_cast<void>(0)                                                 \
         : ::sluice::assertion_failed(#condition, __FILE__, __LINE__))
