// A process that is killed a hundred times while it writes answers: what is found afterwards is
// whole, is what its key says, and is not over.
//
//     state_kill_test [ROUNDS]            kills and looks
//     state_kill_test write FILE ROUND    writes until it is killed
//
// Half of the answers live for a few milliseconds only, so that there are some that are over at
// each look. At least one answer of each round has to be there: a disk that keeps nothing would
// pass, too.
#include "folder.h"
#include "sluice/base/prng.h"
#include "sluice/state/answer_disk.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

using namespace sluice;
using namespace sluice::state;
using namespace sluice::state::test;

namespace {

constexpr std::uint64_t numbers = 64;
constexpr std::uint64_t bytes_max = std::uint64_t{4} << 20;
constexpr Duration hour = Duration::seconds(3600);
constexpr Duration blink = Duration::millis(5);

bool is_short_lived(std::uint64_t number) {
    return number % 2 == 1;
}

struct Nobody final : DiskAsker {
    void on_disk_answer(std::uint64_t, KeptAnswer) override {}
};

[[noreturn]] void write(const std::string& file, std::uint64_t round) {
    Nobody nobody;
    auto disk = AnswerDisk::open(file, {bytes_max}, {&nobody});
    if (!disk) {
        std::fprintf(stderr, "%s\n", disk.error().message.c_str());
        std::exit(1);
    }
    std::printf("ready\n");
    std::fflush(stdout);
    Prng prng(round);
    for (;;) {
        const std::uint64_t number = prng.below(numbers);
        if (prng.chance(1, 500)) {
            static_cast<void>(disk.value()->channel(0).purge(
                {.by = Purge::By::consumer, .name = number % 2 == 0 ? "even" : "odd"}));
        }
        const Duration ttl = is_short_lived(number) ? blink : hour;
        disk.value()->channel(0).put(key_of(number), answer_of(number, round), wall_now(), ttl);
        // No faster than a disk: what is not taken is not written.
        ::poll(nullptr, 0, prng.chance(1, 8) ? 1 : 0);
    }
}

// Starts a writer, and kills it a moment after it is ready.
bool write_and_kill(const char* program, const std::string& file, std::uint64_t round, int ms) {
    int ends[2];
    SLUICE_ASSERT(::pipe(ends) == 0);
    const pid_t writer = ::fork();
    SLUICE_ASSERT(writer >= 0);
    if (writer == 0) {
        ::dup2(ends[1], STDOUT_FILENO);
        ::close(ends[0]);
        ::close(ends[1]);
        const std::string number = std::to_string(round);
        ::execl(program, program, "write", file.c_str(), number.c_str(), nullptr);
        ::_exit(127);
    }
    ::close(ends[1]);
    char byte = 0;
    const bool ready = ::read(ends[0], &byte, 1) == 1;
    ::poll(nullptr, 0, ms);
    ::kill(writer, SIGKILL);
    int status = 0;
    ::waitpid(writer, &status, 0);
    ::close(ends[0]);
    return ready && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

struct Seen {
    std::uint64_t found = 0;
    std::uint64_t of_this_round = 0;
    std::uint64_t wrong = 0;
};

Seen look(const std::string& file, std::uint64_t round, std::uint64_t& unfit) {
    Seen seen;
    auto table = AnswerTable::open(file, {bytes_max});
    SLUICE_ASSERT(table.ok());
    // So that every short-lived one is over.
    ::poll(nullptr, 0, static_cast<int>(blink.as_millis()) + 1);
    for (std::uint64_t number = 0; number < numbers; ++number) {
        const KeptAnswer kept = table.value()->find(key_of(number), wall_now());
        if (kept.answer == nullptr) continue;
        const std::int64_t written = round_of(number, kept.answer->body());
        const bool is_whole = written >= 0 && static_cast<std::uint64_t>(written) <= round;
        ++seen.found;
        seen.wrong += is_whole && !is_short_lived(number) ? 0 : 1;
        seen.of_this_round += static_cast<std::uint64_t>(written) == round ? 1 : 0;
    }
    unfit += table.value()->counters().unfit + table.value()->counters().replaced;
    return seen;
}

}  // namespace

int main(int count, char** arguments) {
    if (count == 4 && std::string_view(arguments[1]) == "write")
        write(arguments[2], std::strtoull(arguments[3], nullptr, 10));
    const std::uint64_t rounds = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 100;
    const Folder folder;
    Prng prng(1);
    Seen all;
    std::uint64_t unfit = 0;
    for (std::uint64_t round = 0; round < rounds; ++round) {
        const auto ms = static_cast<int>(prng.between(5, 60));
        if (!write_and_kill("/proc/self/exe", folder.file(), round, ms)) {
            std::fprintf(stderr, "round %d: the writer did not run\n", static_cast<int>(round));
            return 1;
        }
        const Seen seen = look(folder.file(), round, unfit);
        all.found += seen.found;
        all.wrong += seen.wrong;
        all.of_this_round += seen.of_this_round > 0 ? 1 : 0;
        SLUICE_ASSERT(folder.bytes() <= bytes_max);
    }
    std::printf("%d rounds: %d answers found, %d wrong; %d rounds left some, %d rows unfit\n",
                static_cast<int>(rounds), static_cast<int>(all.found), static_cast<int>(all.wrong),
                static_cast<int>(all.of_this_round), static_cast<int>(unfit));
    // A kill may come before the first commit, but not each time.
    return all.wrong == 0 && all.of_this_round * 2 > rounds && unfit == 0 ? 0 : 1;
}
