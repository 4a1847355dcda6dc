// Workload: the requests of a run: their bytes, made once, and how often each kind comes.
//
// Pure. A mix of kinds is read from a scenario file, a kind a line:
//     # weight=N kind=chat|completion|embeddings|get stream=yes|no prompt=SIZE max-tokens=N
//     #     model=NAME path=/PATH
//     weight=3 kind=chat stream=yes prompt=1KiB max-tokens=64 model=qwen
//     weight=1 kind=embeddings prompt=8KiB model=nomic
#pragma once

#include "answer_reader.h"
#include "sluice/base/result.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::bench {

// One kind of request.
struct RequestKind {
    enum class Shape : std::uint8_t { chat, completion, embeddings, get };

    Shape shape = Shape::chat;
    std::string path;  // empty: the shape's own
    std::string model = "sim";
    bool stream = false;
    bool usage = true;  // a stream is asked to report it
    std::size_t prompt_bytes = 1024;
    std::uint32_t max_tokens = 0;  // 0: not said
    std::uint32_t weight = 1;
};

Result<std::vector<RequestKind>> parse_scenario(std::string_view text);
Result<RequestKind::Shape> parse_shape(std::string_view text);
std::string_view to_text(RequestKind::Shape shape);
std::string_view path_of(const RequestKind& kind);

// What is said of the server in every request.
struct Addressee {
    std::string host;                 // of the Host field
    std::string path_prefix;          // before each path
    std::vector<std::string> fields;  // "Name: value"
    bool keep_alive = true;
};

// A request as it is sent.
struct Request {
    std::string head;  // field lines, without the empty line
    std::string body;
    Expectation expectation;
    std::uint32_t weight = 1;

    // The whole text with one more field line.
    std::string text_with(std::string_view field) const;
};

// What a stalled client asks for beside a load of these kinds: a stream of so many tokens (0: not
// said) from the first one that can have one, else what the first one asks for.
RequestKind stalled_kind(const std::vector<RequestKind>& kinds, std::uint32_t tokens);

std::vector<Request> make_requests(const std::vector<RequestKind>& kinds, const Addressee& to);

// Which request comes when: each as often as its weight says, spread evenly and the same every
// time.
class Rotation {
public:
    explicit Rotation(const std::vector<Request>& requests);
    std::size_t next();  // the index of a request

private:
    std::vector<std::pair<std::int64_t, std::int64_t>> shares_;  // weight, credit
    std::int64_t sum_ = 0;
};

}  // namespace sluice::bench
