// Server: the listeners and connections of one simulation, on one loop.
#pragma once

#include "connection.h"
#include "options.h"
#include "site.h"
#include "slots.h"
#include "sluice/base/result.h"
#include "sluice/io/loop.h"
#include "sluice/mem/slab.h"
#include "sluice/net/listener.h"

#include <memory>
#include <string>
#include <vector>

namespace sluice::model_sim {

class Server {
public:
    // `options` must outlive it.
    Server(io::Loop& loop, const Options& options);

    // Opens one listening socket; returns its URL. With `--fail refuse` for every request its port
    // is taken and nobody listens: connecting is refused.
    Result<std::string> listen(const std::string& address);
    // Begins to accept on all of them.
    void start();

private:
    void accept(int fd);

    io::Loop& loop_;
    const Options& options_;
    Slots slots_;
    Site site_;
    mem::Slab<Connection> connections_;
    std::vector<int> opened_;
    std::vector<std::unique_ptr<net::Listener>> listeners_;
};

}  // namespace sluice::model_sim
