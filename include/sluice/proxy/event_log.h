// write_event(): a line in the access log about something that is no request.
//
//     {"time":"...","event":"health","backend":"http://127.0.0.1:8081","state":"down",...}
//
// Rare events only: it allocates.
#pragma once

#include "sluice/base/line_sink.h"

#include <initializer_list>
#include <string_view>
#include <utility>

namespace sluice::proxy {

// Names of fields are plain letters; values may hold anything.
void write_event(LineSink& log, std::string_view event,
                 std::initializer_list<std::pair<std::string_view, std::string_view>> fields);

}  // namespace sluice::proxy
