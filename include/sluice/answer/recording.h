// Recording: one answer as it comes, for any number of listeners on any shard.
//
// One thread writes, any number reads; no lock is taken for a chunk. What is written stays where it
// is: the bytes lie in a chain of blocks, and a reader is told how far they are valid. Each reader
// goes at its own pace with a Cursor; none sees another. What is written is the body without the
// framing of a transfer: whole events, documents as they come.
//
//     state    there is                              next
//     waiting  nothing yet; wait() says for what    begun, or ended without an answer
//     begun    head(), and bytes up to published()   ended
//     ended    ending(): whole, or why not
//
// How much is kept. Who joins comes through a Door, which holds all bytes from the first one on: up
// to `kept_max` bytes the writer holds one, too. Beyond that it lets go of it, and so must whoever
// lets others in: then only what the slowest has still to read is in memory, and behind() says how
// much that is, so that the writer can wait.
#pragma once

#include "sluice/answer/end.h"
#include "sluice/answer/lane.h"
#include "sluice/answer/relay.h"
#include "sluice/base/clock.h"
#include "sluice/base/result.h"
#include "sluice/llm/usage.h"
#include "sluice/mem/chain.h"
#include "sluice/policy/retry_after.h"
#include "sluice/sse/scanner.h"
#include "sluice/upstream/endpoint.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::answer {

class Recording {
    struct Block;

public:
    enum class State : std::uint8_t { waiting, begun, ended };
    // Where one can join; empty: nowhere any more.
    class Door {
    public:
        Door() = default;
        explicit operator bool() const { return block_ != nullptr; }

    private:
        friend class Recording;
        friend class Cursor;
        // Shared by all that may still read from it.
        explicit Door(std::shared_ptr<Block> block) : block_(std::move(block)) {}
        std::shared_ptr<Block> block_;  // the same
    };
    // What the answer is waited for with.
    enum class Stage : std::uint8_t { server, line, load };
    struct Wait {
        Stage stage = Stage::server;
        std::uint32_t position = 0;  // in line, from 1; 0: not in one
    };

    // Who answers, or was asked last.
    struct Place {
        std::shared_ptr<const upstream::Endpoint> server;  // shared with the catalogs that name it
        std::string model;                                 // in the gateway
        std::uint32_t retries = 0;
        bool asked_anew = false;  // for all, where a part was to come from what is kept
    };

    struct Head {
        int status = 0;
        std::string reason;
        std::string
            fields;  // of the answer; each with its CRLF. What is a client's own is not here
        bool event_stream = false;
        sse::Form form = sse::Form::event_stream;
        Place place;
    };

    struct Ending {
        bool whole = false;
        End end = End::ok;
        Error error;  // not whole, or a refusal that passed: why
        policy::RetryAdvice advice;
        InBand in_band;
        Place place;
        llm::Usage usage;
        bool usage_estimated = false;
        std::uint32_t resumed = 0;
        Duration queued;
        std::string hops;
        LaneChoice lane;
    };

    // A run of bytes that came together: where it ends, and when that was since the first one.
    struct Run {
        std::uint64_t end = 0;
        Duration since_first;
    };

    // `shared`: others may be told of it.
    explicit Recording(std::size_t kept_max, bool shared = true);
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;
    ~Recording();

    bool is_shared() const { return shared_; }
    // By whoever made it, or the writer.
    Door door() const { return Door(first_); }

    // --- who is told that there is more: shards, as bits ---
    void add_shard(unsigned shard) { listening_.fetch_or(std::uint64_t{1} << shard); }
    // Those that were not told since they last looked.
    std::uint64_t take_untold() {
        const std::uint64_t untold = listening_.load() & ~told_.load();
        if (untold != 0) told_.fetch_or(untold);
        return untold;
    }
    // That shard looks now, before it reads.
    void note_look(unsigned shard) { told_.fetch_and(~(std::uint64_t{1} << shard)); }

    // --- by the writer ---
    void set_wait(Wait wait) { wait_.store(wait, std::memory_order_relaxed); }
    // What the head says; nobody sees it before begin(). A later one takes its place.
    void stage_status(int status, std::string_view reason);
    void stage_fields(std::string_view lines) { head_.fields = lines; }
    void stage_place(Place place);
    // Once; later calls change nothing.
    void begin(bool event_stream, sse::Form form);
    void append(std::string_view bytes);
    void append(const mem::Chain& bytes, Instant now);
    // Begins it where there is a head and no body.
    void end(Ending&& ending);
    const std::vector<Run>& runs() const { return runs_; }
    // Everything that was written; empty where some of it was let go.
    std::string whole_body() const;
    bool kept_whole() const { return !let_go_; }
    // Bytes that the slowest reader has still before it, where they are too many; else 0.
    std::size_t behind() const;

    // --- by anybody ---
    State state() const { return state_.load(); }
    Wait wait() const { return wait_.load(std::memory_order_relaxed); }
    const Head& head() const {
        SLUICE_ASSERT(begun_);
        return head_;
    }
    // Behind `ended`: an answer has begun.
    bool has_head() const { return begun_; }
    const Ending& ending() const {
        SLUICE_ASSERT(state() == State::ended);
        return ending_;
    }
    std::uint64_t published() const { return published_.load(); }

private:
    friend class Cursor;

    struct Block {
        Block(std::atomic<std::size_t>& live, std::uint64_t first, std::size_t size)
            : begin(first),
              capacity(size),
              bytes(std::make_unique_for_overwrite<char[]>(size)),
              in_memory(live) {
            in_memory.fetch_add(size, std::memory_order_relaxed);
        }
        ~Block() { in_memory.fetch_sub(capacity, std::memory_order_relaxed); }

        const std::uint64_t begin;  // of its first byte in the body
        const std::size_t capacity;
        std::unique_ptr<char[]> bytes;
        std::shared_ptr<Block> next;  // held by who may read this one; valid where published() is
                                      // behind this one's end
        std::atomic<std::size_t>& in_memory;
    };

    const std::size_t kept_max_;
    const bool shared_;
    std::atomic<std::uint64_t> listening_{0};
    std::atomic<std::uint64_t> told_{0};
    std::atomic<State> state_{State::waiting};
    std::atomic<Wait> wait_{Wait{}};
    static_assert(std::atomic<Wait>::is_always_lock_free);
    std::atomic<std::uint64_t> published_{0};
    std::atomic<std::size_t> in_memory_{0};  // bytes of blocks; they are freed by whoever reads on
    Head head_;
    bool begun_ = false;  // set before the state says so
    Ending ending_;
    Instant first_at_;
    std::vector<Run> runs_;
    std::shared_ptr<Block> last_;
    std::shared_ptr<Block> first_;  // null: the begin was let go
    bool let_go_ = false;
};

// Where a listener is. Of one thread.
class Cursor {
public:
    // The recording's own door, which is open.
    Cursor(std::shared_ptr<Recording> recording, Recording::Door door);
    ~Cursor();
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;

    const Recording& recording() const { return *recording_; }
    const std::shared_ptr<Recording>& share() const { return recording_; }
    // The next bytes that are there and lie together; empty: none, for now or at all.
    std::string_view next();
    void consume(std::size_t bytes);
    std::uint64_t position() const { return position_; }
    bool at_end() const {
        return recording_->state() == Recording::State::ended &&
               position_ == recording_->published();
    }

private:
    std::shared_ptr<Recording> recording_;
    std::shared_ptr<Recording::Block> block_;
    std::uint64_t position_ = 0;
};

}  // namespace sluice::answer
