// The canonical spelling of a JSON number and of a JSON string; see canonical_json.h.
//
// Internal.
#pragma once

#include "sluice/llm/canonical_json.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::llm {

// `same`: the text is its own canonical spelling. Otherwise that was appended to `out`, unless
// there is a fault.
struct Spelled {
    JsonFault fault = JsonFault::none;
    bool same = true;
};

// `text` is what stands in the place of a number: its grammar is checked here.
Spelled spell_number(std::string_view text, std::string& out);

// `raw` is what stands between the quotes. A key may be refused for what it holds.
Spelled spell_string(std::string_view raw, bool is_key, std::string& out);

// Whether the key may be another one's in another case.
bool may_fold(std::string_view key);
// The same for all keys that parsers without case take for the same. `key` in canonical spelling.
std::uint64_t hash_folded(std::string_view key);

}  // namespace sluice::llm
