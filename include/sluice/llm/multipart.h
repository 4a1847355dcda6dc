// MultipartReader: finds the `model` part of a multipart/form-data body (RFC 7578, RFC 2046).
//
// Pure. Bytes come in any split; only the part's header lines and the value of the parts named
// `model` and `stream` are kept (bounded). A body that is not well formed, or that names a model
// twice, is the client's error.
//
// Strict where parsers differ, so that gateway and backend cannot read different models: the body
// begins with the first delimiter and ends with the last one (at most a CRLF behind it); no white
// space behind a delimiter; header lines end with CRLF and are not folded; every part has exactly
// one Content-Disposition: form-data with one name, in which neither a backslash nor name* is
// allowed; no transfer encoding; the model is not a file.
#pragma once

#include "sluice/base/result.h"
#include "sluice/llm/body_reader.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::llm {

// The header lines of one part together; three short ones are usual.
inline constexpr std::size_t multipart_header_bytes_max = 4 * limits::KiB;

class MultipartReader {
public:
    // `content_type` is the request's Content-Type value; an error when it has no valid boundary.
    static Result<MultipartReader> create(std::string_view content_type);

    void feed(std::string_view bytes);
    bool failed() const { return step_ == Step::failed; }
    // The body is complete. `model_value` spans the part's content (no quotes): an alias is put in
    // there as it is. `stream` is set when a part named stream says "true". Called once.
    Result<RequestFacts> finish();

private:
    enum class Step : std::uint8_t {
        content,          // of a part, up to the delimiter; the body begins as if behind a CRLF
        after_delimiter,  // CR of a CRLF, or the first '-' of "--"
        delimiter_lf,     // its LF
        delimiter_dash,   // the second '-'
        header,           // the header lines of a part
        end,              // behind the last delimiter: nothing, or CRLF
        end_lf,
        done,
        failed,
    };
    // Which part's content is being read.
    enum class Part : std::uint8_t { preamble, model, stream, other };

    explicit MultipartReader(std::string_view boundary);

    const char* read_content(const char* p, const char* end);
    const char* read_header(const char* p, const char* end);
    const char* read_byte(const char* p);
    const char* fail(const char* problem);
    void keep(std::string_view piece);
    void begin_part();
    void end_part();

    std::string delimiter_;  // CRLF "--" boundary
    std::string text_;       // header lines, or the value of a part that is read
    RequestFacts facts_;
    const char* problem_ = nullptr;
    std::size_t offset_ = 0;     // bytes taken before the current run
    const char* run_ = nullptr;  // only within feed()
    const char* run_end_ = nullptr;
    std::size_t matched_ = 2;  // bytes of the delimiter that have come
    std::size_t content_begin_ = 0;
    std::size_t content_end_ = 0;
    Step step_ = Step::content;
    Part part_ = Part::preamble;
    bool model_seen_ = false;
    bool stream_seen_ = false;
};

}  // namespace sluice::llm
