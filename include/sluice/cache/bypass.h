// Bypass: why a request is neither answered from the cache nor joined to another one.
//
// Pure. One cause a request, the first that is met in the order of eligible.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::cache {

enum class Bypass : std::uint8_t {
    none,
    // --- said by settings or the head ---
    off,       // the model shares nothing
    endpoint,  // its answers are no function of the body, or nobody's to keep
    no_store,  // asked by Cache-Control
    no_cache,  // likewise: it wants to be generated anew, and joins nothing that runs
    // --- said by the body ---
    not_an_object,
    too_large,
    too_deep,
    too_many_values,
    malformed,
    trailing_bytes,
    duplicate_key,
    ambiguous_key,
    exponent_too_long,
    several_choices,
    stateful,       // needs or changes what the server keeps
    server_tools,   // the server itself looks things up or runs something
    not_determined  // the same request may get another answer
};
inline constexpr std::size_t bypass_count = static_cast<std::size_t>(Bypass::not_determined) + 1;

// For metrics and logs: the enumerator's name.
std::string_view name_of(Bypass bypass);

}  // namespace sluice::cache
