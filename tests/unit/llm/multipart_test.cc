#include "sluice/llm/multipart.h"

#include "splits.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

constexpr std::string_view form = "multipart/form-data; boundary=b0undary";

std::string part(std::string_view name, std::string_view content, std::string_view more = "") {
    return std::string("--b0undary\r\nContent-Disposition: form-data; name=\"")
        .append(name)
        .append("\"")
        .append(more)
        .append("\r\n\r\n")
        .append(content)
        .append("\r\n");
}

std::string body_of(std::string_view parts) {
    return std::string(parts).append("--b0undary--\r\n");
}

Result<RequestFacts> read_runs(std::string_view body, const Runs& runs) {
    Result<MultipartReader> reader = MultipartReader::create(form);
    REQUIRE(reader.ok());
    feed_runs(reader.value(), body, runs);
    const bool failed_early = reader.value().failed();
    Result<RequestFacts> facts = reader.value().finish();
    CHECK_FALSE((failed_early && facts.ok()));
    return facts;
}

// The facts, or what is wrong, which must be the same in every split.
Result<RequestFacts> read(std::string_view body) {
    Result<RequestFacts> whole = read_runs(body, {});
    for (const Runs& runs : all_splits(body)) {
        Result<RequestFacts> split = read_runs(body, runs);
        REQUIRE(split.ok() == whole.ok());
        if (!whole.ok()) {
            CHECK(split.error().message == whole.error().message);
            continue;
        }
        CHECK(split->model == whole->model);
        CHECK(split->model_value.begin == whole->model_value.begin);
        CHECK(split->model_value.end == whole->model_value.end);
        CHECK(split->stream == whole->stream);
        CHECK(split->stream_given == whole->stream_given);
    }
    return whole;
}

bool refuses(std::string_view body) {
    const Result<RequestFacts> facts = read(body);
    if (!facts.ok()) CHECK(facts.error().status == 400);
    return !facts.ok();
}

std::string model_of(std::string_view body) {
    Result<RequestFacts> facts = read(body);
    return facts.ok() ? facts->model : facts.error().message;
}

// A part with these header lines and the content "m".
std::string with_header(std::string_view lines) {
    return body_of(std::string("--b0undary\r\n").append(lines).append("\r\n\r\nm\r\n"));
}

}  // namespace

TEST_CASE("the model's part is read, and where it stands") {
    using namespace std::string_literals;
    const std::string audio = "RIFF\r\n\0\xFF\r--b0undary\r\n-\r\n--b0undar\r\r\n--b0"s;
    const std::string file = part("file", audio, "; filename=\"a.wav\"\r\nContent-Type: audio/wav");
    for (const std::string& body :
         {body_of(part("model", "whisper-1") + file), body_of(file + part("model", "whisper-1")),
          body_of(part("prompt", "model") + part("model", "whisper-1"))}) {
        const Result<RequestFacts> facts = read(body);
        REQUIRE(facts.ok());
        CHECK(facts.value().model == "whisper-1");
        const Span span = facts.value().model_value;
        CHECK(body.substr(span.begin, span.end - span.begin) == "whisper-1");
        CHECK_FALSE(facts.value().stream_given);
    }
}

TEST_CASE("a form without a model has none") {
    for (const std::string& body : {body_of(part("prompt", "x")), body_of(part("model", ""))}) {
        const Result<RequestFacts> facts = read(body);
        REQUIRE(facts.ok());
        CHECK(facts.value().model.empty());
        CHECK(facts.value().model_value.empty());
    }
}

TEST_CASE("contents that look like delimiters are content") {
    CHECK(model_of(body_of(part("model", "a--b0undary"))) == "a--b0undary");
    CHECK(model_of(body_of(part("model", "--b0undary"))) == "--b0undary");
    // A line end in the name is refused, but it was read to its end first.
    CHECK(model_of(body_of(part("model", "a\r\n--b0undar"))) ==
          "The multipart request body is refused: a model name that is not text.");
    CHECK(model_of(body_of(part("x", "\r\r\n\r\n-\r\n--b0undarx\r\n--b0undar\r\n") +
                           part("model", "m"))) == "m");
}

TEST_CASE("stream is read from its part") {
    Result<RequestFacts> facts = read(body_of(part("model", "m") + part("stream", "true")));
    REQUIRE(facts.ok());
    CHECK(facts->stream);
    CHECK(facts->stream_given);
    facts = read(body_of(part("stream", "false")));
    REQUIRE(facts.ok());
    CHECK_FALSE(facts->stream);
    CHECK(facts->stream_given);
    facts = read(body_of(part("stream", "maybe")));
    REQUIRE(facts.ok());
    CHECK_FALSE(facts->stream_given);
}

TEST_CASE("fault 46: a second model part is refused") {
    CHECK(refuses(body_of(part("model", "a") + part("model", "a"))));
    CHECK(refuses(body_of(part("model", "") + part("model", "a"))));
    CHECK(refuses(body_of(part("stream", "true") + part("stream", "true"))));
    CHECK_FALSE(refuses(body_of(part("x", "1") + part("x", "2") + part("model", "a"))));
}

TEST_CASE("a model that is no name is refused") {
    CHECK(refuses(body_of(part("model", std::string(limits::model_name_bytes_max + 1, 'x')))));
    CHECK_FALSE(refuses(body_of(part("model", std::string(limits::model_name_bytes_max, 'x')))));
    for (const std::string_view name : {"a\nb", "a\rb", "\x7F", "\xFF", "a\xC3", "\x1B[0m"}) {
        CHECK(refuses(body_of(part("model", name))));
    }
    CHECK(refuses(body_of(part("model", std::string_view("a\0b", 3)))));
    CHECK(refuses(body_of(part("model", "m", "; filename=\"m\""))));
    CHECK(model_of(body_of(part("model", "caf\xC3\xA9 \xE6\x9D\xB1"))) ==
          "caf\xC3\xA9 \xE6\x9D\xB1");
}

TEST_CASE("fault 46: a form that ends too early or goes on is refused") {
    const std::string body = body_of(part("model", "m"));
    // The last CRLF may be missing.
    for (std::size_t length = 0; length + 2 < body.size(); ++length) {
        CAPTURE(length);
        CHECK_FALSE(read_runs(body.substr(0, length), {}).ok());
    }
    CHECK_FALSE(refuses(body.substr(0, body.size() - 2)));
    CHECK(refuses(body.substr(0, body.size() - 1)));
    for (const std::string_view more : {"x", "\r\n", "--b0undary", " "}) {
        CHECK(refuses(std::string(body).append(more)));
    }
}

TEST_CASE("fault 46: what parsers of forms read differently is refused") {
    CHECK(refuses(std::string("preamble\r\n").append(body_of(part("model", "m")))));
    CHECK(refuses(std::string("\r\n").append(body_of(part("model", "m")))));
    CHECK(
        refuses("--b0undary \r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n"
                "--b0undary--"));
    CHECK(
        refuses("--b0undary\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n"
                "--b0undary--"));
    CHECK(refuses("--b0undary-x"));
    CHECK(refuses("--b0undaryx"));
    CHECK(refuses("--b0undary--\rx"));
    CHECK(refuses("--b0undarX"));
}

TEST_CASE("headers of parts that are well formed are read") {
    for (const std::string_view lines : {
             "Content-Disposition: form-data; name=\"model\"",
             "content-disposition:form-data;name=model",
             "CONTENT-DISPOSITION: Form-Data ; Name=\"model\" ; x=y;",
             "Content-Type: text/plain\r\nContent-Disposition: form-data; name=\"model\"",
             "Content-Disposition: form-data; x=\"a;name=b\"; name=\"model\"\r\nX-Y:",
             "Content-Transfer-Encoding: binary\r\nContent-Disposition: form-data; name=model",
         }) {
        CAPTURE(lines);
        CHECK(model_of(with_header(lines)) == "m");
    }
    CHECK(model_of(with_header("Content-Disposition: form-data; name=\"Model\"")).empty());
    CHECK(model_of(with_header("Content-Disposition: form-data; name=\"mod%65l\"")).empty());
}

TEST_CASE("fault 46: headers of parts that are not well formed are refused") {
    for (const std::string_view lines : {
             "",
             "X: y",
             "Content-Disposition",
             "Content-Disposition: form-data",
             "Content-Disposition : form-data; name=\"model\"",
             " Content-Disposition: form-data; name=\"model\"",
             "Content-Disposition: form-data;\r\n name=\"model\"",
             "Content-Disposition: form-data; name=\"model\"\nX: y",
             "Content-Disposition: form-data; name=\"model\"\rX: y",
             "Content-Disposition: attachment; name=\"model\"",
             "Content-Disposition: form-data; name=\"x\"; name=\"model\"",
             "Content-Disposition: form-data; name=\"model\"; NAME=x",
             "Content-Disposition: form-data; name*=UTF-8''model",
             "Content-Disposition: form-data; name=\"model\"; name*=UTF-8''x",
             "Content-Disposition: form-data; name=\"mo\\del\"",
             "Content-Disposition: form-data; filename=\"a\\\"; name=\"model\"",
             "Content-Disposition: form-data; x=\"a\\\"; name=\"model\"",
             "Content-Disposition: form-data; name=\"model",
             "Content-Disposition: form-data; name=",
             "Content-Disposition: form-data; name",
             "Content-Disposition: form-data name=model",
             "Content-Disposition: form-data; name=\"model\"x",
             "Content-Disposition: form-data; =model",
             "Content-Disposition: form-data; name=mo del",
             "Content-Disposition: form-data; name=\"model\"\r\nContent-Disposition: form-data; "
             "name=\"x\"",
             "Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: base64",
             "Content-Disposition: form-data; name=\"mo\x01"
             "del\"",
         }) {
        CAPTURE(lines);
        CHECK(refuses(with_header(lines)));
    }
    const std::string long_line(multipart_header_bytes_max, 'x');
    CHECK_FALSE(
        read_runs(with_header("Content-Disposition: form-data; name=x\r\nX: " + long_line), {})
            .ok());
}

TEST_CASE("the boundary is read from the Content-Type") {
    const auto error = [](std::string_view content_type) {
        const Result<MultipartReader> reader = MultipartReader::create(content_type);
        return reader.ok() ? 0 : reader.error().status;
    };
    CHECK(error("multipart/form-data; boundary=x") == 0);
    CHECK(error("Multipart/Form-Data;BOUNDARY=x") == 0);
    CHECK(error("multipart/form-data ; charset=utf-8 ; boundary=\"a b:c\"") == 0);
    CHECK(error("multipart/form-data; boundary=" + std::string(70, 'x')) == 0);
    CHECK(error("multipart/form-data; boundary=" + std::string(71, 'x')) == 400);
    for (const std::string_view bad : {
             "multipart/form-data",
             "multipart/form-data;",
             "multipart/form-data; boundary",
             "multipart/form-data; boundary=",
             "multipart/form-data; boundary=\"\"",
             "multipart/form-data; boundary=\"x \"",
             "multipart/form-data; boundary=\"x",
             "multipart/form-data; boundary=x; boundary=x",
             "multipart/form-data; boundary=\"x\\y\"",
             "multipart/form-data; boundary=x y",
             "multipart/form-data, boundary=x",
         }) {
        CAPTURE(bad);
        CHECK(error(bad) != 0);
    }
    for (const std::string_view other :
         {"", "text/plain", "multipart/mixed; boundary=x", "multipart/form-data2; boundary=x"}) {
        CHECK(error(other) == 415);
    }
}
