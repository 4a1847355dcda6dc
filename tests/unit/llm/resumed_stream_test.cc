#include "sluice/llm/resumed_stream.h"

#include "chat_streams.h"
#include "sluice/llm/resume_request.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

using Action = ResumedStream::Action;
using Maker = Pieces (*)(const StreamText&);

const Pieces pieces{" Hel",          "lo \"you\"", "\\",  "caf\u00E9", "\u6771\u4EAC",
                    "\U0001F30A.\n", " and",       "<b>", " end."};

Pieces slice(const Pieces& all, std::size_t begin, std::size_t end) {
    return {all.begin() + static_cast<std::ptrdiff_t>(begin),
            all.begin() + static_cast<std::ptrdiff_t>(end)};
}

// Lets a stream through until its event `until`, and adds what the client gets of it.
void relay(ResumedStream& stream, const Pieces& events, std::size_t until, Pieces& client) {
    for (const std::string& data : slice(events, 0, until)) {
        const ResumedStream::Result result = stream.take(data);
        REQUIRE_MESSAGE(result.action != Action::broken, data);
        if (result.action == Action::pass) client.push_back(data);
        if (result.action == Action::replace) client.push_back(data_of(result.event));
    }
}

// One event through a stream that goes on behind `sent`.
std::string one(std::string_view data, const Pieces& sent = {"Hi", " you"}) {
    ResumeJournal journal;
    for (const std::string& event : slice(llama_stream({.pieces = sent}), 0, 1 + sent.size()))
        journal.take(event);
    ResumedStream stream(journal, true);
    const ResumedStream::Result result = stream.take(data);
    switch (result.action) {
        case Action::pass:
            return "pass";
        case Action::drop:
            return "drop";
        case Action::broken:
            return "broken: " + std::string(describe(stream.obstacle()));
        case Action::replace:
            break;
    }
    return data_of(result.event);
}

std::string choice(std::string_view delta) {
    return R"({"choices":[{"index":0,"delta":)" + std::string(delta) + "}]}";
}

}  // namespace

TEST_CASE("the client reads one stream, wherever it was cut and whoever goes on") {
    const Maker makers[] = {llama_stream, vllm_stream, ollama_stream};
    int resumed = 0;
    for (const Maker first : makers) {
        for (const Maker second : makers) {
            const Pieces events = first({.pieces = pieces});
            for (std::size_t cut = 0; cut < events.size(); ++cut) {
                Pieces client = slice(events, 0, cut);
                ResumeJournal journal;
                for (const std::string& data : client)
                    journal.take(data);
                if (journal.obstacle() != ResumeObstacle::none) continue;
                ++resumed;
                const std::size_t sent = journal.content_events();
                const Pieces rest = second({.id = "chatcmpl-2",
                                            .created = "1763000002",
                                            .pieces = slice(pieces, sent, pieces.size()),
                                            .prompt = 25 + sent});
                ResumedStream stream(journal, second == llama_stream);
                relay(stream, rest, rest.size(), client);

                const ReadChat chat = read_chat(client);
                CHECK(chat.sound);
                CHECK(chat.done);
                CHECK(chat.finish == "stop");
                CHECK(chat.text == join(pieces));
                CHECK(journal.text() == chat.text);
                // Only a first stream that repeats the role is as it was.
                if (cut > 0 && first != ollama_stream) CHECK(chat.roles == 1);
                if (cut == 0) CHECK(chat.roles == 1);
                for (std::size_t i = cut; i < chat.ids.size(); ++i) {
                    CHECK(chat.ids[i] == (cut == 0 ? "chatcmpl-2" : "chatcmpl-1"));
                    CHECK(chat.created[i] == (cut == 0 ? "1763000002" : "1763000001"));
                }
                CHECK(chat.prompt_tokens == 25);
                CHECK(chat.total_tokens == chat.prompt_tokens + chat.completion_tokens);
                CHECK(chat.cached_tokens <= chat.prompt_tokens);
                CHECK(chat.completion_tokens == pieces.size());
                CHECK(journal.obstacle() == ResumeObstacle::finished);
            }
        }
    }
    CHECK(resumed == 3 * (11 + 10 + 10));  // cuts in front of the finish
}

TEST_CASE("a stream is resumed again and again") {
    for (const Maker make : {llama_stream, vllm_stream, ollama_stream}) {
        Pieces client = slice(make({.pieces = pieces}), 0, 2);
        ResumeJournal journal;
        for (const std::string& data : client)
            journal.take(data);
        for (int life = 2; journal.obstacle() == ResumeObstacle::none; ++life) {
            REQUIRE(life < 12);
            const std::size_t sent = journal.content_events();
            const Pieces rest = make({.id = "chatcmpl-" + std::to_string(life),
                                      .created = std::to_string(1763000000 + life),
                                      .pieces = slice(pieces, sent, pieces.size()),
                                      .prompt = 25 + sent});
            ResumedStream stream(journal, true);
            CHECK(stream.tokens_before() == sent);
            // Two tokens more, then the next one dies; the last lives.
            relay(stream, rest, rest.size() > 6 ? 3 : rest.size(), client);
        }
        const ReadChat chat = read_chat(client);
        CHECK(chat.text == join(pieces));
        CHECK(chat.finish == "stop");
        CHECK(chat.done);
        for (const std::string& id : chat.ids)
            CHECK(id == "chatcmpl-1");
        CHECK(chat.prompt_tokens == 25);
        CHECK(chat.completion_tokens == pieces.size());
    }
}

TEST_CASE("all bytes but those that must change are the backend's") {
    const auto odd = [](const std::string& id, const std::string& created, const std::string& m) {
        return R"({ "id" : )" + id + R"( , "created" : )" + created +
               R"( ,"choices":[ {"index":0, "delta": {"content" : "\u0061\/"} } ] , "model":)" + m +
               R"(, "z":[1, 2] } )";
    };
    CHECK(one(odd("\"x\"", "5", "null")) == odd("\"chatcmpl-1\"", "1763000001", "\"tiny-chat\""));
    CHECK(one(choice(R"({"content":"a"})")) == choice(R"({"content":"a"})"));
    CHECK(one("{\"choices\":\n[],\n\"id\":\"x\"}") == R"({"choices": [], "id":"chatcmpl-1"})");
    CHECK(one("[DONE]") == "pass");
    CHECK(one(R"({"error":{"message":"gone"}})") == "pass");
}

TEST_CASE("the role is told once") {
    CHECK(one(choice(R"({"role":"assistant","content":null})")) == "drop");
    CHECK(one(choice(R"({"role":"assistant"})")) == "drop");
    CHECK(one(choice(R"({"content":"","role":"assistant","refusal":null})")) == "drop");
    CHECK(one(choice(R"({"role":"assistant","content":"a"})")) == choice(R"({"content":"a"})"));
    CHECK(one(choice(R"({"content":"a" , "role" : "assistant" })")) ==
          choice(R"({"content":"a"  })"));
    CHECK(one(choice(R"({ "role":"assistant" ,"content":"a"})")) == choice(R"({ "content":"a"})"));
    CHECK(one(R"({"choices":[{"delta":{"role":"assistant"},"finish_reason":"stop"}]})") ==
          R"({"choices":[{"delta":{},"finish_reason":"stop"}]})");
    CHECK(one(choice(R"({"role":"assistant","tool_calls":[{"index":0}]})")) ==
          choice(R"({"tool_calls":[{"index":0}]})"));
    CHECK(one(choice(R"({"content":""})")) == choice(R"({"content":""})"));

    ResumeJournal journal;  // the first stream died before it could tell
    ResumedStream stream(journal, true);
    CHECK(stream.take(choice(R"({"role":"assistant"})")).action == Action::replace);
    CHECK(stream.take(choice(R"({"role":"assistant"})")).action == Action::drop);
}

TEST_CASE("usage: the tokens that were sent move from the prompt to the completion") {
    const auto usage = [](std::string_view counts) {
        return R"({"choices":[],"usage":{)" + std::string(counts) + "}}";
    };
    CHECK(one(usage(R"("prompt_tokens":27,"completion_tokens":5,"total_tokens":32)")) ==
          usage(R"("prompt_tokens":25,"completion_tokens":7,"total_tokens":32)"));
    CHECK(one(usage(R"("total_tokens" : 32,"completion_tokens":5,"prompt_tokens":27)")) ==
          usage(R"("total_tokens" : 32,"completion_tokens":7,"prompt_tokens":25)"));
    CHECK(one(usage(R"("prompt_tokens":1,"completion_tokens":5,"total_tokens":6)")) ==
          usage(R"("prompt_tokens":1,"completion_tokens":7,"total_tokens":8)"));
    CHECK(one(usage(R"("prompt_tokens":27,"completion_tokens":5,"total_tokens":32,)"
                    R"("prompt_tokens_details":{"cached_tokens":26,"audio_tokens":0})")) ==
          usage(R"("prompt_tokens":25,"completion_tokens":7,"total_tokens":32,)"
                R"("prompt_tokens_details":{"cached_tokens":25,"audio_tokens":0})"));
    CHECK(one(usage(R"("completion_tokens":5)")) == usage(R"("completion_tokens":7)"));
    CHECK(one(R"({"choices":[],"usage":null})") == R"({"choices":[],"usage":null})");
    CHECK(one(R"({"choices":[],"timings":{"predicted_n":3,"prompt_n":4}})") ==
          R"({"choices":[],"timings":{"predicted_n":3,"prompt_n":4}})");

    const Usage known{.prompt = 27, .completion = 5, .cached = 26, .known = true};
    CHECK(usage_of_resumed(known, 2).prompt == 25);
    CHECK(usage_of_resumed(known, 2).completion == 7);
    CHECK(usage_of_resumed(known, 2).cached == 25);
    CHECK(usage_of_resumed({}, 2).completion == 0);
    CHECK_FALSE(usage_of_resumed({}, 2).known);
}

TEST_CASE("a backend that begins with the whole prefill") {
    const Pieces sent{"The room", " is \"big\"", " and", " old", "."};
    const auto content = [](std::string_view text) {
        return choice("{\"content\":" + quote(text) + "}");
    };
    CHECK(one(content(join(sent) + " Go\n"), sent) == content(" Go\n"));
    CHECK(one(content(join(sent)), sent) == "drop");
    CHECK(one(choice(R"({"content":"The room is \u0022big\u0022 and old. Go"})"), sent) ==
          content(" Go"));
    CHECK(one(content("The room"), sent) == content("The room"));
    // Too little to tell a repetition of the backend's from one of the model's.
    CHECK(one(content("haha"), {"ha"}).starts_with("broken"));
    CHECK(one(content("Hi you"), {"Hi", " you"}).starts_with("broken"));
    CHECK(one(content("Hi"), {"Hi", " you"}) == content("Hi"));

    // Only the first text can be the prefill, and only of a backend that may repeat it.
    ResumeJournal journal;
    for (const std::string& data : slice(llama_stream({.pieces = sent}), 0, 6))
        journal.take(data);
    ResumedStream stream(journal, true);
    CHECK(stream.take(content(" Go")).action == Action::replace);
    const std::string again = join(sent) + " Go";
    CHECK(data_of(stream.take(content(again)).event) == content(again));
    CHECK(journal.text() == again + again);
    ResumedStream other(journal, false);
    CHECK(data_of(other.take(content(again + again)).event) == content(again + again));
}

TEST_CASE("a stream that does not go on with the text is broken off") {
    const std::string reason = "broken: ";
    CHECK(one(choice(R"({"reasoning_content":"hm"})")) ==
          reason + std::string(describe(ResumeObstacle::reasoned_anew)));
    CHECK(one("{") == reason + std::string(describe(ResumeObstacle::malformed)));
    CHECK(one("") == reason + std::string(describe(ResumeObstacle::malformed)));
    CHECK(one(R"({"choices":[{"index":0,"delta":{"content":1}}]})") !=
          "pass");  // what it is, the client must judge; it cannot be resumed again

    ResumeJournal journal;
    ResumedStream fresh(journal, true);  // nothing was sent: it may reason as it likes
    CHECK(fresh.take(choice(R"({"reasoning_content":"hm"})")).action == Action::replace);
    CHECK(journal.reasoning() == "hm");
    CHECK(fresh.take("{").action == Action::broken);
    CHECK(fresh.take("[DONE]").action == Action::broken);  // and stays so
}

TEST_CASE("a tool call may follow the text, but then it cannot be resumed again") {
    ResumeJournal journal;
    for (const std::string& data : slice(llama_stream({.pieces = {"a"}}), 0, 2))
        journal.take(data);
    ResumedStream stream(journal, true);
    CHECK(stream.take(choice(R"({"tool_calls":[{"index":0}]})")).action == Action::replace);
    CHECK(journal.obstacle() == ResumeObstacle::tool_call);
}

TEST_CASE("the comment names the backend in one line") {
    CHECK(resumed_comment("gpu-2") == ": resumed on gpu-2\n\n");
    CHECK(resumed_comment("a\r\ndata: x\n\n") == ": resumed on a??data: x??\n\n");
}
