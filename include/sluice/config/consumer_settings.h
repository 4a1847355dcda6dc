// What a user can say about who may ask: consumers, known by their keys.
#pragma once

#include "sluice/base/digest.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sluice::config {

// Of a key only its digest is known. Keys are long and random (128 bits or more), so that a fast
// digest gives none of them away.
struct KeySetting {
    std::string id;  // for the log; says nothing of the key
    Digest sha256{};

    bool operator==(const KeySetting&) const = default;
};

struct ConsumerSetting {
    std::string name;
    std::map<std::string, std::string> labels;
    std::optional<std::uint8_t> priority;  // class in lines for slots; 0 is served first
    bool admin = false;                    // sees what all of them do
    std::string group;                     // whose answers it shares; empty: nobody's
    std::vector<KeySetting> keys;

    bool operator==(const ConsumerSetting&) const = default;
};

}  // namespace sluice::config
