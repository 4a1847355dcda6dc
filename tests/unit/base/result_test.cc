#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "sluice/base/result.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

using sluice::Error;
using sluice::Result;
using sluice::Retry;
using sluice::Source;

TEST_CASE("a result holds its value") {
    Result<std::string> result = std::string("seven");
    REQUIRE(result.ok());
    CHECK(static_cast<bool>(result));
    CHECK(*result == "seven");
    CHECK(result->size() == 5);
}

TEST_CASE("a value that can only be moved comes out of a result") {
    Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
    const std::unique_ptr<int> taken = std::move(result).value();
    REQUIRE(taken != nullptr);
    CHECK(*taken == 7);
}

TEST_CASE("an error says whose fault it is, whether to retry and which status it is") {
    const Error error = Error::backend(502, Retry::reused_only, "closed before it answered");
    CHECK(error.source == Source::backend);
    CHECK(error.retry == Retry::reused_only);
    CHECK(error.status == 502);

    const Result<int> result = error;
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().message == "closed before it answered");
}

TEST_CASE("errors of the client and of the gateway are never worth a retry") {
    const Error client = Error::client(400, "no model");
    CHECK(client.source == Source::client);
    CHECK(client.retry == Retry::no);
    CHECK(client.status == 400);
    const Error gateway = Error::gateway("no memory");
    CHECK(gateway.source == Source::gateway);
    CHECK(gateway.retry == Retry::no);
    CHECK(gateway.status == 500);
}
