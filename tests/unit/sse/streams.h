// The streams of tests/fuzz/corpus/sse_scanner (what model servers send, and odd framings), and a
// second, naive reader of event streams that the scanner must agree with.
#pragma once

#include "sluice/base/assert.h"
#include "sluice/base/limits.h"
#include "sluice/sse/scanner.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::sse::test {

// Every stream there is; a new file is added here.
inline const std::vector<std::string> stream_names{"anthropic",
                                                   "anthropic-error",
                                                   "anthropic-tools",
                                                   "azure-filter-first",
                                                   "fooling-text",
                                                   "framing-bom",
                                                   "framing-bom-empty-line",
                                                   "framing-cr",
                                                   "framing-crlf",
                                                   "framing-fields",
                                                   "framing-mixed",
                                                   "framing-not-a-bom",
                                                   "framing-unfinished",
                                                   "framing-unicode",
                                                   "llama-chat",
                                                   "llama-chat-two-choices",
                                                   "llama-chat-usage",
                                                   "llama-completions",
                                                   "llama-native",
                                                   "llama-overflow",
                                                   "llama-reasoning",
                                                   "llama-router-killed",
                                                   "llama-tools",
                                                   "ollama-openai",
                                                   "openai-usage-null",
                                                   "responses",
                                                   "vllm-continuous-usage"};

inline std::string read_stream(const std::string& file) {
    const std::string path = std::string(SLUICE_TEST_CORPUS) + "/" + file;
    std::FILE* in = std::fopen(path.c_str(), "rb");
    SLUICE_ASSERT(in != nullptr);
    std::string text(1024 * 1024, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), in));
    std::fclose(in);
    SLUICE_ASSERT(!text.empty());
    return text;
}

struct Seen {
    std::string data;
    std::string name;
    bool comment_only = false;
    bool oversized = false;

    bool operator==(const Seen&) const = default;
};

// Reads the whole stream line by line, as the standard words it; and an `error` field as an event.
inline std::vector<Seen> read_by_reference(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    std::vector<Seen> events;
    Seen event{.comment_only = true};
    std::size_t event_begin = 0;
    bool has_data = false;
    std::string error;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t eol = text.find_first_of("\r\n", at);
        if (eol == std::string_view::npos) break;
        const std::string_view line = text.substr(at, eol - at);
        const std::size_t line_begin = at;
        at = eol + (text.substr(eol, 2) == "\r\n" ? 2 : 1);
        if (line.empty()) {
            if (!has_data && !error.empty()) event = {error, "error"};
            error.clear();
            if (line_begin - event_begin > limits::sse_event_bytes_max) event = {.oversized = true};
            events.push_back(event);
            event = {.comment_only = true};
            event_begin = at;
            has_data = false;
            continue;
        }
        if (line.front() == ':') continue;
        event.comment_only = false;
        const std::size_t colon = line.find(':');
        const std::string_view name = line.substr(0, colon);
        std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
        if (value.starts_with(' ')) value.remove_prefix(1);
        if (name == "event") event.name = value;
        if (name == "error") error = value;
        if (name == "data") {
            if (has_data) event.data += '\n';
            event.data += value;
            has_data = true;
        }
    }
    return events;
}

// The same for JSON lines: each line is an event, and so is a last one without its end.
inline std::vector<Seen> read_lines_by_reference(std::string_view text) {
    std::vector<Seen> events;
    while (!text.empty()) {
        const std::size_t eol = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, eol);
        text.remove_prefix(std::min(eol + 1, text.size()));
        const bool oversized = line.size() > limits::sse_event_bytes_max;
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (oversized)
            events.push_back({.oversized = true});
        else
            events.push_back({.data = std::string(line), .comment_only = line.empty()});
    }
    return events;
}

// Feeds `stream` in runs that end at the given offsets (and at its end). Each run is a copy of its
// own, so that a sanitizer sees any look outside of it.
template <class OnEvent, class OnRun>
void scan_runs(std::string_view stream, const std::vector<std::size_t>& cuts, OnEvent&& on_event,
               OnRun&& on_run, Form form = Form::event_stream) {
    Scanner scanner(form);
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= cuts.size(); ++i) {
        const std::size_t end = i < cuts.size() ? cuts[i] : stream.size();
        const std::string run(stream.substr(begin, end - begin));
        Event event;
        std::size_t at = 0;
        for (; scanner.next(run, at, event); at = event.end) {
            SLUICE_ASSERT(event.end > at && event.end <= run.size());
            on_event(event, std::string_view(run).substr(at, event.end - at));
        }
        on_run(std::string_view(run).substr(at), scanner.at_boundary());
        begin = end;
    }
    Event event;
    if (scanner.finish(event) && form == Form::json_lines) on_event(event, std::string_view{});
}

inline std::vector<Seen> scan(std::string_view stream, const std::vector<std::size_t>& cuts,
                              Form form = Form::event_stream) {
    std::vector<Seen> events;
    scan_runs(
        stream, cuts,
        [&](const Event& event, std::string_view) {
            events.push_back({std::string(event.data), std::string(event.name), event.comment_only,
                              event.oversized});
        },
        [](std::string_view, bool) {}, form);
    return events;
}

// A relay that holds the bytes of an event until it is whole, and then lets `keep` decide; behind
// each event it may put something in.
template <class Keep>
std::string relay(std::string_view stream, const std::vector<std::size_t>& cuts, Keep&& keep,
                  std::string_view put_in = {}) {
    std::string out;
    std::string held;
    scan_runs(
        stream, cuts,
        [&](const Event& event, std::string_view bytes) {
            held += bytes;
            if (keep(event)) out += held;
            out += put_in;
            held.clear();
        },
        [&](std::string_view rest, bool) { held += rest; });
    return out + held;
}

inline std::vector<std::size_t> every_offset(std::string_view stream) {
    std::vector<std::size_t> cuts;
    for (std::size_t i = 1; i < stream.size(); ++i)
        cuts.push_back(i);
    return cuts;
}

}  // namespace sluice::sse::test
