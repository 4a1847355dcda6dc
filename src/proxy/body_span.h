// Reads a span of a body that lies in slices.
#pragma once

#include "sluice/llm/body_reader.h"
#include "sluice/mem/chain.h"

#include <algorithm>
#include <cstddef>

namespace sluice::proxy {

// Calls `take` with the bytes [span.begin, span.end) of the body, slice by slice.
template <class Take>
void for_each_part(const mem::Chain& body, llm::Span span, Take take) {
    std::size_t at = 0;
    body.for_each([&](const mem::Slice& slice) {
        const std::size_t begin = std::max(span.begin, at);
        const std::size_t end = std::min(span.end, at + slice.size());
        if (begin < end) take(slice.text().substr(begin - at, end - begin));
        at += slice.size();
        return at < span.end;
    });
}

}  // namespace sluice::proxy
