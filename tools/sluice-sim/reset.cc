#include "reset.h"

#include "sluice/io/socket.h"

namespace sluice::model_sim {

void reset_on_close(int fd) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

}  // namespace sluice::model_sim
