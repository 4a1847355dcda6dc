// ResponseReader: counts the tokens of an answer that is not streamed, while its bytes pass.
//
// Pure. Bytes come in any split; nothing is kept but the few fields of interest. It never fails the
// relay: text that is not JSON, or that is too strange, leaves `usage().known` false.
#pragma once

#include <string_view>

#include "sluice/llm/usage.h"

namespace sluice::llm {

class ResponseReader {
public:
    void feed(std::string_view bytes);
    // After the last byte (or when the answer was cut).
    const Usage& usage() const;
    // The text was one complete JSON value.
    bool complete() const;

private:
};

}  // namespace sluice::llm
