#include "process_usage.h"

#include <fmt/format.h>

#include <dirent.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::bench {
namespace {

// A file of /proc: small, and read in one piece.
std::string read_small(const std::string& path) {
    std::string text(8192, '\0');
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
    text.resize(file == nullptr ? 0 : std::fread(text.data(), 1, text.size(), file.get()));
    return text;
}

std::uint64_t number_behind(std::string_view text, std::string_view key) {
    const auto at = text.find(key);
    if (at == std::string_view::npos) return 0;
    return std::strtoull(text.data() + at + key.size(), nullptr, 10);
}

std::uint64_t switches_of(pid_t pid) {
    const std::string tasks = fmt::format("/proc/{}/task", pid);
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(tasks.c_str()), ::closedir);
    std::uint64_t sum = 0;
    while (folder != nullptr) {
        const dirent* entry = ::readdir(folder.get());
        if (entry == nullptr) break;
        if (entry->d_name[0] == '.') continue;
        const auto status = read_small(fmt::format("{}/{}/status", tasks, entry->d_name));
        sum += number_behind(status, "\nvoluntary_ctxt_switches:") +
               number_behind(status, "\nnonvoluntary_ctxt_switches:");
    }
    return sum;
}

struct Life {
    char state = 'X';
    std::uint64_t started = 0;
};

// proc(5): behind the name, which may have spaces and brackets, the 3rd field is the state, the
// 22nd the start.
Life life_of(pid_t pid) {
    constexpr int fields_to_start = 20;
    const auto stat = read_small(fmt::format("/proc/{}/stat", pid));
    const auto name_end = stat.rfind(") ");
    if (name_end == std::string::npos || name_end + 2 >= stat.size()) return {};
    std::size_t at = name_end + 1;
    for (int field = 0; field + 1 < fields_to_start && at != std::string::npos; ++field)
        at = stat.find(' ', at + 1);
    if (at == std::string::npos) return {};
    return {stat[name_end + 2], std::strtoull(stat.c_str() + at, nullptr, 10)};
}

}  // namespace

std::optional<ProcessUsage> used_between(const std::optional<ProcessUsage>& before,
                                         const std::optional<ProcessUsage>& after) {
    if (!before || !after || before->started != after->started) return std::nullopt;
    if (after->cpu_ns < before->cpu_ns) return std::nullopt;
    ProcessUsage used = *after;
    used.cpu_ns -= before->cpu_ns;
    used.switches.reset();
    if (before->switches && after->switches && *after->switches >= *before->switches)
        used.switches = *after->switches - *before->switches;
    return used;
}

std::optional<ProcessUsage> usage_of(pid_t pid) {
    // The process's own clock: nanoseconds, up to this moment also for a thread that runs now,
    // where /proc counts in ticks or only when a thread leaves the processor.
    if (pid <= 0) return std::nullopt;
    clockid_t clock{};
    timespec time{};
    if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0)
        return std::nullopt;
    // One that has ended keeps its clock until its parent asks for it.
    const Life life = life_of(pid);
    if (life.state == 'Z' || life.state == 'X') return std::nullopt;
    ProcessUsage usage;
    usage.started = life.started;
    usage.cpu_ns = std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
    // statm: size and resident pages.
    const auto memory = read_small(fmt::format("/proc/{}/statm", pid));
    usage.rss_bytes =
        number_behind(memory, " ") * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    usage.switches = switches_of(pid);
    return usage;
}

}  // namespace sluice::bench
