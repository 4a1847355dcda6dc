// Whatever a backend sends: what the journal keeps of a stream is what a library's parser reads in
// it, a stream that goes on is whole events of sound JSON, and the text that the client reads in
// both is the journal's. Whatever a client sends: a resumed body is one that the gateway takes, and
// ends with the text.
//
// Input: an event stream, which is cut at a random event, or a request body. Seeded by its length
// and its first byte.
#include "chat_streams.h"
#include "sluice/base/prng.h"
#include "sluice/llm/resume_request.h"
#include "sluice/llm/resumed_stream.h"
#include "streams.h"

#include <cstdint>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

void check_text(const ResumeJournal& journal, const Pieces& client) {
    const ReadChat chat = read_chat(client);
    const ResumeObstacle obstacle = journal.obstacle();
    if (!chat.sound) return;  // half of a surrogate pair, which we join and the library refuses
    if (obstacle != ResumeObstacle::none && obstacle != ResumeObstacle::reasoning_tags) return;
    SLUICE_ASSERT(journal.text() == chat.text);
    SLUICE_ASSERT(journal.reasoning() == chat.reasoning);
    SLUICE_ASSERT(chat.finish.empty() && !chat.done);
}

void check_stream(std::string_view text, Prng& prng) {
    Pieces events;
    for (const sse::test::Seen& seen : sse::test::scan(text, {})) {
        if (!seen.comment_only) events.push_back(seen.data);
    }
    const std::size_t cut = prng.between(0, events.size());
    ResumeJournal journal;
    Pieces client;
    for (std::size_t i = 0; i < cut; ++i) {
        journal.take(events[i]);
        client.push_back(events[i]);
        check_text(journal, client);
    }
    if (journal.obstacle() != ResumeObstacle::none) return;
    ResumedStream stream(journal, prng.chance(1, 2));
    // What goes on is the rest of the stream, or the whole once more.
    for (std::size_t i = prng.chance(1, 2) ? cut : 0; i < events.size(); ++i) {
        const ResumedStream::Result result = stream.take(events[i]);
        if (result.action == ResumedStream::Action::broken) return;
        if (result.action == ResumedStream::Action::pass) client.push_back(events[i]);
        if (result.action != ResumedStream::Action::replace) continue;
        const std::string data = data_of(result.event);
        SLUICE_ASSERT(read_chat({data}).sound || !read_chat({events[i]}).sound);
        client.push_back(data);
        check_text(journal, client);
    }
}

void check_body(std::string_view body) {
    ResumeJournal journal;
    const Pieces events = llama_stream({.pieces = {"Hi \"", "you\\\n\U0001F30A."}});
    for (std::size_t i = 0; i < 3; ++i)
        journal.take(events[i]);
    const ResumeObstacle obstacle = can_resume(body);
    BodyReader reader;
    reader.feed(body);
    const Result<RequestFacts> facts = reader.finish();
    if (!facts.ok() || obstacle != ResumeObstacle::none) return;
    for (const Continuation how :
         {Continuation::llama_server, Continuation::vllm, Continuation::ollama}) {
        const ResumePlan plan = plan_resume(body, journal, how);
        SLUICE_ASSERT(plan.obstacle == ResumeObstacle::none);
        if (plan.length_reached) continue;
        const EditList usual =
            plan_edits(BodyKind::json, facts.value(), {.model = "another", .include_usage = true});
        const std::string resumed = resumed_body(body, usual, plan);
        BodyReader again;
        again.feed(resumed);
        SLUICE_ASSERT(again.finish().ok());
        SLUICE_ASSERT(can_resume(resumed) == ResumeObstacle::none);
        // The library refuses what is only too large a number for it.
        const std::optional<std::string> prefill = read_prefill(resumed);
        SLUICE_ASSERT(!prefill || prefill->ends_with(journal.text()));
        SLUICE_ASSERT(prefill || !compare(body).theirs || compare(body).ours);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    Prng prng(size * 256 + data[0]);
    for (int i = 0; i < 4; ++i)
        check_stream(text, prng);
    check_body(text);
    return 0;
}
