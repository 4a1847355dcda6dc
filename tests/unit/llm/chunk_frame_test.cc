// What stands in the frame of a chunk is found wherever it stands: the frame is searched in steps.
#include "sluice/llm/usage.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <string>

using namespace sluice::llm;

namespace {

bool tells_usage(const std::string& data) {
    Usage usage;
    read_event({}, data, usage);
    return usage.known && usage.prompt == 25 && usage.completion == 5;
}

bool is_error(const std::string& data) {
    Usage usage;
    return read_event({}, data, usage).error;
}

}  // namespace

TEST_CASE("a word that matters is found at every place of a chunk's frame") {
    const std::string usage = R"("usage":{"prompt_tokens":25,"completion_tokens":5})";
    const std::string choices = R"("choices":[{"index":0,"delta":{"content":"x"}}])";
    for (std::size_t size = 0; size < 40; ++size) {
        CAPTURE(size);
        const std::string id = R"("id":")" + std::string(size, 'p') + '"';
        CHECK(tells_usage("{" + choices + "," + id + "," + usage + "}"));
        CHECK(tells_usage("{" + choices + "," + usage + "," + id + "}"));
        CHECK(tells_usage("{" + id + "," + choices + "," + usage + "}"));
        CHECK(tells_usage("{" + usage + "," + id + "," + choices + "}"));
        CHECK_FALSE(tells_usage("{" + choices + "," + id + "}"));
        CHECK(is_error("{" + choices + "," + id + R"(,"error":1})"));
        CHECK(is_error("{" + id + R"(,"error":1,)" + choices + "}"));
        CHECK_FALSE(is_error("{" + choices + "," + id + "}"));
    }
}
