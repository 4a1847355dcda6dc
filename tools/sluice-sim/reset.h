// The one socket call that only a simulation of faults makes.
#pragma once

namespace sluice::model_sim {

// The next close of the connection is a reset (RST), without the rest of what was sent.
void reset_on_close(int fd);

}  // namespace sluice::model_sim
