// Which pages and names may reach the gateway (faults 156 to 160).
#include "sluice/proxy/host_list.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using sluice::proxy::HostList;

namespace {

const HostList by_default({});
const HostList with_names({"Box.lan", "gateway.example:8642", "192.168.1.5", "[fd00::5]"});

}  // namespace

TEST_CASE("a port may be left out behind its colon, of a host only") {
    const HostList hosts({});
    for (const std::string_view host : {"localhost:", "127.0.0.1:", "[::1]:"})
        CHECK(hosts.allows_host(host));
    for (const std::string_view host : {":", "::", "localhost::", "evil.example:"})
        CHECK_FALSE(hosts.allows_host(host));
    CHECK_FALSE(hosts.allows_origin("http://localhost:"));
}

TEST_CASE("a loopback name and any address of ours may be called, with any port") {
    for (const std::string host :
         {"localhost", "localhost:8642", "LOCALHOST", "LocalHost:1", "127.0.0.1", "127.0.0.1:8642",
          "127.9.9.9", "[::1]", "[::1]:8642", "192.168.1.5:80", "10.0.0.1", "[fe80::1]:8642",
          "[0:0:0:0:0:0:0:1]", "[2001:db8::7]", "[2001:db8::127.0.0.1]"}) {
        CAPTURE(host);
        CHECK(by_default.allows_host(host));
    }
}

TEST_CASE("fault 156: a foreign name that may lead here is refused") {
    for (const std::string host :
         {"evil.example", "evil.example:8642", "localhost.evil.example", "evil-localhost",
          "127.0.0.1.evil.example", "127.0.0.1.nip.io", "localhost.", "1.2.3.4.5", "1.2.3",
          "2130706433", "0x7f000001", "", ":8642", "[::1", "[localhost]x", "local_host"}) {
        CAPTURE(host);
        CHECK_FALSE(by_default.allows_host(host));
        CHECK_FALSE(with_names.allows_host(host));
    }
}

TEST_CASE("fault 160: the unspecified address, which leads to this machine too, is refused") {
    for (const std::string host :
         {"0.0.0.0", "0.0.0.0:8642", "000.000.000.000", "[::]", "[::]:8642", "[0:0:0:0:0:0:0:0]",
          "[0000::0000]", "[::0.0.0.0]", "[::ffff:0.0.0.0]", "[::FFFF:0:0]",
          "[0:0:0:0:0:ffff:0:0]:80", "0", "[::ffff:0:0]"}) {
        CAPTURE(host);
        CHECK_FALSE(by_default.allows_host(host));
        CHECK_FALSE(with_names.allows_host(host));
    }
}

TEST_CASE("C5: no other form of an address is one, unless it was allowed") {
    for (const std::string host : {"[::ffff:127.0.0.1]",
                                   "[::ffff:7f00:1]:8642",
                                   "[::FFFF:127.0.0.1]",
                                   "[::127.0.0.1]",
                                   "[::7f00:1]",
                                   "[0:0:0:0:0:ffff:7f00:1]",
                                   "[::ffff:0:127.0.0.1]",
                                   "[64:ff9b::127.0.0.1]",
                                   "[::ffff:192.168.1.5]",
                                   "127.1",
                                   "127.0.1",
                                   "127.1:8642",
                                   "2130706433",
                                   "2130706433:8642",
                                   "017700000001",
                                   "0177.0.0.1",
                                   "0177.0.0.01",
                                   "127.0.0.01",
                                   "127.000.000.001",
                                   "0x7f.0.0.1",
                                   "0x7f000001",
                                   "0x7F.1",
                                   "127.0.0.1.",
                                   "256.0.0.1",
                                   "127.0.0.256",
                                   "127.0..1",
                                   "0.0.0.1",
                                   "0000.0.0.0",
                                   "[::0x1]",
                                   "[:::1]",
                                   "[::1::]",
                                   "[1:2:3:4:5:6:7]",
                                   "[1:2:3:4:5:6:7:8:9]",
                                   "[::1%25lo]",
                                   "[::00001]",
                                   "[]",
                                   "[:]",
                                   "[1.2.3.4]",
                                   "[::1.2.3]"}) {
        CAPTURE(host);
        CHECK_FALSE(by_default.allows_host(host));
    }
    const HostList listed({"127.1", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", "0.0.0.0"});
    for (const std::string host : {"127.1", "127.1:8642", "[::ffff:127.0.0.1]:80",
                                   "[::FFFF:127.0.0.1]", "0X7F.1", "2130706433", "0.0.0.0:8642"}) {
        CAPTURE(host);
        CHECK(listed.allows_host(host));
    }
    CHECK_FALSE(listed.allows_host("127.0.1"));
    for (const std::string origin :
         {"http://[::ffff:127.0.0.1]", "http://127.1", "http://0177.0.0.1", "http://2130706433",
          "http://127.0.0.01"}) {
        CAPTURE(origin);
        CHECK_FALSE(by_default.allows_origin(origin));
    }
}

TEST_CASE("a name that was allowed is allowed, however it is written, and no other") {
    for (const std::string host :
         {"box.lan", "BOX.LAN:8642", "gateway.example", "gateway.example:80"}) {
        CAPTURE(host);
        CHECK(with_names.allows_host(host));
        CHECK_FALSE(by_default.allows_host(host));
    }
    CHECK_FALSE(with_names.allows_host("a.box.lan"));
    CHECK_FALSE(with_names.allows_host("box.lan.evil.example"));
}

TEST_CASE("fault 157: pages of this machine may call, those of foreign origins may not") {
    for (const std::string origin :
         {"http://localhost", "http://localhost:3000", "https://localhost:8443",
          "http://127.0.0.1:3000", "http://127.0.0.2", "http://[::1]:3000"}) {
        CAPTURE(origin);
        CHECK(by_default.allows_origin(origin));
    }
    for (const std::string origin :
         {"http://evil.example", "https://evil.example:8642", "http://localhost.evil.example",
          "http://127.0.0.1.evil.example", "http://192.168.1.5", "http://10.0.0.1:8642",
          "http://[fe80::1]", "http://0.0.0.0:8642", "http://[::]"}) {
        CAPTURE(origin);
        CHECK_FALSE(by_default.allows_origin(origin));
    }
}

TEST_CASE("fault 159: an origin that is no web page of a host is refused") {
    for (const std::string origin : {"null",
                                     "",
                                     "file://",
                                     "file:///tmp/page.html",
                                     "chrome-extension://abcdef",
                                     "localhost",
                                     "http://",
                                     "http:///",
                                     "//localhost",
                                     "ftp://localhost",
                                     "http://localhost/path",
                                     "http://user@localhost",
                                     "http://localhost:80@evil.example",
                                     "http://localhost:evil",
                                     "http://localhost:",
                                     "http://localhost http://evil.example",
                                     "http://[::1",
                                     "HTTP://",
                                     "http://[::1]evil.example",
                                     "http://[::1]:x"}) {
        CAPTURE(origin);
        CHECK_FALSE(by_default.allows_origin(origin));
        CHECK_FALSE(with_names.allows_origin(origin));
    }
}

TEST_CASE("fault 158: pages of an allowed name may call, an address included") {
    for (const std::string origin :
         {"http://box.lan", "https://BOX.lan:3000", "http://gateway.example",
          "http://192.168.1.5:3000", "http://[fd00::5]"}) {
        CAPTURE(origin);
        CHECK(with_names.allows_origin(origin));
        CHECK_FALSE(by_default.allows_origin(origin));
    }
    CHECK_FALSE(with_names.allows_origin("http://192.168.1.6"));
}
