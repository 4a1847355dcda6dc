// effect_of(): what a body asks for that an answer from the cache would not do.
//
// Internal; canonical.h says what that is.
#pragma once

#include "sluice/cache/bypass.h"
#include "sluice/llm/canonical_json.h"
#include "sluice/llm/endpoints.h"

namespace sluice::cache {

inline bool is_one(const llm::CanonicalJson& json, llm::CanonicalJson::Id value) {
    return json.kind(value) == llm::CanonicalJson::Kind::number && json.spelling(value) == "1";
}

// several_choices, stateful, server_tools or none. The root of `json` is an object.
Bypass effect_of(const llm::CanonicalJson& json, const llm::Endpoint& endpoint);

}  // namespace sluice::cache
