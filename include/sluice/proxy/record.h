// RecordWriter: the access log, one JSON object a line for each exchange.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sluice/base/clock.h"

namespace sluice::proxy {

struct Exchange;

class RecordWriter {
public:
    // Writes the line of a settled exchange into `line` (replacing it), with its '\n'. No header, no
    // query and no body is in it.
    void write(const Exchange& exchange, Instant now, std::string_view client, std::string& line);

private:
    void append_time(std::string& line, WallTime at);

    // Breaking a time into a date costs more than the rest of the line: once a second.
    std::int64_t second_ = -1;
    std::string second_text_;
};

}  // namespace sluice::proxy
