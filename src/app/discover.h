// The command `sluice discover`.
#pragma once

namespace sluice::app {

// Looks once, prints what it finds and where it looked; the exit status.
int discover();

}  // namespace sluice::app
