// What the tests of the relay share: bodies whose events are known by construction, their framing
// on the wire, and a run of the relay that is checked after every slice.
//
// Nothing here uses the scanner or the parser to say what is right: the expectation is computed
// from the list of events and the places where the bytes were cut.
#pragma once

#include "sluice/answer/relay.h"
#include "sluice/base/limits.h"
#include "sluice/http/parser.h"
#include "sluice/llm/usage.h"
#include "sluice/mem/buffer_pool.h"
#include "sluice/mem/chain.h"

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::answer::test {

using http::Framing;

// --- bodies ---------------------------------------------------------------------------------

struct Event {
    std::string bytes;
    bool usage_only = false;  // the event that a client did not ask for
};

// A body. Without events: opaque, every byte may leave as it comes.
struct Body {
    std::string name;
    std::vector<Event> events;
    std::string rest;            // behind the last event, or all of an opaque body
    bool rest_is_usage = false;  // it is that event, without its empty line
    llm::Usage usage;
    bool done = false;  // its own last event is there
    bool json = false;
    sse::Form form = sse::Form::event_stream;  // of the events

    bool is_stream() const { return !events.empty(); }
    std::string text() const;
};

// Event streams with every kind of line end and content; JSON lines; JSON; opaque bytes.
std::vector<Body> streams();
std::vector<Body> other_bodies();

// --- on the wire ----------------------------------------------------------------------------

// Where a backend that sends chunks ends them.
enum class Chunking { event, whole, pairs, seven_bytes, odd_lines };
inline constexpr Chunking every_chunking[] = {Chunking::event, Chunking::whole, Chunking::pairs,
                                              Chunking::seven_bytes, Chunking::odd_lines};

struct Wire {
    Framing framing = Framing::length;
    sse::Form form = sse::Form::event_stream;
    std::string bytes;
    std::size_t body_bytes = 0;
    std::vector<std::size_t> body_at;  // by offset in `bytes`: how much of the body is before it
    std::set<std::size_t> chunk_ends;  // in the body
    std::vector<std::size_t> aligned;  // offsets behind a whole chunk that ends with an event
};
Wire encode(const Body& body, Framing framing, Chunking chunking = Chunking::event);

// Reads whole chunks, naively.
class ChunkDecoder {
public:
    // False: not a sequence of whole chunks, or bytes behind the last one.
    bool take(std::string_view text);
    const std::string& body() const { return body_; }
    bool ended() const { return ended_; }

private:
    std::string body_;
    bool ended_ = false;
};

// --- a run ----------------------------------------------------------------------------------

struct Lane {
    Framing in = Framing::length;
    Framing out = Framing::length;
    bool hide = false;

    std::string name() const;
};
// Every way a body may pass: a hidden event never goes with a declared length.
std::vector<Lane> every_lane(bool stream);

struct Expected {
    std::string sent;         // has left for the client
    std::size_t pending = 0;  // begins an event whose end has not come
};
// What there is when `received` bytes of the body have come, cut at `cuts`.
Expected expected(const Body& body, const std::set<std::size_t>& cuts, std::size_t received,
                  bool hide);

// The pools that runs use, one after another.
struct Memory {
    explicit Memory(std::size_t count = 4096) : buffers(limits::buffer_bytes, count) {}
    mem::Slice slice_of(std::string_view text);
    // Nothing is left but the buffer that small texts share.
    bool empty() const { return buffers.in_use() <= 1 && nodes.in_use() == 0; }

    mem::BufferPool buffers;
    mem::NodePool nodes;
};

// One relay with what it needs.
class Run {
public:
    Run(Memory& memory, const Body& body, const Wire& wire, Lane lane);
    ~Run();

    // Gives the relay the wire's bytes up to `end`, in slices that end at `cuts`, and checks what
    // leaves after each. The first thing that is wrong, or nothing.
    std::string feed(const std::vector<std::size_t>& cuts, std::size_t end);
    // The backend closed, as it may.
    std::string finish();
    // The backend broke: what is out must end with an event, and say so where it can.
    std::string break_off();

    // One slice, as it is.
    http::Progress take(const mem::Slice& slice);

    Relay& relay() { return relay_; }
    mem::Chain& out() { return out_; }  // of the last slice
    std::size_t leftover() const { return leftover_; }
    bool complete() const { return complete_; }
    const std::string& sent() const { return sent_; }
    // The body that has left.
    std::string decoded() const;

private:
    std::string check_step(const mem::Slice& slice, std::size_t begin, std::size_t end);
    std::string check_slices(std::size_t copied_max);
    std::string settle();

    const Body& body_;
    const Wire& wire_;
    Lane lane_;
    Memory& memory_;
    http::Parser parser_{http::Parser::Side::response};
    RelayScratch scratch_;
    Relay relay_;
    mem::Chain out_;
    std::vector<mem::Slice> inputs_;  // kept, so that no buffer is used twice
    std::set<std::size_t> cuts_;      // in the body: where runs of it ended
    ChunkDecoder decoder_;
    std::string sent_;
    std::size_t received_ = 0;  // bytes of the body
    std::size_t pending_ = 0;
    std::size_t leftover_ = 0;
    bool complete_ = false;
};

// All of it: feed, finish, and the checks of the whole. Empty, or what is wrong.
std::string relay_whole(Memory& memory, const Body& body, const Wire& wire, Lane lane,
                        const std::vector<std::size_t>& cuts);
// The backend is lost after `end` bytes of the wire.
std::string relay_broken(Memory& memory, const Body& body, const Wire& wire, Lane lane,
                         const std::vector<std::size_t>& cuts, std::size_t end);

// --- deliveries -----------------------------------------------------------------------------

std::vector<std::size_t> byte_by_byte(const Wire& wire);
std::vector<std::size_t> halves(const Wire& wire);

}  // namespace sluice::answer::test
