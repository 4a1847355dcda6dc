// TryClient: sends one try and judges what comes: never two backends' bytes in one answer, never
// an end that only looks like one.
#pragma once

#include "answer_reader.h"
#include "peer.h"
#include "sluice/base/clock.h"
#include "tries.h"

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::sim {

class TryClient final : public Peer {
public:
    // Leaves after `leaves`, unless that is zero. `done` is called once.
    TryClient(Try& asked, Duration leaves, bool lenient, std::function<void()> done)
        : asked_(asked), leaves_(leaves), lenient_(lenient), done_(std::move(done)) {}

    void on_connected() override;
    void on_refused() override { end(Try::Outcome::cut); }
    void on_data(std::string_view bytes) override;
    void on_end() override { judge(false); }
    void on_reset() override { judge(false); }

private:
    void judge(bool complete);
    void end(Try::Outcome outcome);

    Try& asked_;
    Duration leaves_;
    bool lenient_;  // the network breaks connections, too
    std::function<void()> done_;
    AnswerReader reader_;
};

}  // namespace sluice::sim
