// FailingServer: one connection of a scripted backend that fails in the way of its mood, which
// changes with time. Its texts are made of its own letter, so that two can be told apart.
#pragma once

#include "peer.h"
#include "sluice/net/address.h"
#include "tries.h"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::sim {

enum class Mood : std::uint8_t {
    well,
    gone,         // nobody listens, and what was open is reset
    resets,       // before the head
    closes,       // the same with a FIN
    fails,        // 500
    limited,      // 429, with or without a time
    loading,      // 503, also to health checks
    stalls,       // says nothing at all
    bad_head,     // what comes is not HTTP
    error_first,  // an error event before any text
    breaks,       // in the middle of the text
    stops,        // the same, and the connection stays; its health checks are answered
    hesitates,    // the same for longer than any limit, with comments, and then it goes on
    mixed,        // any of these, by request
};
inline constexpr std::size_t moods = static_cast<std::size_t>(Mood::mixed) + 1;

class FailingServer;

// What all connections of one server share.
struct Backend {
    char letter = 'a';
    net::Address address;
    unsigned slots = 0;
    bool steady = false;  // always well
    bool like_llama = false;
    Mood mood = Mood::well;
    std::size_t at_work = 0;
    std::size_t at_work_max = 0;
    std::uint64_t answers[moods] = {};  // by how they went
    std::set<FailingServer*> open;
    Instant ended_at{};  // under a request

    // Nobody listens any more, and what was open breaks; or somebody does again.
    void go();
    void come(Tries& tries);
    // It ends of this request; its port may be seen to be gone a moment after that.
    void end_under(Tries& tries, Try& asked);
};

class FailingServer final : public Peer {
public:
    FailingServer(Tries& tries, Backend& backend) : tries_(tries), backend_(backend) {}

    void on_connected() override { backend_.open.insert(this); }
    void on_data(std::string_view bytes) override;
    void on_end() override;
    void on_reset() override { end_work(); }
    void die();

private:
    bool read_request();
    void answer_get(std::string_view path);
    void answer_post(Try& asked);
    Mood mood_now();
    void begin_text(const Try& asked, Mood mood);
    void spoil(Mood mood);
    void write_text();
    void respond(int status, std::string_view fields, std::string_view body);
    void end_work();

    Tries& tries_;
    Backend& backend_;
    std::string received_;
    std::vector<std::string> pieces_;  // of the answer, still to be written
    std::size_t next_piece_ = 0;
    Mood mood_ = Mood::well;
    bool working_ = false;
    bool silent_ = false;  // for ever
};

}  // namespace sluice::sim
