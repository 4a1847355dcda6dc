#include "answers.h"
#include "sluice/llm/answer_of_events.h"

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <string_view>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

// The content of a message of one block, which begins with `block` and has these deltas.
std::string block_of(std::string_view block, std::initializer_list<std::string_view> deltas) {
    std::string stream = data_stream(
        {R"({"type":"message_start","message":{"id":"m1","type":"message","role":"assistant",)"
         R"("content":[],"stop_reason":null,"usage":{"input_tokens":5,"output_tokens":1}}})",
         R"({"type":"ping"})"});
    stream += data_stream(
        {R"({"type":"content_block_start","index":0,"content_block":)" + std::string(block) + "}"});
    for (const std::string_view delta : deltas) {
        stream += data_stream(
            {R"({"type":"content_block_delta","index":0,"delta":)" + std::string(delta) + "}"});
    }
    stream += data_stream(
        {R"({"type":"content_block_stop","index":0})",
         R"({"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},)"
         R"("usage":{"input_tokens":null,"output_tokens":9}})",
         R"({"type":"message_stop"})"});
    const std::string document = document_of(AnswerForm::messages, stream);
    constexpr std::string_view before =
        R"({"id":"m1","type":"message","role":"assistant","content":[)";
    constexpr std::string_view behind =
        R"(],"stop_reason":"end_turn","usage":{"input_tokens":5,"output_tokens":9},)"
        R"("stop_sequence":null})";
    if (!document.starts_with(before) || !document.ends_with(behind)) return document;
    return document.substr(before.size(), document.size() - before.size() - behind.size());
}

constexpr std::string_view tool = R"({"type":"tool_use","id":"t","name":"f","input":{}})";

bool is_refused(const std::string& document) {
    return document.starts_with("the recorded answer has no other form: ");
}

}  // namespace

TEST_CASE("messages: texts, thinking and citations") {
    CHECK(block_of(R"({"type":"text","text":""})", {R"({"type":"text_delta","text":"a\n"})",
                                                    R"({"type":"text_delta","text":"b"})"}) ==
          R"({"type":"text","text":"a\nb"})");
    CHECK(block_of(R"({"type":"thinking","thinking":"","signature":""})",
                   {R"({"type":"thinking_delta","thinking":"hm"})",
                    R"({"type":"signature_delta","signature":"c2ln"})"}) ==
          R"({"type":"thinking","thinking":"hm","signature":"c2ln"})");
    CHECK(block_of(R"({"type":"text","text":"","citations":[]})",
                   {R"({"type":"citations_delta","citation":{"type":"x"}})",
                    R"({"type":"citations_delta","citation":{"type":"y"}})"}) ==
          R"({"type":"text","text":"","citations":[{"type":"x"},{"type":"y"}]})");
    // A block of any type may come whole.
    CHECK(block_of(R"({"type":"redacted_thinking","data":"AA"})", {}) ==
          R"({"type":"redacted_thinking","data":"AA"})");
}

TEST_CASE("messages: the input of a tool is the JSON that the pieces are the text of") {
    const auto input = [](std::initializer_list<std::string_view> deltas) {
        return block_of(tool, deltas);
    };
    CHECK(input({}) == tool);
    CHECK(input({R"({"type":"input_json_delta","partial_json":""})"}) == tool);
    CHECK(input({R"({"type":"input_json_delta","partial_json":""})",
                 R"({"type":"input_json_delta","partial_json":"{\"a\":1.50,\"b"})",
                 R"({"type":"input_json_delta","partial_json":"\":\"\\u00e9\"}"})"}) ==
          R"({"type":"tool_use","id":"t","name":"f","input":{"a":1.50,"b":"\u00e9"}})");
    CHECK(is_refused(input({R"({"type":"input_json_delta","partial_json":"{\"a\":"})"})));
    CHECK(is_refused(input({R"({"type":"input_json_delta","partial_json":"[]"})"})));
    CHECK(is_refused(input({R"({"type":"text_delta","text":"a","x":1})"})));
    CHECK(is_refused(input({R"({"type":"new_delta","text":"a"})"})));
}

TEST_CASE("messages: what is incomplete, wrong or unknown is refused") {
    const std::string start =
        R"({"type":"message_start","message":{"type":"message","content":[],"usage":{}}})";
    const std::string end = R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})";
    const std::string stop = R"({"type":"message_stop"})";
    const auto of = [](std::initializer_list<std::string_view> events) {
        return document_of(AnswerForm::messages, data_stream(events));
    };
    CHECK(same_json(of({start, end, stop}),
                    R"({"type":"message","content":[],"stop_reason":"end_turn","usage":{}})"));
    CHECK(is_refused(of({start, end})));
    CHECK(is_refused(of({start, stop})));
    CHECK(is_refused(of({end, stop})));
    CHECK(is_refused(of({start, start, end, stop})));
    CHECK(is_refused(of({start, R"({"type":"error","error":{}})", end, stop})));
    CHECK(is_refused(of({start, R"({"type":"news"})", end, stop})));
    CHECK(is_refused(of({start, end, stop, end})));
    CHECK(is_refused(
        of({start, R"({"type":"content_block_start","index":1,"content_block":{}})", end, stop})));
    CHECK(is_refused(
        of({start, R"({"type":"content_block_start","index":0,"content_block":{}})", end, stop})));
}

TEST_CASE("responses: the object of the last event, with the items where it has none") {
    const auto of = [](std::initializer_list<std::string_view> events) {
        return document_of(AnswerForm::responses, data_stream(events));
    };
    const std::string done = R"({"type":"response.output_item.done","output_index":1,)"
                             R"("item":{"id":"b"}})";
    const std::string first = R"({"type":"response.output_item.done","output_index":0,)"
                              R"("item":{"id":"a"}})";
    const std::string created = R"({"type":"response.created","response":{"id":"r"}})";
    CHECK(of({created, R"({"type":"response.completed","sequence_number":4,)"
                       R"("response":{"id":"r","output":[{"id":"x"}]}})"}) ==
          R"({"id":"r","output":[{"id":"x"}]})");
    CHECK(of({done, first, R"({"type":"response.completed","response":{"id":"r","output":[]}})"}) ==
          R"({"id":"r","output":[{"id":"a"},{"id":"b"}]})");
    CHECK(of({first, R"({"type":"response.incomplete","response":{"id":"r"}})"}) ==
          R"({"id":"r","output":[{"id":"a"}]})");
    CHECK(is_refused(of({created, first})));
    CHECK(is_refused(of({R"({"type":"response.failed","response":{"id":"r"}})"})));
    CHECK(is_refused(of({R"({"type":"error","message":"x"})"})));
    CHECK(is_refused(of({R"({"type":"response.completed","response":{},"news":1})"})));
    CHECK(is_refused(of({R"({"type":"response.completed","response":{"error":{"code":1}}})"})));
}

TEST_CASE("ollama: the last line with what all said") {
    const auto chat = [](std::initializer_list<std::string_view> texts) {
        return document_of(AnswerForm::ollama_chat, lines(texts));
    };
    CHECK(chat({R"({"model":"m","created_at":"1","message":{"role":"assistant","content":"",)"
                R"("thinking":"h"},"done":false})",
                R"({"model":"m","created_at":"2","message":{"role":"assistant","content":"a"},)"
                R"("done":false})",
                R"({"model":"m","created_at":"3","message":{"role":"assistant","content":"",)"
                R"("tool_calls":[{"function":{"name":"f","arguments":{"x":1.0}}}]},"done":false})",
                R"({"model":"m","created_at":"4","message":{"role":"assistant","content":"b"},)"
                R"("done_reason":"stop","done":true,"eval_count":3})"}) ==
          R"({"model":"m","created_at":"4","message":{"role":"assistant","content":"ab",)"
          R"("thinking":"h","tool_calls":[{"function":{"name":"f","arguments":{"x":1.0}}}]},)"
          R"("done":true,"done_reason":"stop","eval_count":3})");
    const auto generate = [](std::initializer_list<std::string_view> texts) {
        return document_of(AnswerForm::ollama_generate, lines(texts));
    };
    CHECK(generate({R"({"response":"a","done":false})",
                    R"({"response":"b","done":true,"context":[1,2]})"}) ==
          R"({"response":"ab","done":true,"context":[1,2]})");
    CHECK(is_refused(generate({R"({"response":"a","done":false})"})));
    CHECK(is_refused(generate({R"({"response":"a","done":false})", R"({"error":"x"})"})));
    CHECK(is_refused(generate({R"({"response":"a","done":true})", R"({"response":"b"})"})));
    CHECK(is_refused(
        generate({R"({"completed":1,"done":false})", R"({"completed":2,"done":true})"})));
}

TEST_CASE("form_of: the endpoints whose answers have two forms") {
    const auto form = [](std::string_view path) { return form_of(*find_endpoint(path)); };
    CHECK(form("/v1/chat/completions") == AnswerForm::chat);
    CHECK(form("/chat/completions") == AnswerForm::chat);
    CHECK(form("/v1/completions") == AnswerForm::completion);
    CHECK(form("/v1/messages") == AnswerForm::messages);
    CHECK(form("/v1/responses") == AnswerForm::responses);
    CHECK(form("/api/chat") == AnswerForm::ollama_chat);
    CHECK(form("/api/generate") == AnswerForm::ollama_generate);
    CHECK_FALSE(form("/completion"));
    CHECK_FALSE(form("/v1/embeddings"));
    CHECK_FALSE(form_of(opaque_endpoint));
}
