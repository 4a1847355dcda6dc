#include "sluice/base/digest.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;

TEST_CASE("the digests of FIPS 180-4's examples, one after the other and again") {
    const struct {
        std::string text;
        std::string_view digest;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {std::string(1'000'000, 'a'),
         "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (int round = 0; round < 2; ++round) {
        for (const auto& c : cases) {
            const auto expected = parse_digest(c.digest);
            REQUIRE(expected.has_value());
            CHECK(same_digest(sha256(c.text), *expected));
        }
    }
}

TEST_CASE("digests differ when any bit does") {
    const Digest digest = sha256("key");
    CHECK(same_digest(digest, digest));
    for (std::size_t bit = 0; bit < 256; ++bit) {
        Digest other = digest;
        other[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
        CHECK_FALSE(same_digest(digest, other));
    }
}

TEST_CASE("a digest is 64 hexadecimal digits and nothing else") {
    const std::string digits = "BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    REQUIRE(parse_digest(digits).has_value());
    CHECK(*parse_digest(digits) == sha256("abc"));
    for (const std::string& wrong :
         {std::string(), digits.substr(1), digits + "0", "g" + digits.substr(1),
          digits.substr(0, 63) + " ", "0x" + digits.substr(2)})
        CHECK_FALSE(parse_digest(wrong).has_value());
}
