// gzip (RFC 1952), by zlib.
#include "decoders.h"
#include "sluice/base/assert.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <string>

namespace sluice::http {
namespace {

// The largest window, and nothing but the gzip format.
constexpr int window_bits = 15 + 16;
// zlib.h on the memory of inflate: the window and about 7 KiB.
constexpr std::size_t memory_bytes = (std::size_t{1} << 15) + 8 * limits::KiB;

uInt bounded(std::size_t size) {
    return static_cast<uInt>(std::min<std::size_t>(size, std::numeric_limits<uInt>::max()));
}

class GzipDecoder final : public ContentDecoder {
public:
    GzipDecoder() { ready_ = ::inflateInit2(&stream_, window_bits) == Z_OK; }
    ~GzipDecoder() override {
        if (ready_) ::inflateEnd(&stream_);
    }

    Result<Step> decode(std::string_view coded, std::span<char> out) override;
    bool holds_more() const override { return holds_more_; }
    bool complete() const override { return complete_; }
    std::size_t memory() const override { return memory_bytes; }

private:
    z_stream stream_{};
    bool ready_ = false;
    bool holds_more_ = false;
    bool complete_ = false;  // a member has ended, and another may follow (section 2.2)
};

Result<ContentDecoder::Step> GzipDecoder::decode(std::string_view coded, std::span<char> out) {
    SLUICE_ASSERT(!out.empty());
    if (!ready_) return Error::gateway("There is no memory to decode the request body.");
    if (complete_ && coded.empty()) return Step{};
    if (complete_) ::inflateReset(&stream_);
    const uInt in_bytes = bounded(coded.size());
    const uInt out_bytes = bounded(out.size());
    // The library takes its input as it takes its output, and leaves it alone.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(coded.data()));
    stream_.avail_in = in_bytes;
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = out_bytes;
    const int code = ::inflate(&stream_, Z_NO_FLUSH);
    complete_ = code == Z_STREAM_END;
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        const char* const what = stream_.msg != nullptr ? stream_.msg : "no memory";
        return Error::client(400, std::string("The request body is no sound gzip: ") + what + ".");
    }
    holds_more_ = !complete_ && stream_.avail_out == 0;
    return Step{in_bytes - stream_.avail_in, out_bytes - stream_.avail_out};
}

}  // namespace

std::unique_ptr<ContentDecoder> make_gzip_decoder() {
    return std::make_unique<GzipDecoder>();
}

}  // namespace sluice::http
