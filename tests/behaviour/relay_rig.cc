#include "relay_rig.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

namespace sluice::answer::test {

namespace {

std::string_view error_event_for(const Body& body) {
    return body.form == sse::Form::json_lines ? "{\"error\":\"broken\"}\n"
                                              : "data: {\"error\":{\"message\":\"broken\"}}\n\n";
}

const char* framing_name(Framing framing) {
    switch (framing) {
        case Framing::none:
            return "none";
        case Framing::length:
            return "length";
        case Framing::chunked:
            return "chunked";
        case Framing::until_close:
            return "until_close";
    }
    return "";
}

// What the end of the framing looks like.
constexpr std::string_view last_chunk = "0\r\n\r\n";

// A size line of ours, a line end, or the end of the body: what the relay may write itself.
bool is_framing_text(std::string_view text) {
    if (text == "\r\n" || text == last_chunk) return true;
    if (!text.ends_with("\r\n") || text.size() < 3 || text.size() > 18) return false;
    text.remove_suffix(2);
    return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// The bodies of the chunks, in order.
std::vector<std::string> chunks_of(const Body& body, Chunking chunking) {
    const std::string text = body.text();
    if (chunking == Chunking::whole) return {text};
    std::vector<std::string> chunks;
    if (chunking == Chunking::seven_bytes) {
        for (std::size_t at = 0; at < text.size(); at += 7)
            chunks.push_back(text.substr(at, 7));
        return chunks;
    }
    for (std::size_t i = 0; i < body.events.size(); ++i) {
        const bool joined = chunking == Chunking::pairs && i % 2 == 1;
        if (!joined) chunks.emplace_back();
        chunks.back() += body.events[i].bytes;
    }
    if (!body.rest.empty()) chunks.push_back(body.rest);
    return chunks;
}

std::string size_line(std::size_t size, bool odd) {
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof(digits), size, 16).ptr;
    std::string line(digits, end);
    if (odd) {
        std::ranges::transform(line, line.begin(), [](char c) {
            return c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c;
        });
        line.insert(0, "00");
        if (size % 2 == 0) line += ";name=value";
    }
    return line + "\r\n";
}

void add_framing(Wire& wire, std::string_view text) {
    wire.bytes += text;
    wire.body_at.resize(wire.bytes.size() + 1, wire.body_bytes);
}

void add_body(Wire& wire, std::string_view text) {
    for (const char c : text) {
        wire.bytes += c;
        wire.body_at.push_back(++wire.body_bytes);
    }
}

void add_chunks(Wire& wire, const Body& body, Chunking chunking) {
    const bool odd = chunking == Chunking::odd_lines;
    for (const std::string& chunk : chunks_of(body, chunking)) {
        if (chunk.empty()) continue;
        add_framing(wire, size_line(chunk.size(), odd));
        add_body(wire, chunk);
        add_framing(wire, "\r\n");
        wire.chunk_ends.insert(wire.body_bytes);
        wire.aligned.push_back(wire.bytes.size());
    }
    add_framing(wire, odd ? "000;end\r\nTrailer: yes\r\n\r\n" : last_chunk);
}

}  // namespace

Wire encode(const Body& body, Framing framing, Chunking chunking) {
    Wire wire;
    wire.framing = framing;
    wire.form = body.form;
    wire.body_at = {0};
    if (framing == Framing::chunked)
        add_chunks(wire, body, chunking);
    else
        add_body(wire, body.text());
    SLUICE_ASSERT(wire.body_at.size() == wire.bytes.size() + 1);
    return wire;
}

bool ChunkDecoder::take(std::string_view text) {
    while (!text.empty()) {
        if (ended_) return false;
        std::size_t size = 0;
        const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), size, 16);
        if (code != std::errc{}) return false;
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        if (!text.starts_with("\r\n")) return false;
        text.remove_prefix(2);
        if (text.size() < size + 2 || text.substr(size, 2) != "\r\n") return false;
        body_ += text.substr(0, size);
        ended_ = size == 0;
        text.remove_prefix(size + 2);
    }
    return true;
}

std::string Lane::name() const {
    return std::string(framing_name(in)) + " to " + framing_name(out) + (hide ? ", hiding" : "");
}

std::vector<Lane> every_lane(bool stream) {
    std::vector<Lane> lanes;
    for (const Framing in : {Framing::length, Framing::chunked, Framing::until_close}) {
        for (const bool hide : {false, true}) {
            if (hide && !stream) continue;
            for (const int minor : {1, 0})
                lanes.push_back({in, choose_framing(in, minor, hide), hide});
        }
    }
    return lanes;
}

Expected expected(const Body& body, const std::set<std::size_t>& cuts, std::size_t received,
                  bool hide) {
    const std::string text = body.text();
    if (!body.is_stream()) return {text.substr(0, received), 0};
    std::string out;
    std::size_t begin = 0;
    std::size_t end = 0;
    for (const Event& event : body.events) {
        end += event.bytes.size();
        std::size_t boundary = end;
        // The CR of an empty line ends an event at once; its LF goes with the next one.
        const bool crlf = body.form == sse::Form::event_stream && end >= 2 &&
                          text.compare(end - 2, 2, "\r\n") == 0;
        if (crlf && cuts.contains(end - 1)) boundary = end - 1;
        if (received < boundary) break;
        if (!(hide && event.usage_only)) out += text.substr(begin, boundary - begin);
        begin = boundary;
    }
    // What is left at the very end passes as it is.
    const bool all = received == text.size() && cuts.contains(text.size() + 1);
    const bool hidden = hide && body.rest_is_usage;
    return {all && !hidden ? out + text.substr(begin) : out, received - begin};
}

// --- Run ------------------------------------------------------------------------------------

mem::Slice Memory::slice_of(std::string_view text) {
    SLUICE_ASSERT(text.size() <= buffers.buffer_bytes());
    const auto lent = buffers.lend();
    std::memcpy(lent.data, text.data(), text.size());
    return buffers.filled(lent.id, text.size());
}

Run::Run(Memory& memory, const Body& body, const Wire& wire, Lane lane)
    : body_(body),
      wire_(wire),
      lane_(lane),
      memory_(memory),
      relay_(memory.nodes),
      out_(memory.nodes),
      cuts_(wire.chunk_ends) {
    SLUICE_ASSERT(lane.in == wire.framing);
    std::string head = "HTTP/1.1 200 OK\r\n";
    if (lane.in == Framing::length)
        head += "Content-Length: " + std::to_string(wire.bytes.size()) + "\r\n";
    if (lane.in == Framing::chunked) head += "Transfer-Encoding: chunked\r\n";
    head += "\r\n";
    http::Head parsed;
    const auto progress = parser_.parse_head(head, parsed);
    SLUICE_ASSERT(progress == http::Progress::complete && parsed.framing == lane.in);
    relay_.begin({.in = lane.in,
                  .out = lane.out,
                  .length = wire.body_bytes,
                  .event_stream = body.is_stream(),
                  .form = wire.form,
                  .readable = body.json,
                  .hide_usage_event = lane.hide});
}

Run::~Run() {
    if (!complete_) relay_.break_off({}, false, memory_.buffers, out_);
    out_.clear();
    inputs_.clear();
    SLUICE_ASSERT(memory_.empty());
}

http::Progress Run::take(const mem::Slice& slice) {
    out_.clear();
    const auto progress = relay_.take(slice, parser_, scratch_, memory_.buffers, out_, leftover_);
    complete_ |= progress == http::Progress::complete;
    return progress;
}

std::string Run::feed(const std::vector<std::size_t>& cuts, std::size_t end) {
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= cuts.size() && begin < end; ++i) {
        const std::size_t cut = i < cuts.size() ? std::min(cuts[i], end) : end;
        while (begin < cut) {
            const std::size_t part = std::min(cut - begin, limits::buffer_bytes);
            const mem::Slice slice =
                memory_.slice_of(std::string_view(wire_.bytes).substr(begin, part));
            std::string problem = check_step(slice, begin, begin + part);
            if (!problem.empty()) return problem + " at byte " + std::to_string(begin + part);
            begin += part;
        }
    }
    return {};
}

std::string Run::check_step(const mem::Slice& slice, std::size_t begin, std::size_t end) {
    inputs_.push_back(slice.share());
    received_ = wire_.body_at[end];
    if (received_ > wire_.body_at[begin]) cuts_.insert(received_);
    const auto progress = take(slice);
    const bool last = end == wire_.bytes.size() && lane_.in != Framing::until_close;
    if (progress != (last ? http::Progress::complete : http::Progress::incomplete))
        return "the progress is wrong";
    if (leftover_ != 0) return "bytes were left over";
    return settle();
}

// Takes what has just left, and compares all that has left so far.
std::string Run::settle() {
    if (complete_) cuts_.insert(wire_.body_bytes + 1);
    const Expected due = expected(body_, cuts_, received_, lane_.hide);
    // Only what had to wait may have been packed on the way.
    const std::size_t waited = std::exchange(pending_, due.pending);
    const std::size_t copied_max = waited + (complete_ ? due.pending : 0);
    if (std::string problem = check_slices(copied_max); !problem.empty()) return problem;
    const std::string text = out_.to_string();
    sent_ += text;
    if (lane_.out == Framing::chunked && !decoder_.take(text)) return "no whole chunks left";
    if (lane_.out == Framing::chunked && decoder_.ended() != complete_)
        return "the last chunk is not where the body ends";
    if (decoded() != due.sent) return "what left is not what was whole: " + decoded();
    return {};
}

// Every slice is bytes of the backend where they were received, or framing, or it had to wait.
std::string Run::check_slices(std::size_t copied_max) {
    std::size_t copied = 0;
    out_.for_each([&](const mem::Slice& slice) {
        const auto holds = [&](const mem::Slice& input) {
            return slice.data() >= input.data() &&
                   slice.data() + slice.size() <= input.data() + input.size();
        };
        const bool received = std::any_of(inputs_.rbegin(), inputs_.rend(), holds);
        const bool framing = lane_.out == Framing::chunked && is_framing_text(slice.text());
        if (!received && !framing) copied += slice.size();
        return true;
    });
    return copied > copied_max ? "bytes were copied that did not wait" : "";
}

std::string Run::decoded() const {
    return lane_.out == Framing::chunked ? decoder_.body() : sent_;
}

std::string Run::finish() {
    if (complete_) return {};
    if (parser_.finish() != http::Progress::complete) return "the end is refused";
    out_.clear();
    relay_.see_end();
    if (!relay_.end(memory_.buffers, out_)) return "the end does not leave";
    complete_ = true;
    return settle();
}

std::string Run::break_off() {
    const std::string before = decoded();
    const std::string_view error_event = error_event_for(body_);
    out_.clear();
    const bool told = relay_.break_off(error_event, false, memory_.buffers, out_);
    complete_ = true;
    const bool possible = body_.is_stream() && lane_.out != Framing::length;
    if (told != possible) return "the client is told when it cannot be, or not when it can";
    const std::string text = out_.to_string();
    sent_ += text;
    if (!told) return text.empty() ? std::string{} : "something left that is no event";
    if (lane_.out == Framing::chunked && !decoder_.take(text)) return "the error is no whole chunk";
    if (decoder_.ended()) return "a stream that broke looks complete";
    if (decoded() != before + std::string(error_event)) return "the error event is not whole";
    return {};
}

// --- whole runs -----------------------------------------------------------------------------

namespace {

// What a client's strict parser makes of what was sent.
std::string check_by_parser(std::string_view sent, const std::string& body) {
    http::Parser parser(http::Parser::Side::response);
    http::Head head;
    const std::string_view text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    if (parser.parse_head(text, head) != http::Progress::complete) return "no head";
    std::vector<http::BodyPiece> pieces;
    std::size_t consumed = 0;
    if (parser.parse_body(sent, pieces, consumed) != http::Progress::complete)
        return "a client cannot read the chunks";
    if (consumed != sent.size()) return "there is something behind the last chunk";
    std::string decoded;
    for (const auto& piece : pieces)
        decoded += sent.substr(piece.begin, piece.end - piece.begin);
    return decoded == body ? std::string{} : "a client reads another body";
}

std::string check_facts(const Body& body, const Relay& relay) {
    const llm::Usage& usage = relay.usage();
    if (usage.known != body.usage.known) return "usage known is wrong";
    if (usage.prompt != body.usage.prompt || usage.completion != body.usage.completion ||
        usage.cached != body.usage.cached)
        return "the tokens are counted wrong";
    if (body.is_stream() && relay.saw_done() != body.done) return "saw_done is wrong";
    return {};
}

}  // namespace

std::string relay_whole(Memory& memory, const Body& body, const Wire& wire, Lane lane,
                        const std::vector<std::size_t>& cuts) {
    Run run(memory, body, wire, lane);
    if (std::string problem = run.feed(cuts, wire.bytes.size()); !problem.empty()) return problem;
    if (std::string problem = run.finish(); !problem.empty()) return problem;
    if (lane.out == Framing::chunked) {
        std::string problem = check_by_parser(run.sent(), run.decoded());
        if (!problem.empty()) return problem;
    }
    return check_facts(body, run.relay());
}

std::string relay_broken(Memory& memory, const Body& body, const Wire& wire, Lane lane,
                         const std::vector<std::size_t>& cuts, std::size_t end) {
    Run run(memory, body, wire, lane);
    if (std::string problem = run.feed(cuts, end); !problem.empty()) return problem;
    return run.complete() ? std::string{} : run.break_off();
}

std::vector<std::size_t> byte_by_byte(const Wire& wire) {
    std::vector<std::size_t> cuts;
    for (std::size_t i = 1; i < wire.bytes.size(); ++i)
        cuts.push_back(i);
    return cuts;
}

std::vector<std::size_t> halves(const Wire& wire) {
    return {wire.bytes.size() / 2};
}

}  // namespace sluice::answer::test
