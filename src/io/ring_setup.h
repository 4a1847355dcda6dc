// How the kernel's ring is set up, and what it must be able to do.
//
// Internal to io.
#pragma once

#include "sluice/base/result.h"

#include <liburing.h>

namespace sluice::io {

inline constexpr unsigned submission_entries = 1024;
inline constexpr int buffer_group = 0;

// 0, or -errno.
int set_up(io_uring& ring);
// What such a failure means to the person who started the program.
Error setup_error(int code);

}  // namespace sluice::io
