#include "sluice/http/content_decoder.h"

#include "decoders.h"
#include "sluice/http/head.h"

namespace sluice::http {

std::unique_ptr<ContentDecoder> ContentDecoder::create(std::string_view coding) {
    // RFC 9110 section 8.4.1.3: x-gzip is the same.
    if (same_name(coding, "gzip") || same_name(coding, "x-gzip")) return make_gzip_decoder();
    if (same_name(coding, "zstd")) return make_zstd_decoder();
    return nullptr;
}

}  // namespace sluice::http
