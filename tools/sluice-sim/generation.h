// Generation: one job being answered: which bytes are due at which time, and what goes wrong.
//
// Pure: it appends bytes to a text and is asked again when it said so, or when there is room.
#pragma once

#include "job.h"
#include "response_head.h"
#include "shapes.h"
#include "sluice/base/clock.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::model_sim {

// What becomes of the connection when all bytes are out.
enum class Ending : std::uint8_t {
    none,        // there is more to come
    keep_alive,  // the answer is complete
    close,       // it is complete, and the server closes
    cut,         // it is not complete: FIN
    reset,       // it is not complete: RST
    stall,       // it is not complete: nothing more ever comes
};

class Generation {
public:
    // `head` says what the connection knows of the response; status and framing are ours.
    void take(Job&& job, const ResponseHead& head, std::string origin);
    // The work begins.
    void start(Instant now);

    // Appends what is due at `now`, up to about `room` bytes in `out`.
    void produce(Instant now, std::size_t room, std::string& out);

    // When there is more; in the past: at once.
    Instant due() const { return due_; }
    Ending ending() const { return ending_; }

    const Job& job() const { return job_; }
    std::uint64_t tokens_made() const { return made_; }

private:
    void begin(std::string& out);
    void step(Instant now, std::string& out);
    void open_choices(std::string& out);
    void add_event(std::string& out, std::string_view counter, std::uint32_t choice);
    void end_stream(Instant now, std::string& out);
    void answer_whole(Instant now, std::string& out);
    void cut_whole(const std::string& body, std::string& out);
    bool strikes_now() const;
    void strike_stream(std::string& out);
    void put(std::string& out, std::string_view data);
    void flush(std::string& out);
    void write_head(std::string& out, int status, std::string_view type, std::uint64_t length);
    Totals totals() const;
    Ending proper_ending() const;

    Job job_;
    ResponseHead head_;
    std::string origin_;  // `head_` points here
    Shape shape_{};
    std::vector<Frame> frames_;
    std::vector<Text> texts_;
    std::string events_;  // of the chunk that is not full yet
    std::uint32_t events_count_ = 0;
    std::uint64_t made_ = 0;
    Instant started_;
    Instant first_token_;
    Instant last_token_;
    Instant due_;
    Ending ending_ = Ending::none;
    bool begun_ = false;
    bool opened_ = false;
    bool struck_ = false;
};

}  // namespace sluice::model_sim
