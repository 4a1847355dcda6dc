// One server and the watch over its health, on virtual time: what it is asked, and what it says.
#pragma once

#include "network.h"
#include "peer.h"
#include "sluice/upstream/health.h"
#include "upstream_rig.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::upstream {

using Probe = config::HealthSetting::Probe;

inline constexpr std::string_view fine_props = R"({"total_slots":4,"endpoint_slots":true})";
inline constexpr std::string_view loading =
    R"({"error":{"message":"Loading model","type":"unavailable_error","code":503}})";

inline std::string answer_of(std::string_view body, int status = 200) {
    return "HTTP/1.1 " + std::to_string(status) +
           " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

// What a server says to a path; nothing: it is silent.
using Answer = std::function<std::optional<std::string>(std::string_view path)>;

struct Asked {
    Instant at;
    std::string path;
    std::string head;
};

struct Server final : sim::Peer {
    Server(std::vector<Asked>& all, const Answer& say) : asked(all), answer(say) {}
    void on_data(std::string_view bytes) override {
        head += bytes;
        if (!head.ends_with("\r\n\r\n")) return;
        REQUIRE(head.starts_with("GET "));
        const std::string path = head.substr(4, head.find(' ', 4) - 4);
        asked.push_back({simulation().now(), path, head});
        const auto text = answer(path);
        if (!text) return;
        send(*text);
        close();
    }
    void on_end() override { close(); }
    std::vector<Asked>& asked;
    const Answer& answer;
    std::string head;
};

struct Change {
    Health health;
    std::string cause;
    Instant at;
};

struct Box : sim::LoopRig {
    explicit Box(Kind kind = Kind::unknown, config::HealthSetting setting = {},
                 config::Secret key = {}) {
        Model& model = models.add("m", 1, kind);
        endpoint = model.targets[0].endpoint;
        answer = [](std::string_view path) {
            return answer_of(path == "/props" ? fine_props : "{}");
        };
        serve();
        watch.emplace(
            loop, std::vector{WatchedServer{endpoint, setting, key}}, 5, this,
            [](void* self, const auto& of, Health health, const std::string& cause) {
                auto& box = *static_cast<Box*>(self);
                CHECK(of == box.endpoint);
                box.changes.push_back({health, cause, box.loop.now()});
            },
            [](void* self, std::uint32_t id) {
                const auto& box = *static_cast<Box*>(self);
                CHECK(id == box.endpoint->id);
                return box.traffic;
            },
            [](void* self, std::uint32_t id, const Sign& sign) {
                auto& box = *static_cast<Box*>(self);
                CHECK(id == box.endpoint->id);
                box.signs.push_back(sign);
            });
        watch->follow(models.catalog);
    }
    ~Box() {
        watch->stop();
        CHECK(run([&] { return watch->stopped(); }));
        const std::size_t before = asked.size();
        wait(Duration::seconds(30));
        CHECK(asked.size() == before);
        CHECK(ring->in_flight() == 0);
        CHECK(loop.timers().armed() == 0);
    }

    void serve() {
        simulation.network().serve(endpoint->target.address,
                                   [this] { return std::make_unique<Server>(asked, answer); });
    }
    void stop_serving() { simulation.network().stop_serving(endpoint->target.address); }
    std::vector<Health> states() const {
        std::vector<Health> all;
        for (const Change& change : changes)
            all.push_back(change.health);
        return all;
    }
    std::vector<std::string> paths() const {
        std::vector<std::string> all;
        for (const Asked& each : asked)
            all.push_back(each.path);
        return all;
    }
    // How often it was asked for that since.
    std::ptrdiff_t times(std::string_view path, std::size_t since = 0) const {
        return std::count_if(asked.begin() + static_cast<std::ptrdiff_t>(since), asked.end(),
                             [&](const Asked& each) { return each.path == path; });
    }
    void wait_change(std::size_t count) {
        REQUIRE(run([&] { return changes.size() >= count; }));
    }

    sim::Models models;
    std::shared_ptr<const Endpoint> endpoint;  // shared: the watch keeps it as well
    Answer answer;
    Traffic traffic;
    std::vector<Asked> asked;
    std::vector<Change> changes;
    std::vector<Sign> signs;
    std::optional<HealthWatch> watch;
};

inline const Catalog nothing;

}  // namespace sluice::upstream
