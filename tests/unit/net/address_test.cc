#include "sluice/net/address.h"

#include <doctest/doctest.h>

#include <string>

using sluice::net::Address;
using sluice::net::parse_url;

TEST_CASE("addresses are read and written the same") {
    struct Row {
        const char* text;
        const char* written;
        const char* host;
        int port;
        bool loopback;
    };
    const Row rows[] = {
        {"127.0.0.1:8642", "127.0.0.1:8642", "127.0.0.1", 8642, true},
        {"127.8.9.10:1", "127.8.9.10:1", "127.8.9.10", 1, true},
        {"0.0.0.0:80", "0.0.0.0:80", "0.0.0.0", 80, false},
        {"192.168.1.7:65535", "192.168.1.7:65535", "192.168.1.7", 65535, false},
        {"[::1]:8642", "[::1]:8642", "::1", 8642, true},
        {"[::]:0", "[::]:0", "::", 0, false},
        {"[2001:db8::7]:80", "[2001:db8::7]:80", "2001:db8::7", 80, false},
        {"localhost:9", "127.0.0.1:9", "127.0.0.1", 9, true},
        {"unix:/run/model.sock", "unix:/run/model.sock", "unix", 0, true},
        {"unix:relative.sock", "unix:relative.sock", "unix", 0, true},
    };
    for (const Row& row : rows) {
        CAPTURE(row.text);
        const auto address = Address::parse(row.text);
        REQUIRE(address.ok());
        CHECK(address.value().to_string() == row.written);
        CHECK(address.value().host() == row.host);
        CHECK(address.value().port() == row.port);
        CHECK(address.value().is_loopback() == row.loopback);
        CHECK(address.value().is_unix() == std::string(row.text).starts_with("unix:"));
        const auto again = Address::parse(address.value().to_string());
        REQUIRE(again.ok());
        CHECK(again.value().to_string() == row.written);
    }
}

TEST_CASE("what is no address is refused, and the error names it") {
    const std::string too_long = "unix:/" + std::string(120, 'x');
    for (const std::string& text : std::initializer_list<std::string>{
             "", "8642", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
             "127.0.0.1:80x", "127.0.0.1: 80", ":8642", "[]:80", "::1:80", "[::1]", "[::1:80",
             "unix:", "*:80", "[*]:80", too_long}) {
        CAPTURE(text);
        const auto address = Address::parse(text);
        REQUIRE_FALSE(address.ok());
        CHECK_FALSE(address.error().message.empty());
    }
    CHECK(Address::parse("127.0.0.1:http").error().message.find("'http'") != std::string::npos);
}

TEST_CASE("a URL is cut into host, path and address") {
    struct Row {
        const char* text;
        const char* host;
        const char* path;
        const char* address;
    };
    const Row rows[] = {
        {"http://127.0.0.1:8081", "127.0.0.1:8081", "", "127.0.0.1:8081"},
        {"http://127.0.0.1", "127.0.0.1", "", "127.0.0.1:80"},
        {"http://127.0.0.1/", "127.0.0.1", "", "127.0.0.1:80"},
        {"http://127.0.0.1:8081/v1", "127.0.0.1:8081", "/v1", "127.0.0.1:8081"},
        {"http://127.0.0.1:8081/a/b//", "127.0.0.1:8081", "/a/b", "127.0.0.1:8081"},
        {"http://[::1]:8081/v1", "[::1]:8081", "/v1", "[::1]:8081"},
        {"http://[::1]", "[::1]", "", "[::1]:80"},
        {"http://localhost:8081", "localhost:8081", "", "127.0.0.1:8081"},
        {"unix:/run/model.sock", "localhost", "", "unix:/run/model.sock"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.text);
        const auto url = parse_url(row.text);
        REQUIRE(url.ok());
        CHECK(url.value().host == row.host);
        CHECK(url.value().path == row.path);
        CHECK(url.value().address.to_string() == row.address);
    }
}

TEST_CASE("R15b: a name in a URL is not looked up, but localhost is known") {
    const auto url = parse_url("http://gpu-box.lan:81/v1");
    REQUIRE(url.ok());
    CHECK(url.value().name == "gpu-box.lan");
    CHECK(url.value().port == 81);
    CHECK(url.value().host == "gpu-box.lan:81");
    CHECK(url.value().address.family() == AF_UNSPEC);
    for (const char* known : {"http://localhost", "http://127.0.0.1", "http://[::1]", "unix:/x"})
        CHECK(parse_url(known).value().name.empty());
    CHECK(parse_url("http://gpu-box.lan").value().port == 80);
    CHECK_FALSE(parse_url("http://gpu box:81").ok());
}

TEST_CASE("what is no backend's URL is refused") {
    for (const char* text :
         {"", "127.0.0.1:80", "https://127.0.0.1", "ftp://127.0.0.1", "http://", "http:///v1",
          "http://:80", "http://user:secret@127.0.0.1", "http://127.0.0.1/?key=1",
          "http://127.0.0.1/#part", "http://127.0.0.1/a b", "http://127.0.0.1:99999",
          "http://127.0.0.1?key=1", "http://127.0.0.1#part", "http://::1"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_url(text).ok());
    }
}

TEST_CASE("a password in a URL is not repeated in the error") {
    const auto url = parse_url("http://user:hunter2@127.0.0.1");
    REQUIRE_FALSE(url.ok());
    CHECK(url.error().message.find("hunter2") == std::string::npos);
}
