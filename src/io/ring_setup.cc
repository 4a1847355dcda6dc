#include "ring_setup.h"

#include "sluice/base/limits.h"
#include "sluice/io/ring.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace sluice::io {
namespace {

// Overflow is slow, not lost (NODROP): four completions a submission keep it from happening.
constexpr unsigned completion_entries = 4 * submission_entries;

// SINGLE_ISSUER and DEFER_TASKRUN: completions are produced only when this thread asks for them,
// so receives never run ahead of the loop that gives buffers back.
// SUBMIT_ALL: one bad entry does not hold up the others.
constexpr unsigned setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;

}  // namespace

int set_up(io_uring& ring) {
    io_uring_params params{};
    params.flags = setup_flags;
    params.cq_entries = completion_entries;
    return io_uring_queue_init_params(submission_entries, &ring, &params);
}

Error setup_error(int code) {
    const std::string cause = std::strerror(code);
    switch (code) {
        case EPERM:
            return Error::gateway(
                "io_uring is switched off here (" + cause +
                "): set the sysctl kernel.io_uring_disabled to 0, or, in a container, allow the "
                "io_uring system calls in its seccomp profile");
        case ENOSYS:
            return Error::gateway("this kernel has no io_uring (" + cause +
                                  "): Linux 6.1 or newer is needed");
        case EINVAL:
            return Error::gateway("this kernel's io_uring is too old (" + cause +
                                  "): Linux 6.1 or newer is needed");
        case ENOMEM:
            return Error::gateway("no memory for an io_uring (" + cause +
                                  "): raise the limit of locked memory (ulimit -l)");
        default:
            return Error::gateway("io_uring cannot be set up: " + cause);
    }
}

Status Ring::probe() {
    io_uring ring{};
    if (const int error = set_up(ring); error < 0) return setup_error(-error);
    io_uring_probe* probe = io_uring_get_probe_ring(&ring);
    const char* missing = nullptr;
    const std::pair<int, const char*> needed[] = {
        {IORING_OP_ACCEPT, "accept"},     {IORING_OP_CONNECT, "connect"},
        {IORING_OP_RECV, "recv"},         {IORING_OP_SEND, "send"},
        {IORING_OP_SENDMSG, "sendmsg"},   {IORING_OP_ASYNC_CANCEL, "cancel"},
        {IORING_OP_MSG_RING, "msg_ring"}, {IORING_OP_POLL_ADD, "poll_add"},
    };
    for (const auto& [opcode, name] : needed)
        if (probe == nullptr || !io_uring_opcode_supported(probe, opcode)) missing = name;
    io_uring_free_probe(probe);
    int error = 0;
    auto* buffer_ring =
        io_uring_setup_buf_ring(&ring, limits::buffers_provided, buffer_group, 0, &error);
    if (buffer_ring != nullptr)
        io_uring_free_buf_ring(&ring, buffer_ring, limits::buffers_provided, buffer_group);
    else
        missing = "provided buffer rings";
    io_uring_queue_exit(&ring);
    if (missing != nullptr)
        return Error::gateway(std::string("this kernel's io_uring lacks ") + missing +
                              ": Linux 6.1 or newer is needed");
    return Done{};
}

}  // namespace sluice::io
