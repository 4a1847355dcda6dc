#include "sluice/proxy/event_log.h"

#include "sluice/base/clock.h"
#include "sluice/llm/errors.h"

#include <fmt/format.h>

#include <ctime>

namespace sluice::proxy {

void write_event(LineSink& log, std::string_view event,
                 std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
    const WallTime now = wall_now();
    const auto seconds = static_cast<std::time_t>(now.us / 1'000'000);
    std::tm utc{};
    ::gmtime_r(&seconds, &utc);
    std::string line =
        fmt::format(R"({{"time":"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z","event":"{}")",
                    utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                    utc.tm_sec, now.us % 1'000'000, event);
    for (const auto& [name, value] : fields) {
        line.append(",\"").append(name).append("\":\"");
        llm::append_json_escaped(line, value);
        line += '"';
    }
    line += "}\n";
    log.write(line);
}

}  // namespace sluice::proxy
