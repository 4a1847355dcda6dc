// What each listener lets in: hosts and pages (C5).
#include "sluice/proxy/doors.h"

#include <doctest/doctest.h>

#include <array>
#include <string>

using namespace sluice;
using proxy::Doors;

namespace {

http::Head head_of(std::string_view host, std::string_view origin) {
    http::Head head;
    head.host = host;
    head.storage[0] = {.name = "origin", .value = origin, .id = http::FieldId::origin};
    head.count = 1;
    head.present.add(http::FieldId::origin);
    return head;
}

config::Settings settings() {
    config::Settings all;
    all.listen = {{"127.0.0.1:1"}, {"unix:/s"}, {"127.0.0.1:2"}};
    all.listen[2].origins = {"app://obsidian.md", "vscode-webview://*", "null"};
    all.allowed_origins = {"https://app.example"};
    return all;
}

}  // namespace

TEST_CASE("C5: only a Unix socket takes any host") {
    const Doors doors(settings());
    for (const std::size_t door : {std::size_t{0}, std::size_t{1}, std::size_t{2}}) {
        CHECK(doors.allow_host(doors.at(door), "localhost"));
        CHECK(doors.allow_host(doors.at(door), "evil.example") == (door == 1));
        CHECK(doors.allow_host(doors.at(door), "127.1") == (door == 1));
    }
}

TEST_CASE("C5: pages of the list, of the flag, of this machine and of the gateway itself") {
    const Doors doors(settings());
    const auto allows = [&doors](std::size_t door, std::string_view origin,
                                 std::string_view host = "127.0.0.1:1") {
        return doors.allow_origin(doors.at(door), head_of(host, origin));
    };
    for (const char* listed :
         {"app://obsidian.md", "APP://Obsidian.md", "vscode-webview://a-b", "null"}) {
        CAPTURE(listed);
        CHECK(allows(2, listed));
        CHECK_FALSE(allows(0, listed));
    }
    for (const char* origin : {"https://app.example", "http://localhost:3000", "http://[::1]"}) {
        CAPTURE(origin);
        CHECK(allows(0, origin));
        CHECK(allows(2, origin));
    }
    for (const char* origin : {"http://app.example", "https://app.example.evil",
                               "app://obsidian.mde", "", "*", "nullx", "https://xapp.example"}) {
        CAPTURE(origin);
        CHECK_FALSE(allows(0, origin));
        CHECK_FALSE(allows(2, origin));
    }
    CHECK(allows(0, "http://10.1.2.3:8642", "10.1.2.3:8642"));
    CHECK(allows(1, "https://AI.example", "ai.example"));
    CHECK_FALSE(allows(0, "http://10.1.2.3:8643", "10.1.2.3:8642"));
    CHECK_FALSE(allows(0, "ftp://10.1.2.3:8642", "10.1.2.3:8642"));
    CHECK_FALSE(allows(0, "http://", ""));
}
