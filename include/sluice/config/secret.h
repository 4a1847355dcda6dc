// Secret: a key that the configuration only refers to and that no message, log or dump shows.
//
// Made from `env:NAME` or `file:PATH`, never from the key itself: what stands in a configuration
// gets copied, mailed and checked in. A file must be the owner's alone (mode 0600 or less).
#pragma once

#include "sluice/base/result.h"

#include <string>
#include <string_view>
#include <utility>

namespace sluice::config {

class Secret {
public:
    Secret() = default;

    // Reads the key that `reference` names. White space around it is no part of it. The error
    // repeats the reference only where it is one: a key written there by mistake stays unseen.
    static Result<Secret> from_reference(std::string_view reference);

    bool empty() const { return value_.empty(); }
    // For the line that is sent to the backend and for nothing else.
    const std::string& value() const { return value_; }

    bool operator==(const Secret&) const = default;

private:
    explicit Secret(std::string value) : value_(std::move(value)) {}

    std::string value_;
};

}  // namespace sluice::config
