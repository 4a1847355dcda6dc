// ResumedStream: makes the stream of the backend that goes on look like the rest of the first one.
//
// Pure. In goes the data of each event; what comes out is the event as the client may have it: the
// first stream's id, created, model and system_fingerprint (where both have one), no second role,
// no text that the client has already, and usage as one stream's. All other bytes stay. It feeds
// the journal, so that the stream can be resumed again when this backend dies, too.
//
// Usage: the text so far was this backend's prompt and is the client's completion, so its tokens
// move from one to the other, and the total stays. That equals the usage of an uninterrupted stream
// (measured; see resume_request.h). Where the prompt is smaller than that, completion and total
// grow. `timings` and the details of reasoning are left alone: they are about this backend's part.
//
// Repeated text: some builds of llama-server begin with the whole prefill, in the first event that
// has text. That is cut out. Where the text is so short that the model could have said it twice,
// and only then, the answer is `broken`: text is neither lost nor doubled.
#pragma once

#include "sluice/llm/resume.h"
#include "sluice/llm/usage.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::llm {

class ResumedStream {
public:
    enum class Action : std::uint8_t {
        pass,     // as it is: [DONE], an error event (which the relay knows)
        drop,     // nothing of it is for the client
        replace,  // `event` in its place
        broken,   // it does not go on with the text: end the stream with an error; see obstacle()
    };
    struct Result {
        Action action = Action::pass;
        std::string_view event;  // "data: ...\n\n"; valid until the next call
    };

    // `journal` stays the caller's and outlives this; it holds what was sent until now.
    // `may_repeat`: the backend is one that may begin with the prefill (llama-server).
    ResumedStream(ResumeJournal& journal, bool may_repeat);

    // One event's data, in the order they come; not for comments.
    Result take(std::string_view data);

    ResumeObstacle obstacle() const { return obstacle_; }
    // Tokens that the client got before this stream.
    std::uint64_t tokens_before() const { return tokens_before_; }

private:
    Result give_up(ResumeObstacle obstacle) {
        obstacle_ = obstacle;
        return {Action::broken, {}};
    }

    ResumeJournal& journal_;
    std::string event_;
    std::string scratch_;
    std::uint64_t tokens_before_;
    ResumeObstacle obstacle_ = ResumeObstacle::none;
    bool text_begun_ = false;  // of this stream
    bool may_repeat_;
};

// What the answer as a whole has cost the client, from what the last backend reports of its part.
Usage usage_of_resumed(const Usage& last, std::uint64_t tokens_before);

// A comment for the client, in front of the first event of the stream: ": resumed on NAME\n\n".
std::string resumed_comment(std::string_view backend);

}  // namespace sluice::llm
