// Ollama's lines: the last one, with what the others said.
#include "answer_makers.h"
#include "grown_json.h"
#include "json_members.h"

namespace sluice::llm {

Result<std::string> ollama_answer(RecordedEvents events) {
    GrownJson answer(GrowthPlace::line);
    bool done = false;
    for (const RecordedEvent& event : events) {
        if (done) return no_other_form("something follows its last line");
        const auto line = JsonMembers::read(event.data);
        if (!line) return no_other_form("a line is no sound object");
        if (line->has("error")) return no_other_form("it holds an error");
        if (!answer.grow_all(event.data)) return no_other_form("its lines cannot be put together");
        done = line->find("done") == "true";
    }
    if (!done) return no_other_form("it is not complete: no \"done\":true");
    std::string out;
    answer.write(out);
    return out;
}

}  // namespace sluice::llm
