// The bodies of relay_rig.h: small, so that they can be cut and broken at every byte.
#include "relay_rig.h"

#include <utility>

namespace sluice::answer::test {

namespace {

Event plain(std::string_view text) {
    return {"data: " + std::string(text) + "\n\n"};
}

Event usage_only(std::string_view text) {
    return {"data: " + std::string(text) + "\n\n", true};
}

// One choice with this inside, as OpenAI frames it.
std::string choice(std::string_view inside) {
    return R"({"choices":[{)" + std::string(inside) + "}]}";
}

constexpr std::string_view usage_text =
    R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,)"
    R"("prompt_tokens_details":{"cached_tokens":2}}})";
constexpr llm::Usage told{.prompt = 7, .completion = 3, .cached = 2, .known = true};

std::vector<Event> chat() {
    return {plain(choice(R"("delta":{"role":"assistant","content":""})")),
            plain(choice(R"("delta":{"content":"Hel"})")),
            plain(choice(R"("delta":{"content":"lo"},"finish_reason":"stop")")),
            usage_only(usage_text), plain("[DONE]")};
}

std::vector<Event> with_line_end(std::vector<Event> events, std::string_view eol) {
    for (Event& event : events) {
        std::string text;
        for (const char c : event.bytes)
            c == '\n' ? text += eol : text += c;
        event.bytes = std::move(text);
    }
    return events;
}

Body stream(std::string name, std::vector<Event> events, llm::Usage usage = told) {
    return {.name = std::move(name), .events = std::move(events), .usage = usage, .done = true};
}

// Comments, other fields, several data lines, and the usage spread over two of them.
std::vector<Event> fields() {
    return {
        {": welcome\n\n"},
        {":\nid: 1\nretry: 1000\ndata: " + choice(R"("delta":{"content":"a"})") + "\n\n"},
        {"data\n\n"},
        {"data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,\n"
         "data: \"prompt_tokens_details\":{\"cached_tokens\":2}}}\n\n",
         true},
        {": ping\n\n"},
        {"data:[DONE]\n\n"}};
}

std::vector<Event> tools() {
    return {plain(choice(R"("delta":{"tool_calls":[{"index":0,"id":"t","function":)"
                         R"({"name":"f","arguments":""}}]})")),
            plain(choice(R"("delta":{"tool_calls":[{"index":0,"function":)"
                         R"({"arguments":"{\"a\":\"\\n\\n[DONE]\"}"}}]})")),
            plain(choice(R"("delta":{},"finish_reason":"tool_calls")")), usage_only(usage_text),
            plain("[DONE]")};
}

// Text that looks like syntax, and usage where it does not count.
std::vector<Event> fooling() {
    return {plain(choice(R"("delta":{"content":"[DONE]"})")),
            plain(choice(R"("delta":{"content":"data: [DONE]\n\n"})")),
            plain(choice("\"delta\":{\"content\":\"\xE2\x80\xA8 \xF0\x9F\x98\x80 \\u0000\"}")),
            plain(choice(R"("delta":{"content":"\"choices\":[],\"usage\":{}"})")),
            plain(R"({"choices":[],"usage":null})"),
            {"\n"},
            usage_only(usage_text),
            {"\n"},
            plain("[DONE]")};
}

std::vector<Event> llama() {
    return {plain(choice(R"("delta":{"content":"Hel"},"finish_reason":null)")),
            plain(R"({"choices":[{"delta":{},"finish_reason":"stop"}],)"
                  R"("timings":{"cache_n":2,"prompt_n":5,"predicted_n":3,"predicted_ms":1.5}})"),
            plain("[DONE]")};
}

std::vector<Event> anthropic() {
    const auto named = [](std::string_view name, std::string_view text) {
        return Event{"event: " + std::string(name) + "\ndata: " + std::string(text) + "\n\n"};
    };
    return {
        named("message_start", R"({"type":"message_start","message":{"usage":{"input_tokens":5,)"
                               R"("cache_read_input_tokens":2,"output_tokens":1}}})"),
        named("ping", R"({"type":"ping"})"),
        named("content_block_delta", R"({"type":"content_block_delta","delta":{"text":"Hi"}})"),
        named("message_delta", R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},)"
                               R"("usage":{"output_tokens":3}})"),
        named("message_stop", R"({"type":"message_stop"})")};
}

// Ollama's: each line is an event, and an empty one is none.
std::vector<Event> lines() {
    return {{R"({"message":{"content":"Hel"},"done":false})"
             "\n"},
            {"\n"},
            {R"({"message":{"content":"lo\n\ndata: [DONE]"},"done":false})"
             "\n"}};
}
constexpr std::string_view last_line =
    R"({"message":{"content":""},"done":true,"prompt_eval_count":7,"eval_count":3})";
constexpr llm::Usage told_by_line{.prompt = 7, .completion = 3, .known = true};

std::vector<Body> line_streams() {
    std::vector<Event> ended = lines();
    ended.push_back({std::string(last_line) + "\n"});
    Body whole = stream("lines", ended, told_by_line);
    Body crlf = stream("lines, CRLF", with_line_end(ended, "\r\n"), told_by_line);
    Body no_end = stream("lines, no end of the last", lines(), told_by_line);
    no_end.rest = last_line;
    Body cut = stream("lines, cut", lines(), {});
    cut.rest = last_line.substr(0, 20);
    cut.done = false;
    std::vector<Body> all = {whole, crlf, no_end, cut};
    for (Body& body : all)
        body.form = sse::Form::json_lines;
    return all;
}

std::vector<Event> with_bom(std::vector<Event> events) {
    events.front().bytes.insert(0, "\xEF\xBB\xBF");
    return events;
}

std::vector<Event> mixed() {
    return {{"data: a\r\n\r\n"}, {"data: b\n\r\n"}, {"data: c\r\n\r"},       {"data: d\r\r"},
            {"data: e\n\n"},     {"data: f\r\n\n"}, {"data: [DONE]\r\n\r\n"}};
}

}  // namespace

std::string Body::text() const {
    std::string text;
    for (const Event& event : events)
        text += event.bytes;
    return text + rest;
}

std::vector<Body> streams() {
    const Event hidden = usage_only(usage_text);
    std::vector<Body> all = {
        stream("openai", chat()),
        stream("openai, CRLF", with_line_end(chat(), "\r\n")),
        stream("openai, CR", with_line_end(chat(), "\r")),
        stream("fields", fields()),
        stream("fields, CRLF", with_line_end(fields(), "\r\n")),
        stream("bom", with_bom(llama()), told),
        stream("bom, usage first", with_bom({hidden, plain("[DONE]")})),
        stream("mixed line ends", mixed(), {}),
        stream("tools", tools()),
        stream("fooling text", fooling()),
        stream("fooling text, CRLF", with_line_end(fooling(), "\r\n")),
        stream("llama-server", llama(), told),
        stream("anthropic", anthropic(), told),
        stream("usage twice",
               {plain(choice(R"("delta":{"content":"a"})")), hidden, hidden, plain("[DONE]")}),
        stream("usage only", {hidden}),
        stream("no usage", {plain(choice(R"("delta":{"content":"a"})")), plain("[DONE]")}, {}),
    };
    all[14].done = false;
    Body unfinished = stream("unfinished", {plain(choice(R"("delta":{"content":"a"})"))}, {});
    unfinished.rest = "data: {\"choices\":[";
    unfinished.done = false;
    all.push_back(unfinished);
    Body ended_by_usage = stream("usage without its end", {plain("[DONE]")});
    ended_by_usage.rest = "data: " + std::string(usage_text) + "\n";
    ended_by_usage.rest_is_usage = true;
    all.push_back(ended_by_usage);
    for (Body& body : line_streams())
        all.push_back(std::move(body));
    return all;
}

std::vector<Body> other_bodies() {
    std::string bytes;
    for (int i = 0; i < 40; ++i)
        bytes += static_cast<char>(i * 7);
    return {
        {.name = "json",
         .rest = R"({"choices":[{"message":{"content":"data: [DONE]\n\n"}}],"usage":{)"
                 R"("prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":)"
                 R"({"cached_tokens":2}}})",
         .usage = told,
         .json = true},
        {.name = "several values",
         .rest = "{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"done\":true,"
                 "\"prompt_eval_count\":7,\"eval_count\":3}\n",
         .json = true},
        {.name = "html", .rest = "<html>\r\n\r\ndata: [DONE]\n\n</html>", .json = true},
        {.name = "opaque", .rest = bytes + "data: x\n\n0\r\n\r\n"},
    };
}

}  // namespace sluice::answer::test
