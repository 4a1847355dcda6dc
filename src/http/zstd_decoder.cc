// zstd (RFC 8878), by its own library.
#include "decoders.h"
#include "sluice/base/assert.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <string>

namespace sluice::http {
namespace {

// What every decoder should take (section 3.1.1.1.2), and levels up to 19 ask for; a frame's head
// may ask for more than any box has.
constexpr int window_log_max = 23;

class ZstdDecoder final : public ContentDecoder {
public:
    ZstdDecoder() : context_(::ZSTD_createDCtx()) {
        if (context_ != nullptr)
            ::ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, window_log_max);
    }
    ~ZstdDecoder() override { ::ZSTD_freeDCtx(context_); }

    Result<Step> decode(std::string_view coded, std::span<char> out) override;
    bool holds_more() const override { return holds_more_; }
    bool complete() const override { return complete_; }
    std::size_t memory() const override { return ::ZSTD_sizeof_DCtx(context_); }

private:
    ZSTD_DCtx* context_;  // null: there was no memory
    bool holds_more_ = false;
    bool complete_ = false;  // a frame has ended, and another may follow (section 3.1)
};

Error refusal(std::size_t code) {
    switch (::ZSTD_getErrorCode(code)) {
        case ZSTD_error_frameParameter_windowTooLarge:
            return Error::client(413,
                                 "The zstd request body needs a window of more than 8 MiB: send it "
                                 "compressed with level 19 or lower, and without --long.");
        case ZSTD_error_memory_allocation:
            return Error::gateway("There is no memory to decode the request body.");
        default:
            return Error::client(400, std::string("The request body is no sound zstd: ") +
                                          ::ZSTD_getErrorName(code) + ".");
    }
}

Result<ContentDecoder::Step> ZstdDecoder::decode(std::string_view coded, std::span<char> out) {
    SLUICE_ASSERT(!out.empty());
    if (context_ == nullptr)
        return Error::gateway("There is no memory to decode the request body.");
    if (complete_ && coded.empty()) return Step{};
    ZSTD_inBuffer in{coded.data(), coded.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const std::size_t code = ::ZSTD_decompressStream(context_, &to, &in);
    if (::ZSTD_isError(code) != 0) return refusal(code);
    complete_ = code == 0;
    holds_more_ = !complete_ && to.pos == to.size;
    return Step{in.pos, to.pos};
}

}  // namespace

std::unique_ptr<ContentDecoder> make_zstd_decoder() {
    return std::make_unique<ZstdDecoder>();
}

}  // namespace sluice::http
