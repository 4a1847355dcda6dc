// ContentDecoder: undoes the content coding of a body as it comes (RFC 9110 section 8.4.1).
//
// Pure. Any split of the coded bytes will do, and what comes of them is handed out in pieces as
// small as the caller likes: a few bytes may stand for many, so whoever calls has the bound. What a
// decoder holds itself is bounded by the coding: gzip 32 KiB of window, zstd the 8 MiB that
// RFC 8878 section 3.1.1.1.2 asks for.
#pragma once

#include "sluice/base/limits.h"
#include "sluice/base/result.h"

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace sluice::http {

class ContentDecoder {
public:
    // The codings there are, as Accept-Encoding names them.
    static constexpr std::string_view codings = "gzip, zstd";

    // Of the coding of that name, in any case; null where there is none.
    static std::unique_ptr<ContentDecoder> create(std::string_view coding);

    ContentDecoder() = default;
    ContentDecoder(const ContentDecoder&) = delete;
    ContentDecoder& operator=(const ContentDecoder&) = delete;
    virtual ~ContentDecoder() = default;

    struct Step {
        std::size_t consumed = 0;  // of the coded bytes
        std::size_t produced = 0;  // written to `out`
    };
    // Decodes as much as fits. Where something was left (`consumed` is less than there was, or
    // holds_more()) it is called again with the rest, which may be empty. An error is the client's.
    virtual Result<Step> decode(std::string_view coded, std::span<char> out) = 0;
    // Decoded bytes found no room.
    virtual bool holds_more() const = 0;
    // The body may end here.
    virtual bool complete() const = 0;
    // Bytes that it holds beside the two texts.
    virtual std::size_t memory() const = 0;
};

}  // namespace sluice::http
