// MultipartReader: finds the `model` part of a multipart/form-data body (RFC 7578, RFC 2046).
//
// Pure. Bytes come in any split; only the part's header lines and the value of the parts named
// `model` and `stream` are kept (bounded). A body that is not well formed, or that names a model
// twice, is the client's error.
#pragma once

#include <string>
#include <string_view>

#include "sluice/base/result.h"
#include "sluice/llm/body_reader.h"

namespace sluice::llm {

class MultipartReader {
public:
    // `content_type` is the request's Content-Type value; an error when it has no valid boundary.
    static Result<MultipartReader> create(std::string_view content_type);

    void feed(std::string_view bytes);
    bool failed() const;
    // The body is complete. `model_value` spans the part's content (no quotes): an alias is put in
    // there as it is. `stream` is set when a part named stream says "true".
    Result<RequestFacts> finish();

private:
};

}  // namespace sluice::llm
