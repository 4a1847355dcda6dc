// A folder of its own for a test, gone with it; and entries of which a look says whose they are.
#pragma once

#include "sluice/base/assert.h"
#include "sluice/cache/answer.h"
#include "sluice/cache/key.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

namespace sluice::state::test {

class Folder {
public:
    Folder() {
        const char* const base = std::getenv("TMPDIR");
        path_ = std::string(base != nullptr ? base : "/tmp") + "/sluice-state-XXXXXX";
        SLUICE_ASSERT(::mkdtemp(path_.data()) != nullptr);
    }
    ~Folder() {
        for (const char* const ending : {"", "-wal", "-shm", "-journal"})
            ::unlink((file() + ending).c_str());
        ::rmdir(path_.c_str());
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::string file() const { return path_ + "/answers.db"; }
    // Of the file and its journal.
    std::uint64_t bytes() const {
        std::uint64_t sum = 0;
        for (const char* const ending : {"", "-wal", "-shm", "-journal"}) {
            struct stat facts{};
            if (::stat((file() + ending).c_str(), &facts) == 0)
                sum += static_cast<std::uint64_t>(facts.st_size);
        }
        return sum;
    }

private:
    std::string path_;
};

inline cache::Key key_of(std::uint64_t number) {
    return {sha256("key " + std::to_string(number))};
}

// The body says which key it belongs to and is of a size of its own; its end is its begin.
inline std::string body_of(std::uint64_t number, std::uint64_t round) {
    const std::string name = std::to_string(number) + "/" + std::to_string(round) + ";";
    std::string body = name;
    while (body.size() < (number * 7919 + round * 31) % 20'000)
        body += name;
    return body;
}
// The round that an intact body was written in; none where it is not intact.
inline std::int64_t round_of(std::uint64_t number, std::string_view body) {
    const std::size_t slash = body.find('/');
    const std::size_t end = body.find(';');
    if (slash == body.npos || end == body.npos || slash > end) return -1;
    const std::string digits(body.substr(slash + 1, end - slash - 1));
    const std::uint64_t round = std::strtoull(digits.c_str(), nullptr, 10);
    return body == body_of(number, round) ? static_cast<std::int64_t>(round) : -1;
}

// Shared as all answers are.
inline std::shared_ptr<const cache::Answer> answer_of(std::uint64_t number, std::uint64_t round,
                                                      std::string_view model = "m") {
    return cache::Answer::make({.content_type = "text/plain",
                                .model = model,
                                .scope = {cache::ScopeKind::group, "g"},
                                .consumer = number % 2 == 0 ? "even" : "odd"},
                               body_of(number, round));
}

}  // namespace sluice::state::test
