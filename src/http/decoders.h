// The decoders behind ContentDecoder, each the only user of its library.
#pragma once

#include "sluice/http/content_decoder.h"

namespace sluice::http {

std::unique_ptr<ContentDecoder> make_gzip_decoder();
std::unique_ptr<ContentDecoder> make_zstd_decoder();

}  // namespace sluice::http
