// LogWriter: takes lines from the shards and writes them to a descriptor, off their threads.
//
// Each shard has a channel of its own (one producer, one consumer, no lock): writing a line is a
// copy into memory. When the disk or the terminal is slower than the traffic, whole lines are
// dropped and counted, and so are those that cannot be written; a shard never waits. The file is
// opened for appending, and anew when that is asked for (its rotation): between two lines, of which
// none is lost.
#pragma once

#include "sluice/base/line_sink.h"
#include "sluice/base/result.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace sluice::shard {

class LogWriter {
public:
    class Channel final : public LineSink {
    public:
        explicit Channel(bool enabled);
        void write(std::string_view line) override;
        std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

    private:
        friend class LogWriter;
        // Powers of two; the positions run on and are masked.
        static constexpr std::size_t capacity = std::size_t{1} << 18;
        std::unique_ptr<char[]> bytes_;          // none when the log is off
        std::atomic<std::uint64_t> written_{0};  // by the shard
        std::atomic<std::uint64_t> taken_{0};    // by the writer
        std::atomic<std::uint64_t> dropped_{0};
    };

    // `target` is "stderr", "off" or a file's path.
    static Result<std::unique_ptr<LogWriter>> open(const std::string& target, std::size_t channels);
    // Whether that could be opened now; nothing is made.
    static Status check(const std::string& target);
    ~LogWriter();  // writes what is left, unless nobody takes it for a second

    Channel& channel(std::size_t shard) { return *channels_[shard]; }

    // Soon; where the file cannot be opened the one at hand is kept. Nothing for one that is none.
    void reopen() { reopen_.store(true, std::memory_order_release); }

private:
    LogWriter(int fd, std::string path, std::size_t channels);
    void run();
    void open_anew();
    bool drain(Channel& channel);
    std::size_t write_all(std::string_view text);
    bool wait_until_writable();

    int fd_;
    std::string path_;       // empty: it is not ours to open and to close
    int looks_left_ = 10;    // at a reader that takes nothing, once we stop
    bool mid_line_ = false;  // the last byte that was written ended no line; the writer's own
    bool torn_ = false;      // and the rest of that line is lost
    std::vector<std::unique_ptr<Channel>> channels_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> reopen_{false};
    std::thread thread_;
};

}  // namespace sluice::shard
