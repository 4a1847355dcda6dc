// ContentDecoder against what the libraries themselves compress, in every split, and against what
// means harm.
#include "sluice/http/content_decoder.h"

#include <doctest/doctest.h>

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace sluice::http {
namespace {

std::string gzip(std::string_view text) {
    z_stream stream{};
    REQUIRE(::deflateInit2(&stream, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY) == Z_OK);
    std::string out(::deflateBound(&stream, text.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    REQUIRE(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    ::deflateEnd(&stream);
    return out;
}

std::string zstd(std::string_view text, int level = 3, int window_log = 0) {
    ZSTD_CCtx* const context = ::ZSTD_createCCtx();
    ::ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    ::ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    if (window_log != 0) ::ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    std::string out(::ZSTD_compressBound(text.size()) + 64, '\0');
    const std::size_t size =
        ::ZSTD_compress2(context, out.data(), out.size(), text.data(), text.size());
    ::ZSTD_freeCCtx(context);
    REQUIRE_FALSE(::ZSTD_isError(size));
    out.resize(size);
    return out;
}

std::string words(std::size_t bytes) {
    std::string text;
    for (unsigned i = 0; text.size() < bytes; ++i)
        text += "{\"role\":\"user\",\"content\":\"" + std::to_string(i * 2654435761U) + "\"},";
    text.resize(bytes);
    return text;
}

struct Decoded {
    std::string text;
    bool complete = false;
    std::optional<Error> error;
};

// Pieces of so many bytes in, and at most so many out at a time.
Decoded decode(std::string_view coding, std::string_view coded, std::size_t in, std::size_t room,
               std::size_t stop_at = std::string::npos) {
    const auto decoder = ContentDecoder::create(coding);
    REQUIRE(decoder != nullptr);
    Decoded result;
    std::vector<char> out(room);
    while (result.text.size() < stop_at && (!coded.empty() || decoder->holds_more())) {
        const auto step = decoder->decode(coded.substr(0, in), out);
        if (!step) {
            result.error = step.error();
            return result;
        }
        REQUIRE(step.value().consumed <= std::min(in, coded.size()));
        REQUIRE(step.value().produced <= room);
        coded.remove_prefix(step.value().consumed);
        result.text.append(out.data(), step.value().produced);
    }
    result.complete = decoder->complete();
    return result;
}

struct Coding {
    const char* name;
    std::string (*code)(std::string_view);
};
constexpr Coding codings[] = {{"gzip", gzip},
                              {"zstd", [](std::string_view text) { return zstd(text); }}};

}  // namespace

TEST_CASE("C6: which codings there are") {
    for (const char* name : {"gzip", "GZIP", "x-gzip", "zstd", "Zstd"})
        CHECK(ContentDecoder::create(name) != nullptr);
    for (const char* name : {"", "deflate", "br", "identity", "gzip, zstd", "zstdx", "compress"})
        CHECK(ContentDecoder::create(name) == nullptr);
}

TEST_CASE("C6: what was coded comes out again, in any split") {
    const std::string text = words(5000);
    for (const Coding& coding : codings) {
        CAPTURE(coding.name);
        const std::string coded = coding.code(text);
        for (const std::size_t in : {1UL, 2UL, 7UL, 64UL, coded.size()}) {
            for (const std::size_t room : {1UL, 3UL, 4096UL, 5000UL, 1UL << 17}) {
                const Decoded decoded = decode(coding.name, coded, in, room);
                CHECK(decoded.text == text);
                CHECK(decoded.complete);
            }
        }
    }
}

TEST_CASE("C6: large texts, empty ones, and several members one behind the other") {
    for (const Coding& coding : codings) {
        CAPTURE(coding.name);
        const std::string large = words(3 << 20);
        CHECK(decode(coding.name, coding.code(large), 4096, 1 << 15).text == large);
        const Decoded empty = decode(coding.name, coding.code(""), 4096, 16);
        CHECK(empty.text.empty());
        CHECK(empty.complete);
        const std::string three = coding.code("a") + coding.code("") + coding.code("bc");
        for (const std::size_t in : {1UL, 5UL, three.size()}) {
            const Decoded several = decode(coding.name, three, in, 1);
            CHECK(several.text == "abc");
            CHECK(several.complete);
        }
    }
}

TEST_CASE("C6: a body that ends too early is not complete") {
    const std::string text = words(3000);
    for (const Coding& coding : codings) {
        CAPTURE(coding.name);
        const std::string coded = coding.code(text);
        for (std::size_t size = 0; size < coded.size(); ++size) {
            const Decoded cut = decode(coding.name, coded.substr(0, size), 100, 4096);
            CHECK_FALSE(cut.complete);
            CHECK_FALSE(cut.error.has_value());
        }
        const Decoded begun = decode(coding.name, coded + coded.substr(0, 5), 4096, 4096);
        CHECK_FALSE(begun.complete);
    }
}

TEST_CASE("C6: what is broken is the client's fault") {
    const std::string text = words(3000);
    for (const Coding& coding : codings) {
        CAPTURE(coding.name);
        const std::string coded = coding.code(text);
        for (const std::size_t at : {0UL, 1UL, coded.size() / 2, coded.size() - 1}) {
            std::string broken = coded;
            broken[at] = static_cast<char>(broken[at] ^ 0x55);
            const Decoded decoded = decode(coding.name, broken, 64, 4096);
            const bool found = decoded.error.has_value() || !decoded.complete;
            CHECK(found);
            if (decoded.error) CHECK(decoded.error->status == 400);
        }
        for (const std::string& other : {std::string("plain text"), coded + "behind it"}) {
            const Decoded decoded = decode(coding.name, other, 4096, 4096);
            REQUIRE(decoded.error.has_value());
            CHECK(decoded.error->source == Source::client);
            CHECK(decoded.error->message.find(coding.name) != std::string::npos);
        }
    }
}

TEST_CASE("C6: a bomb comes out in pieces, and holds little memory") {
    const std::string zeros(64 << 20, '\0');
    for (const Coding& coding : codings) {
        CAPTURE(coding.name);
        const std::string bomb = coding.code(zeros);
        CHECK(bomb.size() < 100'000);
        const auto decoder = ContentDecoder::create(coding.name);
        std::vector<char> room(4096);
        std::string_view rest = bomb;
        for (int i = 0; i < 1000; ++i) {
            const auto step = decoder->decode(rest, room);
            REQUIRE(step.ok());
            CHECK(step.value().produced <= room.size());
            rest.remove_prefix(step.value().consumed);
        }
        CHECK(decoder->memory() < std::size_t{9} << 20);
    }
}

TEST_CASE("C6: a zstd frame that asks for a large window is refused, with what to do") {
    const std::string text = words(20 << 20);
    CHECK(decode("zstd", zstd(text, 1, 23), 4096, 1 << 15).text == text);
    const Decoded large = decode("zstd", zstd(text, 1, 24), 4096, 1 << 15);
    REQUIRE(large.error.has_value());
    CHECK(large.error->status == 413);
    CHECK(large.error->message.find("8 MiB") != std::string::npos);
}

}  // namespace sluice::http
