// LineSink: where finished lines of text go, such as the access log.
//
// write() must not block and keeps no reference to the line. The line ends with '\n'.
#pragma once

#include <string_view>

namespace sluice {

class LineSink {
public:
    virtual void write(std::string_view line) = 0;

protected:
    ~LineSink() = default;
};

}  // namespace sluice
