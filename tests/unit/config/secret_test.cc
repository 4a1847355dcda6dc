// Keys: read from where the configuration says they are, and never shown (faults.md row 169).
#include "sluice/config/secret.h"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

using namespace sluice;
using namespace sluice::config;

namespace {

struct KeyFile {
    explicit KeyFile(const std::string& text, mode_t mode = 0600) {
        char name[] = "/tmp/sluice-key-XXXXXX";
        const int fd = ::mkstemp(name);
        REQUIRE(fd >= 0);
        REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        REQUIRE(::fchmod(fd, mode) == 0);
        ::close(fd);
        path = name;
    }
    ~KeyFile() { ::unlink(path.c_str()); }
    KeyFile(const KeyFile&) = delete;
    KeyFile& operator=(const KeyFile&) = delete;

    std::string path;
};

std::string problem_of(const std::string& reference) {
    const auto secret = Secret::from_reference(reference);
    REQUIRE_FALSE(secret.ok());
    return secret.error().message;
}

}  // namespace

TEST_CASE("a key is read from the environment or from its owner's file") {
    ::setenv("SLUICE_TEST_KEY", " sk-123\n", 1);
    const auto variable = Secret::from_reference("env:SLUICE_TEST_KEY");
    REQUIRE(variable.ok());
    CHECK(variable.value().value() == "sk-123");
    const KeyFile file("sk-456\n");
    const auto read = Secret::from_reference("file:" + file.path);
    REQUIRE(read.ok());
    CHECK(read.value().value() == "sk-456");
    CHECK_FALSE(read.value() == variable.value());
    CHECK(Secret().empty());
}

TEST_CASE("fault 169: a key file that others can read is refused") {
    for (const mode_t mode : {0640U, 0604U, 0660U, 0644U, 0610U}) {
        CAPTURE(mode);
        const KeyFile file("sk-456", mode);
        CHECK(problem_of("file:" + file.path) ==
              "the key file '" + file.path + "' can be read by others: chmod 600 it");
    }
    const KeyFile read_only("sk-456", 0400);
    CHECK(Secret::from_reference("file:" + read_only.path).ok());
}

TEST_CASE("a key that is written where its place belongs is not repeated") {
    for (const std::string text :
         {"sk-123", "", "ENV:sk-123", "environment:sk-123", "sk-env:123"}) {
        CAPTURE(text);
        CHECK(problem_of(text) ==
              "expected where the key is, env:NAME or file:PATH, and not the key itself");
    }
}

TEST_CASE("a key that is not there, is empty or could not stand in a header is refused") {
    ::unsetenv("SLUICE_TEST_KEY");
    CHECK(problem_of("env:SLUICE_TEST_KEY") ==
          "there is no environment variable 'SLUICE_TEST_KEY'");
    CHECK(problem_of("env:") == "there is no environment variable ''");
    CHECK(problem_of("file:/nonexistent/key") ==
          "the key file '/nonexistent/key' cannot be read: No such file or directory");
    CHECK(problem_of("file:/tmp") == "the key file '/tmp' is no file");
    for (const std::string text : {"a b", "a\r\nb", "\x7f", "k\xc3\xa4y"}) {
        CAPTURE(text);
        const KeyFile file(text);
        const std::string problem = problem_of("file:" + file.path);
        CHECK(problem.ends_with("has characters that a header cannot carry"));
        CHECK(problem.find(text) == std::string::npos);
    }
    const KeyFile empty(" \n");
    CHECK(problem_of("file:" + empty.path).ends_with("is empty"));
    const KeyFile large(std::string(9000, 'k'));
    CHECK(problem_of("file:" + large.path).ends_with("has more than 8192 bytes"));
}
