#include "sluice/llm/responses_end.h"

#include "sluice/llm/usage.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::llm;

namespace {

const ErrorText broken{.status = 502, .message = "The backend broke off.\n"};

}  // namespace

TEST_CASE("R7a: a Responses stream ends with error and response.failed, numbered on") {
    ResponsesPlace place;
    const auto take = [&place](std::string_view data) {
        Usage usage;
        place.take(data, read_event("", data, usage).number);
    };
    take(R"({"type":"response.created","sequence_number":0,"response":{"id":"resp_1",)"
         R"("object":"response","created_at":17,"model":"m","instructions":{"id":"no"}}})");
    take(R"({"type":"response.in_progress","sequence_number":1,"response":{"id":"other"}})");
    take(R"({"type":"response.output_text.delta","sequence_number":7,"delta":"a"})");
    CHECK(place.created);
    CHECK(place.next_number == 8);
    CHECK(responses_end(place, broken, false) ==
          "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":"
          "\"The backend broke off.\\n\",\"param\":null,\"sequence_number\":8}\n\n"
          "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":9,"
          "\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":17,"
          "\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":"
          "\"The backend broke off.\\n\",\"type\":\"server_error\"},"
          "\"incomplete_details\":null,\"instructions\":null,\"metadata\":{},\"model\":\"m\","
          "\"output\":[],\"parallel_tool_calls\":true,\"temperature\":null,"
          "\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":null,\"usage\":null}}\n\n");
    // The client has got the backend's error already.
    const std::string rest = responses_end(place, broken, true);
    CHECK(
        rest.starts_with("event: response.failed\ndata: {\"type\":\"response.failed\","
                         "\"sequence_number\":8,"));
    // A server that does not number them, and a stream that has not begun.
    ResponsesPlace bare;
    bare.take(R"({"type":"response.output_text.delta","delta":"a"})", EventFacts::unnumbered);
    CHECK(bare.next_number == 1);
    CHECK_FALSE(bare.created);
    const std::string whole = responses_end(bare, broken, false);
    CHECK(
        whole.starts_with("event: response.created\ndata: {\"type\":\"response.created\","
                          "\"sequence_number\":1,\"response\":{"));
    CHECK(whole.find("\"status\":\"in_progress\",\"error\":null") != whole.npos);
    CHECK(whole.find("\"sequence_number\":3,\"response\"") != whole.npos);
}
