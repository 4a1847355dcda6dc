#include "sluice/llm/resume_request.h"

#include "chat_streams.h"
#include "json_peer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

RequestFacts read(std::string_view body) {
    BodyReader reader;
    reader.feed(body);
    Result<RequestFacts> facts = reader.finish();
    REQUIRE_MESSAGE(facts.ok(), body);
    return facts.value();
}

// A journal of a stream that broke behind these pieces.
ResumeJournal journal_of(const Pieces& pieces, const Pieces& reasoning = {}) {
    const Pieces events = llama_stream({.pieces = pieces, .reasoning = reasoning});
    ResumeJournal journal;
    for (std::size_t i = 0; i < 1 + pieces.size() + reasoning.size(); ++i)
        journal.take(events[i]);
    REQUIRE(journal.text() == join(pieces));
    return journal;
}

// The body that asks to go on behind "Hi" and " you", two tokens.
std::string resumed(std::string_view body, Continuation how, const Pieces& pieces = {"Hi", " you"},
                    const EditPlan& usual = {}) {
    const ResumePlan plan = plan_resume(body, journal_of(pieces), how);
    REQUIRE_MESSAGE(plan.obstacle == ResumeObstacle::none, body);
    REQUIRE_FALSE(plan.length_reached);
    const EditList list = plan_edits(BodyKind::json, read(body), usual);
    const std::string result = resumed_body(body, list, plan);
    REQUIRE_MESSAGE(read(result).stream, result);  // a body that the gateway itself would take
    return result;
}

ResumeObstacle planned(std::string_view body, const ResumeJournal& journal, Continuation how) {
    const ResumePlan plan = plan_resume(body, journal, how);
    CHECK(plan.edits.empty() ==
          (plan.obstacle != ResumeObstacle::none || plan.length_reached || journal.text().empty()));
    return plan.obstacle;
}

std::string chat(std::string_view fields, std::string_view messages = R"([{"role":"user"}])") {
    return R"({"stream":true,"messages":)" + std::string(messages) + std::string(fields) + "}";
}

}  // namespace

TEST_CASE("the text stands behind the messages, and every other byte is the client's") {
    const std::string body =
        R"( { "messages" : [ {"role":"user","content":"x"} ] , "stream":true})";
    CHECK(resumed(body, Continuation::ollama) ==
          R"( { "messages" : [ {"role":"user","content":"x"})"
          R"(,{"role":"assistant","content":"Hi you"} ] , "stream":true})");
    for (const Continuation how : {Continuation::llama_server, Continuation::vllm}) {
        CHECK(resumed(body, how) ==
              R"( {"continue_final_message":true,"add_generation_prompt":false,)"
              R"( "messages" : [ {"role":"user","content":"x"})"
              R"(,{"role":"assistant","content":"Hi you"} ] , "stream":true})");
    }
    CHECK(resumed(R"({"mess\u0061ges":[{"role":"user"}],"stream":true})", Continuation::ollama) ==
          R"({"mess\u0061ges":[{"role":"user"},{"role":"assistant","content":"Hi you"}],)"
          R"("stream":true})");
}

TEST_CASE("messages are found wherever they stand, and only there") {
    for (const std::string_view body : {
             R"({"messages":[{"role":"user","content":"[]}"}],"stream":true})",
             R"({"stream":true,"messages":[{"role":"system","content":"a\"]"},{"role":"user"}]})",
             R"({"x":{"messages":[1]},"y":["messages",[2]],"stream":true,"messages":[{"role":"user",
                 "content":[{"type":"text","text":"messages"}],"messages":[3]}
             ]})",
             R"({"tools":[{"messages":[]}],"messages":[{"role":"user"},{"role":"tool"}],
                 "stream":true,"metadata":{"messages":"[","stream":false}})",
         }) {
        for (const Continuation how :
             {Continuation::llama_server, Continuation::vllm, Continuation::ollama}) {
            const Pieces odd{"\"]}", "\\", "\n\u6771\U0001F30A\u0001\u007F."};
            CHECK(read_prefill(resumed(body, how, odd)) == join(odd));
        }
    }
}

TEST_CASE("the fields that ask for it are set, also against the client's own") {
    CHECK(resumed(chat(R"(,"add_generation_prompt":true,"continue_final_message":false)"),
                  Continuation::vllm) ==
          chat(R"(,"add_generation_prompt":false,"continue_final_message":true)",
               R"([{"role":"user"},{"role":"assistant","content":"Hi you"}])"));
    CHECK(resumed(chat(R"(,"echo":true,"add_generation_prompt":null)"), Continuation::vllm) ==
          R"({"continue_final_message":true,)" +
              chat(R"(,"echo":false,"add_generation_prompt":false)",
                   R"([{"role":"user"},{"role":"assistant","content":"Hi you"}])")
                  .substr(1));
}

TEST_CASE("the usual edits go together with those of the plan") {
    const std::string body = R"({"model":"a","messages":[{"role":"user"}],"stream":true})";
    CHECK(resumed(body, Continuation::vllm, {"x"}, {.model = "new", .include_usage = true}) ==
          R"({"stream_options":{"include_usage":true},"continue_final_message":true,)"
          R"("add_generation_prompt":false,"model":"new","messages":[{"role":"user"},)"
          R"({"role":"assistant","content":"x"}],"stream":true})");
    const std::string other =
        R"({"stream":true,"stream_options":{},"messages":[{"role":"user"}],"model":"a"})";
    CHECK(resumed(other, Continuation::ollama, {"x"}, {.model = "new", .include_usage = true}) ==
          R"({"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user"},)"
          R"({"role":"assistant","content":"x"}],"model":"new"})");
}

TEST_CASE("the tokens that were sent are taken off the bound") {
    struct Case {
        std::string fields;
        std::string expected;
    };
    for (const Case& c : std::vector<Case>{
             {R"(,"max_tokens":10)", R"(,"max_tokens":8)"},
             {R"(,"max_tokens" : 3 )", R"(,"max_tokens" : 1 )"},
             {R"(,"max_completion_tokens":10)", R"(,"max_completion_tokens":8)"},
             {R"(,"n_predict":10,"max_tokens":null)", R"(,"n_predict":8,"max_tokens":null)"},
             {R"(,"max_tokens":9,"max_completion_tokens":5)",
              R"(,"max_tokens":7,"max_completion_tokens":3)"},
             {R"(,"max_tokens":1,"max_completion_tokens":5)",
              R"(,"max_tokens":3,"max_completion_tokens":3)"},
             {R"(,"max_tokens":-1)", R"(,"max_tokens":-1)"},
             {R"(,"min_tokens":7)", R"(,"min_tokens":5)"},
             {R"(,"min_tokens":1,"max_tokens":5)", R"(,"min_tokens":0,"max_tokens":3)"},
             {R"(,"x":{"max_tokens":10})", R"(,"x":{"max_tokens":10})"},
         }) {
        CHECK(resumed(chat(c.fields), Continuation::ollama) ==
              chat(c.expected, R"([{"role":"user"},{"role":"assistant","content":"Hi you"}])"));
    }
    for (const std::string_view fields :
         {R"(,"max_tokens":2)", R"(,"max_tokens":0)", R"(,"max_tokens":1,"n_predict":2)",
          R"(,"max_completion_tokens":1)"}) {
        const ResumePlan plan =
            plan_resume(chat(fields), journal_of({"Hi", " you"}), Continuation::vllm);
        CHECK(plan.obstacle == ResumeObstacle::none);
        CHECK(plan.length_reached);
        CHECK(plan.edits.empty());
    }
}

TEST_CASE("a stream whose last token had been sent is ended with its length") {
    ResumeJournal journal = journal_of({"Hi", " you"});
    const std::string frame = R"("object":"chat.completion.chunk","created":1763000001,)"
                              R"("model":"tiny-chat","system_fingerprint":"b-chatcmpl-1",)";
    const std::string finish = R"(data: {"id":"chatcmpl-1",)" + frame +
                               R"("choices":[{"index":0,"delta":{},"finish_reason":"length"}]})"
                               "\n\n";
    CHECK(length_end(journal, false) == finish + "data: [DONE]\n\n");
    CHECK(length_end(journal, true) == finish + "data: [DONE]\n\n");  // the prompt is not known
    const Pieces events = vllm_stream({.pieces = {"Hi", " you", "."}});
    ResumeJournal told;
    for (std::size_t i = 0; i < 3; ++i)
        told.take(events[i]);
    const std::string end = length_end(told, true);
    CHECK(end.find(R"("usage":{"prompt_tokens":25,"completion_tokens":2,"total_tokens":27})") !=
          end.npos);
    Pieces all(events.begin(), events.begin() + 3);
    for (std::size_t at = 0; at < end.size();) {
        const std::size_t behind = end.find("\n\n", at) + 2;
        all.push_back(data_of(end.substr(at, behind - at)));
        at = behind;
    }
    const ReadChat client = read_chat(all);
    CHECK(client.sound);
    CHECK(client.done);
    CHECK(client.text == "Hi you");
    CHECK(client.finish == "length");
    CHECK(client.total_tokens == 27);
}

TEST_CASE("where nothing was sent yet the request is replayed as it is") {
    ResumeJournal journal;
    for (int role = 0; role < 2; ++role) {
        const ResumePlan plan =
            plan_resume(chat(R"(,"max_tokens":0)"), journal, Continuation::unsupported);
        CHECK(plan.obstacle == ResumeObstacle::none);
        CHECK(plan.edits.empty());
        CHECK_FALSE(plan.length_reached);
        journal.take(llama_stream({})[0]);
        CHECK(journal.role_sent());
    }
}

TEST_CASE("a request that ends with the assistant's begin has the text put behind it") {
    const std::string messages = R"([{"role":"user"},{"content":"Say \"" , "role":"assistant"}])";
    const std::string added =
        R"([{"role":"user"},{"content":"Say \"Hi you" , "role":"assistant"}])";
    CHECK(resumed(chat("", messages), Continuation::ollama) == chat("", added));
    CHECK(resumed(chat(R"(,"continue_final_message":true,"add_generation_prompt":false)", messages),
                  Continuation::vllm) ==
          chat(R"(,"continue_final_message":true,"add_generation_prompt":false)", added));
    // vLLM answers such a message instead of continuing it.
    CHECK(read_prefill(resumed(chat("", messages), Continuation::vllm)) == "Hi you");
    CHECK(read_prefill(resumed(chat("", R"([{"role":"assistant","content":""}])"),
                               Continuation::llama_server)) == "Hi you");
    for (const std::string_view last :
         {R"({"role":"assistant"})", R"({"role":"assistant","content":null})",
          R"({"role":"assistant","content":[{"type":"text","text":"a"}]})",
          R"({"role":"assistant","content":"a","tool_calls":[{}]})",
          R"({"role":"assistant","content":"a","reasoning_content":"b"})",
          R"({"role":"\u0061ssistant","content":null})"}) {
        CHECK_MESSAGE(
            can_resume(chat("", "[" + std::string(last) + "]")) == ResumeObstacle::last_message,
            last);
    }
    CHECK(planned(chat("", messages), journal_of({"x"}, {"hm"}), Continuation::llama_server) ==
          ResumeObstacle::last_message);
}

TEST_CASE("requests that cannot be resumed, and why") {
    struct Case {
        std::string_view fields;
        ResumeObstacle obstacle;
    };
    const Case cases[] = {
        {R"(,"n":2)", ResumeObstacle::choices},
        {R"(,"n":"1")", ResumeObstacle::choices},
        {R"(,"logprobs":true)", ResumeObstacle::logprobs},
        {R"(,"top_logprobs":3)", ResumeObstacle::logprobs},
        {R"(,"n_probs":3)", ResumeObstacle::logprobs},
        {R"(,"prompt_logprobs":0)", ResumeObstacle::logprobs},
        {R"(,"response_format":{"type":"json_object"})", ResumeObstacle::constrained},
        {R"(,"response_format":{"type":"json_object","type":"text"})", ResumeObstacle::constrained},
        {R"(,"response_format":{"x":{"type":"text"}})", ResumeObstacle::constrained},
        {R"(,"response_format":{"type":"json_schema","json_schema":{"type":"text"}})",
         ResumeObstacle::constrained},
        {R"(,"grammar":"root ::= \"a\"")", ResumeObstacle::constrained},
        {R"(,"gr\u0061mmar":"root","grammar":"")", ResumeObstacle::constrained},
        {R"(,"json_schema":{})", ResumeObstacle::constrained},
        {R"(,"structured_outputs":{"json":{}})", ResumeObstacle::constrained},
        {R"(,"guided_choice":["a"])", ResumeObstacle::constrained},
        {R"(,"tool_choice":"required")", ResumeObstacle::constrained},
        {R"(,"tool_choice":{"type":"function"})", ResumeObstacle::constrained},
        {R"(,"reasoning_format":"none")", ResumeObstacle::option},
        {R"(,"use_beam_search":true)", ResumeObstacle::option},
        {R"(,"max_tokens":1e3)", ResumeObstacle::option},
        {R"(,"max_tokens":"10")", ResumeObstacle::option},
        {R"(,"min_tokens":1.5)", ResumeObstacle::option},
        {R"(,"continue_final_message":"content")", ResumeObstacle::option},
        {R"(,"messages":[{"role":"user"}])", ResumeObstacle::not_a_chat},
        {R"(,"Messages":[{"role":"user"}])", ResumeObstacle::not_a_chat},
        {",\"me\u017F\u017Fages\":[{\"role\":\"user\"}]", ResumeObstacle::not_a_chat},
        {R"(,"Grammar":"x")", ResumeObstacle::not_a_chat},
        {R"(,"n":1,"n":1)", ResumeObstacle::not_a_chat},
    };
    for (const Case& c : cases) {
        CHECK_MESSAGE(can_resume(chat(c.fields)) == c.obstacle, c.fields);
        CHECK(planned(chat(c.fields), journal_of({"a"}), Continuation::vllm) == c.obstacle);
    }
    for (const std::string_view body :
         {R"({"messages":[{"role":"user"}]})", R"({"stream":false,"messages":[{"role":"user"}]})",
          R"({"stream":true})", R"({"stream":true,"messages":[]})",
          R"({"stream":true,"messages":{"role":"user"}})", R"({"stream":true,"messages":null})",
          R"({"stream":true,"messages":[{"content":"x","content":null}]})",
          R"({"stream":true,"messages":[{"role":"user","role":"assistant"}]})",
          R"({"stream":true,"messages":["x"]})", R"({"stream":true,"messages":[{},1]})", "[]", "",
          R"({"stream":true,"messages":[{"role":"user"}])"}) {
        CHECK_MESSAGE(can_resume(body) == ResumeObstacle::not_a_chat, body);
    }
}

TEST_CASE("options that do not matter do not stand in the way") {
    for (const std::string_view fields :
         {R"(,"n":1)", R"(,"n":null)", R"(,"logprobs":false)", R"(,"top_logprobs":0)",
          R"(,"response_format":{"type":"text"})", R"(,"response_format":null)", R"(,"grammar":"")",
          R"(,"tools":[{"type":"function","function":{"name":"f","parameters":{}}}])",
          R"(,"tools":[],"tool_choice":"auto")", R"(,"tool_choice":"none")", R"(,"stop":["x"])",
          R"(,"reasoning_format":"auto")", R"(,"max_tokens":-1)", R"(,"temperature":0.5,"seed":1)",
          R"(,"metadata":{"n":2,"grammar":"x","logprobs":true})", R"(,"chatId":"A")"}) {
        CHECK_MESSAGE(can_resume(chat(fields)) == ResumeObstacle::none, fields);
    }
}

TEST_CASE("what the other backend cannot go on with") {
    const std::string body = chat("");
    CHECK(planned(body, journal_of({"a"}), Continuation::unsupported) ==
          ResumeObstacle::unsupported);
    CHECK(planned(body, journal_of({"a"}, {"hm"}), Continuation::vllm) ==
          ResumeObstacle::reasoning_lost);
    CHECK(planned(body, journal_of({"a"}, {"hm"}), Continuation::ollama) ==
          ResumeObstacle::reasoning_lost);
    for (const std::string space : {" ", "\n", "\t", "\u00A0", "\u3000"}) {
        const ResumeJournal journal = journal_of({"a", space});
        CHECK(planned(body, journal, Continuation::llama_server) == ResumeObstacle::none);
        CHECK(planned(body, journal, Continuation::vllm) == ResumeObstacle::trailing_space);
        CHECK(planned(body, journal, Continuation::ollama) == ResumeObstacle::trailing_space);
    }
    CHECK(planned(body, journal_of({" a", "\u00E0", "\u6771"}), Continuation::vllm) ==
          ResumeObstacle::none);
    ResumeJournal finished = journal_of({"a"});
    finished.take("[DONE]");
    CHECK(planned(body, finished, Continuation::llama_server) == ResumeObstacle::finished);
}

TEST_CASE("reasoning that is complete goes to llama-server in its own field") {
    const ResumePlan plan = plan_resume(chat(""), journal_of({"so"}, {"let \"me", "\n see"}),
                                        Continuation::llama_server);
    REQUIRE(plan.obstacle == ResumeObstacle::none);
    CHECK(resumed_body(chat(""), {}, plan) ==
          R"({"continue_final_message":true,"add_generation_prompt":false,)" +
              chat("", R"([{"role":"user"},{"role":"assistant",)"
                       R"("reasoning_content":"let \"me\n see","content":"so"}])")
                  .substr(1));
}

TEST_CASE("a large request and a long text") {
    const std::string prompt(4 * limits::MiB, 'p');
    const std::string body = chat("", R"([{"role":"user","content":")" + prompt + R"("}])");
    const Pieces pieces(64, std::string(8 * limits::KiB, 'a'));
    CHECK(read_prefill(resumed(body, Continuation::llama_server, pieces)) == join(pieces));
}
