// ResponseReader: counts the tokens of an answer that is not streamed, while its bytes pass.
//
// Pure. Bytes come in any split; nothing is kept but the few fields of interest. It never fails the
// relay: text that is not JSON, or that is too strange, leaves `usage().known` false.
#pragma once

#include "sluice/llm/usage.h"

#include <memory>
#include <string_view>

namespace sluice::llm {

class ResponseReader {
public:
    ResponseReader();
    ResponseReader(ResponseReader&&) noexcept;
    ResponseReader& operator=(ResponseReader&&) noexcept;
    ~ResponseReader();

    void feed(std::string_view bytes);
    // After the last byte (or when the answer was cut): counts that came whole before the cut.
    const Usage& usage() const { return usage_; }
    // The text was one complete JSON value. (A number alone is not: it could go on.)
    bool complete() const;
    // The answer is an error object of whatever dialect.
    bool error() const;
    // It has choices, or text of whatever dialect: then an "error" beside it is none.
    bool answers() const;
    // Of that text, as it is written in JSON.
    std::size_t content_bytes() const;

private:
    struct State;
    std::unique_ptr<State> state_;  // from the first byte on
    Usage usage_;
};

}  // namespace sluice::llm
