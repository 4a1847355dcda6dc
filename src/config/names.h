// The names in a file held against each other, once all of it is read.
#pragma once

#include "reader.h"

namespace sluice::config {

// Aliases that are taken, models that there are not, fallbacks that lead back to where they began.
void check_names(Reader& reader, const Settings& settings);

}  // namespace sluice::config
