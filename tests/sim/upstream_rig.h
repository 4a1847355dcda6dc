// A loop on virtual time, and models to place requests at: what the tests of the module upstream
// share that need to decide what the time is.
#pragma once

#include "simulation.h"
#include "sluice/io/loop.h"
#include "sluice/upstream/catalog.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace sluice::sim {

struct LoopRig {
    LoopRig()
        : simulation(1, Faults::none()),
          buffers(256, 64),
          ring(io::Ring::create(buffers).value()),
          loop(*ring, buffers, nodes) {}

    void wait(Duration time) {
        simulation.run({&loop}, [] { return false; }, time);
    }
    template <class Holds>
    bool run(Holds&& holds) {
        return simulation.run({&loop}, holds, Duration::seconds(600));
    }

    Simulation simulation;
    mem::BufferPool buffers;
    mem::NodePool nodes;
    std::unique_ptr<io::Ring> ring;
    io::Loop loop;
};

// The server with this number.
inline std::shared_ptr<const upstream::Endpoint> server(std::uint32_t id) {
    auto made = std::make_shared<upstream::Endpoint>();  // shared: targets keep it
    made->id = id;
    made->url = "http://127.0.0.1:" + std::to_string(9000 + id);
    made->target = net::parse_url(made->url).value();
    return made;
}

// A catalog with numbers as a watch gives them: every target on a server of its own.
class Models {
public:
    upstream::Model& add(const std::string& name, std::size_t targets,
                         upstream::Kind kind = upstream::Kind::unknown) {
        upstream::Model* model = nullptr;
        for (std::size_t i = 0; i < targets; ++i) {
            upstream::Target target;
            target.endpoint = server(targets_);
            target.upstream_name = name;
            target.kind = kind;
            target.id = target.slot_pool = targets_++;
            model = &catalog.add(name, {}, std::move(target));
        }
        model->id = models_++;
        return *model;
    }

    upstream::Catalog catalog;

private:
    std::uint32_t models_ = 0;
    std::uint32_t targets_ = 0;
};

}  // namespace sluice::sim
