// The named events of OpenAI's Responses and Anthropic's Messages.
#include "append.h"
#include "faults.h"
#include "shapes.h"

namespace sluice::model_sim {
namespace {

std::string named(std::string_view name, std::string_view json) {
    return joined("event: ", name, "\ndata: ", json, "\n\n");
}

// --- Responses ------------------------------------------------------------------------------

// llama-server numbers nothing and says less; OpenAI's own clients ask for both.
class Responses {
public:
    explicit Responses(const Job& job) : job_(job), terse_(job.api == Api::llama) {}

    std::string usage(const Totals& totals) const {
        const std::uint64_t total = job_.prompt_tokens + totals.tokens;
        return joined(R"("usage":{"input_tokens":)", job_.prompt_tokens, R"(,"output_tokens":)",
                      totals.tokens, R"(,"total_tokens":)", total,
                      R"(,"input_tokens_details":{"cached_tokens":)", job_.cached_tokens, '}',
                      terse_ ? "" : R"(,"output_tokens_details":{"reasoning_tokens":0})", '}');
    }

    std::string response(std::string_view status, std::string_view output,
                         std::string_view more) const {
        return joined(R"({"id":"resp_)", job_.id, R"(","object":"response","created_at":)",
                      job_.created(), R"(,"status":")", status, R"(","model":")", job_.model,
                      R"(","output":[)", output, ']', more, '}');
    }

    std::string begun() const {
        if (terse_)
            return joined(R"({"id":"resp_)", job_.id,
                          R"(","object":"response","status":"in_progress"})");
        return response("in_progress", {}, {});
    }

    std::string item(std::string_view status, std::string_view content) const {
        return joined(R"({"type":"message","status":")", status, R"(","id":"msg_)", job_.id,
                      R"(","content":[)", content, R"(],"role":"assistant"})");
    }

    std::string part(std::string_view text) const {
        return joined(R"({"type":"output_text","annotations":[],"logprobs":[],"text":")", text,
                      R"("})");
    }

    std::string empty_part() const {
        return terse_ ? R"({"type":"output_text","text":""})" : part({});
    }

    // `members` begin with a comma. Sequence numbers are given where there are any.
    std::string event(std::string_view name, std::string_view members, std::uint64_t number) const {
        const auto sequence = terse_ ? std::string() : joined(R"(,"sequence_number":)", number);
        return named(name, joined(R"({"type":")", name, '"', members, sequence, '}'));
    }

    // Where in the answer something belongs.
    std::string place() const {
        return joined(R"(,"item_id":"msg_)", job_.id, '"',
                      terse_ ? "" : R"(,"output_index":0,"content_index":0)");
    }
    std::string output_index() const { return terse_ ? "" : R"(,"output_index":0)"; }

    bool terse() const { return terse_; }

private:
    const Job& job_;
    bool terse_;
};

constexpr std::uint64_t events_before_text = 4;

Frame responses_frame(const Job& job, std::uint32_t) {
    const Responses shape(job);
    Frame frame;
    const auto begun = joined(R"(,"response":)", shape.begun());
    frame.opening = joined(
        shape.event("response.created", begun, 0), shape.event("response.in_progress", begun, 1),
        shape.event("response.output_item.added",
                    joined(shape.output_index(), R"(,"item":)", shape.item("in_progress", {})), 2),
        shape.event("response.content_part.added",
                    joined(shape.place(), R"(,"part":)", shape.empty_part()), 3));
    constexpr std::string_view name = "response.output_text.delta";
    if (shape.terse()) {
        const auto members = joined(shape.place(), R"(,"delta":")", text_mark, '"');
        split_at_mark(frame, shape.event(name, members, 0));
        return frame;
    }
    frame.prefix = joined("event: ", name, "\ndata: ", R"({"type":")", name, '"', shape.place(),
                          R"(,"delta":")");
    frame.suffix = R"(","logprobs":[],"sequence_number":)";
    frame.counted_tail = "}\n\n";
    frame.count_from = events_before_text;
    return frame;
}

Closing responses_closing(const Job& job, const Totals& totals) {
    const Responses shape(job);
    const auto text = whole_text(job, 0);
    const auto part = shape.part(text);
    const auto item = shape.item("completed", part);
    const std::uint64_t number = events_before_text + totals.tokens;
    const auto logprobs = shape.terse() ? "" : R"(,"logprobs":[])";
    const auto time = shape.terse() ? joined(',', timings(job, totals)) : std::string();
    Closing closing;
    closing.last_apart = false;
    closing.chunks.push_back(
        joined(shape.event("response.output_text.done",
                           joined(shape.place(), R"(,"text":")", text, '"', logprobs), number),
               shape.event("response.content_part.done", joined(shape.place(), R"(,"part":)", part),
                           number + 1),
               shape.event("response.output_item.done",
                           joined(shape.output_index(), R"(,"item":)", item), number + 2)));
    const auto response = shape.response("completed", item, joined(',', shape.usage(totals)));
    closing.last =
        shape.event("response.completed", joined(R"(,"response":)", response, time), number + 3);
    return closing;
}

std::string responses_body(const Job& job, const Totals& totals) {
    const Responses shape(job);
    const auto item = shape.item("completed", shape.part(whole_text(job, 0)));
    return shape.response("completed", item, joined(',', shape.usage(totals)));
}

std::string responses_error(const Job& job) {
    if (job.api == Api::llama) return named("error", fault_body(job.api, job.kind, broken()));
    return named("error", joined(R"({"type":"error","code":"server_error","message":")",
                                 broken().message, R"(","param":null,"sequence_number":4})"));
}

// --- Messages -------------------------------------------------------------------------------

std::string message_id(const Job& job) {
    return joined(job.api == Api::llama ? "chatcmpl-" : "msg_", job.id);
}

std::string stop_reason(const Job& job) {
    return job.cut ? "max_tokens" : "end_turn";
}

// The prompt's tokens without the cached ones, which are told apart.
std::string messages_usage(const Job& job, std::uint64_t output) {
    return joined(R"("usage":{"cache_read_input_tokens":)", job.cached_tokens,
                  R"(,"input_tokens":)", job.prompt_tokens - job.cached_tokens,
                  R"(,"output_tokens":)", output, '}');
}

Frame messages_frame(const Job& job, std::uint32_t) {
    Frame frame;
    frame.opening =
        joined(named("message_start",
                     joined(R"({"type":"message_start","message":{"id":")", message_id(job),
                            R"(","type":"message","role":"assistant","content":[],"model":")",
                            job.model, R"(","stop_reason":null,"stop_sequence":null,)",
                            messages_usage(job, 0), "}}")),
               named("content_block_start",
                     joined(R"({"type":"content_block_start","index":0,"content_block":)",
                            R"({"type":"text","text":""}})")));
    split_at_mark(frame, named("content_block_delta",
                               joined(R"({"type":"content_block_delta","index":0,"delta":{"type":)",
                                      R"("text_delta","text":")", text_mark, R"("}})")));
    return frame;
}

Closing messages_closing(const Job& job, const Totals& totals) {
    Closing closing;
    closing.last_apart = false;
    closing.chunks.push_back(joined(
        named("content_block_stop", R"({"type":"content_block_stop","index":0})"),
        named(
            "message_delta",
            joined(R"({"type":"message_delta","delta":{"stop_reason":")", stop_reason(job),
                   R"(","stop_sequence":null},"usage":{"output_tokens":)", totals.tokens, "}}"))));
    closing.last = named("message_stop", R"({"type":"message_stop"})");
    return closing;
}

std::string messages_body(const Job& job, const Totals& totals) {
    return joined(R"({"id":")", message_id(job),
                  R"(","type":"message","role":"assistant","content":[{"type":"text","text":")",
                  whole_text(job, 0), R"("}],"model":")", job.model, R"(","stop_reason":")",
                  stop_reason(job), R"(","stop_sequence":null,)",
                  messages_usage(job, totals.tokens), '}');
}

std::string messages_error(const Job& job) {
    return named("error", fault_body(job.api, job.kind, broken()));
}

}  // namespace

Shape responses_shape() {
    return {.stream_type = "text/event-stream",
            .opening_apart = false,
            .frame = responses_frame,
            .closing = responses_closing,
            .body = responses_body,
            .error_event = responses_error};
}

Shape messages_shape() {
    return {.stream_type = "text/event-stream",
            .opening_apart = false,
            .frame = messages_frame,
            .closing = messages_closing,
            .body = messages_body,
            .error_event = messages_error};
}

}  // namespace sluice::model_sim
