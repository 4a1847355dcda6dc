// How a label that the settings give a backend is called in the metrics.
#pragma once

#include <string>
#include <string_view>

namespace sluice::config {

// As the format has it (letters of ASCII, digits, '_'), and apart from the gateway's own labels.
std::string metric_label(std::string_view name);

}  // namespace sluice::config
