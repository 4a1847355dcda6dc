// RecordWriter: the access log, one JSON object a line for each exchange.
#pragma once

#include "sluice/answer/lane.h"
#include "sluice/base/clock.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::proxy {

struct Exchange;

class RecordWriter {
public:
    RecordWriter();

    // The line of a settled exchange, with its '\n'; valid until the next one. No header, no query
    // and no body is in it. Texts are cut at 1 KiB.
    std::string_view write(const Exchange& exchange, Instant now, std::string_view client);

private:
    void put(std::string_view text);
    void put_time(WallTime at);
    void put_text(std::string_view value);
    void put_labels(const std::map<std::string, std::string>& labels);
    void put_number(std::int64_t value);
    // Of a literal the size is known: it is stored, not copied by a call.
    template <std::size_t size>
    void put(const char (&literal)[size]) {
        std::memcpy(at_, literal, size - 1);
        at_ += size - 1;
    }
    template <std::size_t size>
    void put_text(const char (&key)[size], std::string_view value) {
        put(key);
        put_text(value);
    }
    template <std::size_t size>
    void put_number(const char (&key)[size], std::int64_t value) {
        put(key);
        put_number(value);
    }

    void put_digest(const Digest& digest);
    template <std::size_t size, std::size_t reason_size>
    void put_lane(const char (&key)[size], const char (&reason_key)[reason_size],
                  const answer::LaneChoice& choice) {
        put(key);
        put(answer::lane_name(choice.lane));
        put(reason_key);
        put(std::string_view(choice.reason));
        put("\"");
    }

    // Written once a request: every byte goes straight to its place.
    std::unique_ptr<char[]> room_;
    char* at_;
    // Breaking a time into a date costs more than the rest of the line: once a second.
    std::int64_t second_ = -1;
    std::string second_text_;
    std::string escaped_;
};

}  // namespace sluice::proxy
