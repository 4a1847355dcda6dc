#include "sluice/http/path.h"

#include <doctest/doctest.h>

namespace sluice::http {

TEST_CASE("fault 162: a path that can be read in two ways is refused") {
    for (const std::string_view path : {"",
                                        "v1",
                                        "*",
                                        "?",
                                        "//",
                                        "//admin",
                                        "/v1//models",
                                        "/v1/models//",
                                        "/.",
                                        "/..",
                                        "/./v1",
                                        "/../v1",
                                        "/v1/.",
                                        "/v1/..",
                                        "/v1/../admin",
                                        "/v1/./models",
                                        "/v1/..%2fadmin",
                                        "/v1%2fadmin",
                                        "/v1%2Fadmin",
                                        "/v1/%2e%2e/admin",
                                        "/v1/%2E./admin",
                                        "/v1/.%2e/admin",
                                        "/v1/%2e",
                                        "/%00",
                                        "/v1/models%00.html",
                                        "/a%0d%0ab",
                                        "/a%1f",
                                        "/a%7f",
                                        "/a%5cb",
                                        "/a%5Cb",
                                        "/a\\b",
                                        "/..\\admin",
                                        "/a;b",
                                        "/v1;x=y/models",
                                        "/a%3bb",
                                        "/a%3Bb",
                                        "/a%252fb",
                                        "/a%25",
                                        "/%",
                                        "/a%",
                                        "/a%2",
                                        "/a%g0",
                                        "/a%0g",
                                        "/a%%41",
                                        "/a%+1",
                                        "/a%-1",
                                        "/a%0x",
                                        "/%76%31/models",
                                        "/v1/mod%65ls",
                                        "/%5f",
                                        "/%7E",
                                        "/%2D",
                                        "/%41"}) {
        CAPTURE(path);
        const Status status = check_path(path);
        REQUIRE_FALSE(status.ok());
        CHECK(status.error().status == 400);
        CHECK(status.error().source == Source::client);
    }
}

TEST_CASE("fault 162: a plain path passes") {
    for (const std::string_view path : {"/",
                                        "/v1/models",
                                        "/v1/models/",
                                        "/v1/chat/completions",
                                        "/v1/models/qwen2.5:7b",
                                        "/.well-known/x",
                                        "/a..b",
                                        "/...",
                                        "/..a",
                                        "/a.",
                                        "/a%20b",
                                        "/%C3%A9",
                                        "/%E2%82%AC",
                                        "/a%3Ab",
                                        "/a%40b",
                                        "/a+b",
                                        "/a@b",
                                        "/a=b&c",
                                        "/~x",
                                        "/V1/Models"}) {
        CAPTURE(path);
        CHECK(check_path(path).ok());
    }
}

TEST_CASE("a segment that is data is decoded once") {
    CHECK(decode_segment("qwen").value() == "qwen");
    CHECK(decode_segment("org%2Fname%3Alatest").value() == "org/name:latest");
    CHECK(decode_segment("a%252Fb").value() == "a%2Fb");
    CHECK(decode_segment("caf%C3%A9").value() == "caf\xc3\xa9");
    CHECK(decode_segment("").value().empty());
    for (const std::string_view segment : {"%", "a%4", "%zz", "a%00b", "%0a", "%7f", "a\tb"}) {
        CAPTURE(segment);
        REQUIRE_FALSE(decode_segment(segment).ok());
        CHECK(decode_segment(segment).error().status == 400);
    }
}

}  // namespace sluice::http
