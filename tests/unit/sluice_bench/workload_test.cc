#include "workload.h"

#include "json_check.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace sluice;
using namespace sluice::bench;
using Shape = RequestKind::Shape;

TEST_CASE("a scenario names a kind of request a line") {
    const auto kinds = parse_scenario(
        "# a mix\n"
        "weight=3 kind=chat stream=yes prompt=4KiB max-tokens=64 model=big\n"
        "\n"
        "  kind=embeddings\tprompt=8KiB  # the rest\r\n"
        "kind=get path=/v1/models");
    REQUIRE(kinds.ok());
    REQUIRE(kinds.value().size() == 3);
    const auto& chat = kinds.value()[0];
    CHECK(chat.weight == 3);
    CHECK(chat.stream);
    CHECK(chat.prompt_bytes == 4096);
    CHECK(chat.max_tokens == 64);
    CHECK(chat.model == "big");
    CHECK(kinds.value()[1].shape == Shape::embeddings);
    CHECK(kinds.value()[1].weight == 1);
    CHECK(kinds.value()[2].path == "/v1/models");
}

TEST_CASE("a scenario that is wrong names its line") {
    for (const char* text :
         {"weight=1\nkind=poem", "#\nweight=0", "\nweight", "a=b\n", "prompt=many",
          "stream=perhaps", "max-tokens=1x", "", "# nothing", "weight=1 weight=2"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_scenario(text).ok());
    }
    CHECK(parse_scenario("weight=1\nkind=poem").error().message.starts_with("line 2: 'poem'"));
    CHECK(parse_scenario("\nmodel=a kind=get model=a").error().message ==
          "line 2: 'model' is said twice");
}

TEST_CASE("a stream is asked for its usage unless that is not wanted") {
    constexpr std::string_view words = R"(,"stream":true,"stream_options":{"include_usage":true})";
    for (const Shape shape : {Shape::chat, Shape::completion}) {
        const auto body = [&](bool stream, bool usage) {
            return make_requests({{.shape = shape, .stream = stream, .usage = usage}}, {})[0].body;
        };
        CHECK(body(true, true).find(words) != std::string::npos);
        CHECK(body(true, false).find("stream_options") == std::string::npos);
        CHECK(body(true, false).find(R"("stream":true)") != std::string::npos);
        CHECK(JsonCheck::valid(body(true, false)));
        CHECK(body(false, true).find("stream") == std::string::npos);
    }
}

TEST_CASE("requests are whole: length, JSON, prompt, fields") {
    for (const Shape shape : {Shape::chat, Shape::completion, Shape::embeddings}) {
        RequestKind kind{
            .shape = shape, .model = "m", .stream = true, .prompt_bytes = 5000, .max_tokens = 9};
        const auto request = make_requests(
            {kind}, {.host = "h:1", .path_prefix = "/x", .fields = {"Authorization: Bearer k"}})[0];
        CHECK(JsonCheck::valid(request.body));
        CHECK(request.body.size() >= 5000);
        CHECK(request.body.size() < 5200);
        const auto text = request.text_with("a: b");
        CHECK(text.starts_with("POST /x/v1/"));
        CHECK(text.find("\r\nHost: h:1\r\n") != std::string::npos);
        CHECK(text.find("\r\nAuthorization: Bearer k\r\n") != std::string::npos);
        CHECK(text.find("\r\nContent-Length: " + std::to_string(request.body.size()) + "\r\n") !=
              std::string::npos);
        CHECK(text.ends_with("\r\na: b\r\n\r\n" + request.body));
        CHECK(request.expectation.stream);
    }
}

TEST_CASE("a stalled client asks for a long stream of the first kind that has one") {
    const RequestKind get{.shape = Shape::get, .path = "/big"};
    const RequestKind vectors{.shape = Shape::embeddings, .model = "e"};
    const RequestKind chat{.shape = Shape::chat, .path = "/x", .model = "m", .max_tokens = 9};
    const RequestKind completion{.shape = Shape::completion, .model = "c"};
    const auto from_mix = stalled_kind({get, vectors, chat, completion}, 500);
    CHECK(from_mix.shape == Shape::chat);
    CHECK(from_mix.path == "/x");
    CHECK(from_mix.model == "m");
    CHECK(from_mix.stream);
    CHECK(from_mix.max_tokens == 500);
    CHECK(stalled_kind({completion}, 0).shape == Shape::completion);
    CHECK(stalled_kind({completion}, 0).max_tokens == 0);
    // What has no stream is asked for as it is.
    CHECK(stalled_kind({get, vectors}, 500).path == "/big");
    CHECK_FALSE(stalled_kind({vectors}, 500).stream);
}

TEST_CASE("a GET has no body, and a connection for one request says so") {
    const auto request =
        make_requests({{.shape = Shape::get, .path = "/healthz"}},
                      {.host = "h", .path_prefix = {}, .fields = {}, .keep_alive = false})[0];
    CHECK(request.text_with({}) ==
          "GET /healthz HTTP/1.1\r\nHost: h\r\nUser-Agent: sluice-bench\r\nConnection: "
          "close\r\n\r\n");
}

TEST_CASE("kinds take turns by weight, evenly and the same every time") {
    std::vector<Request> requests(3);
    requests[0].weight = 5;
    requests[1].weight = 1;
    requests[2].weight = 2;
    Rotation rotation(requests);
    std::string order;
    for (int i = 0; i < 16; ++i)
        order += static_cast<char>('a' + rotation.next());
    CHECK(order.substr(0, 8) == order.substr(8));
    CHECK(std::ranges::count(order, 'a') == 10);
    CHECK(std::ranges::count(order, 'b') == 2);
    CHECK(std::ranges::count(order, 'c') == 4);
    CHECK(order.find("aaaa") == std::string::npos);
}
