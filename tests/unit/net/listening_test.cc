#include "sluice/net/listening.h"

#include <doctest/doctest.h>

#include <string>

using sluice::net::Address;
using sluice::net::leads_to;

namespace {

bool leads(const char* target, const char* listener) {
    const auto to = Address::parse(target);
    const auto at = Address::parse(listener);
    REQUIRE((to.ok() && at.ok()));
    return leads_to(to.value(), at.value());
}

}  // namespace

TEST_CASE("R16: an address leads to a listener, whatever way both are written") {
    CHECK(leads("127.0.0.1:80", "127.0.0.1:80"));
    CHECK(leads("localhost:80", "127.0.0.1:80"));
    CHECK(leads("[::ffff:127.0.0.1]:80", "127.0.0.1:80"));
    CHECK(leads("0.0.0.0:80", "127.0.0.1:80"));
    CHECK(leads("127.0.0.1:80", "0.0.0.0:80"));
    CHECK(leads("127.7.7.7:80", "0.0.0.0:80"));
    CHECK(leads("0.0.0.0:80", "0.0.0.0:80"));
    CHECK(leads("[::1]:80", "[::1]:80"));
    CHECK(leads("[::]:80", "[::1]:80"));
    CHECK(leads("[::1]:80", "[::]:80"));
    CHECK(leads("unix:/nowhere/s", "unix:/nowhere/s"));
    CHECK(leads("unix:/nowhere/s", "unix:/nowhere/../nowhere//./s"));
    CHECK(leads("unix:/tmp/../nowhere/s", "unix:/nowhere/s"));
}

TEST_CASE("R16: and others do not") {
    CHECK_FALSE(leads("127.0.0.1:80", "127.0.0.1:81"));
    CHECK_FALSE(leads("127.0.0.2:80", "127.0.0.1:80"));
    CHECK_FALSE(leads("127.0.0.1:80", "[::1]:80"));
    CHECK_FALSE(leads("127.0.0.1:80", "[::]:80"));  // such a listener takes IPv6 only
    CHECK_FALSE(leads("192.0.2.1:80", "0.0.0.0:80"));
    CHECK_FALSE(leads("127.0.0.1:0", "127.0.0.1:0"));  // each gets one of its own
    CHECK_FALSE(leads("unix:/nowhere/s", "unix:/nowhere/t"));
    CHECK_FALSE(leads("unix:/nowhere/s", "127.0.0.1:80"));
    CHECK_FALSE(leads_to(Address(), Address()));
}
