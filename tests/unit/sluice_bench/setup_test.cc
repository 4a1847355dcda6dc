#include "setup.h"

#include <doctest/doctest.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

using namespace sluice;
using namespace sluice::bench;

namespace {

Options options_for(const char* url) {
    Options options;
    options.targets.push_back({.name = {}, .url = url, .pid = 0, .stalled = {}});
    return options;
}

std::string error_of(const Options& options) {
    const auto setup = set_up(options);
    return setup ? std::string() : setup.error().message;
}

struct Folder {
    std::filesystem::path path;
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "sluice-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string file(const char* name, const char* text) const {
        const auto full = (path / name).string();
        FILE* file = std::fopen(full.c_str(), "we");
        REQUIRE(file != nullptr);
        std::fputs(text, file);
        std::fclose(file);
        return full;
    }
};

}  // namespace

TEST_CASE("a URL that is none, or not on this machine, is an error before anything is measured") {
    CHECK(error_of(options_for("http://127.0.0.1:1")) == "");
    CHECK(error_of(options_for("unix:/nowhere")) == "");
    for (const char* url : {"foo", "https://127.0.0.1:1", "http://127.0.0.1:99999",
                            "http://127.0.0.1:1x", "http://u:p@127.0.0.1:1", "http://"}) {
        CAPTURE(url);
        CHECK_FALSE(error_of(options_for(url)).empty());
    }
    Options remote = options_for("http://192.0.2.1:1");
    CHECK(error_of(remote) ==
          "http://192.0.2.1:1 is not on this machine: --allow-remote if you may load it");
    remote.allow_remote = true;
    CHECK(error_of(remote) == "");
}

TEST_CASE("a process that is not there is an error") {
    Options options = options_for("http://127.0.0.1:1");
    options.targets[0].pid = ::getpid();
    CHECK(error_of(options) == "");
    options.targets[0].pid = 1 << 30;  // above the kernel's largest
    CHECK(error_of(options) ==
          "pid 1073741824: there is no such process, or it may not be looked at");
}

TEST_CASE("an error in a scenario names the file and the line") {
    const Folder folder;
    Options options = options_for("http://127.0.0.1:1");
    options.scenario_file = folder.file("good", "kind=chat stream=yes\nkind=get\n");
    options.usage = false;
    auto setup = set_up(options);
    REQUIRE(setup.ok());
    CHECK(setup->kinds.size() == 2);
    CHECK(setup->loads.front().requests.size() == 2);
    CHECK(setup->loads.front().requests[0].body.find("stream_options") == std::string::npos);
    options.scenario_file = folder.file("bad", "kind=chat\nkind=poem\n");
    CHECK(error_of(options).starts_with("--scenario: " + options.scenario_file + ": line 2: "));
    options.scenario_file = (folder.path / "none").string();
    CHECK(error_of(options).find("cannot be read: No such file") != std::string::npos);
    options.scenario_file = folder.path.string();
    CHECK(error_of(options).find("cannot be read: Is a directory") != std::string::npos);
}

TEST_CASE("a report that cannot be written is an error, and one that can is not made yet") {
    const Folder folder;
    Options options = options_for("http://127.0.0.1:1");
    const auto fresh = (folder.path / "report").string();
    options.json_file = options.html_file = fresh;
    CHECK(error_of(options) == "");
    CHECK_FALSE(std::filesystem::exists(fresh));
    options.json_file = folder.file("old", "kept");
    CHECK(error_of(options) == "");
    CHECK(read_file(options.json_file).value() == "kept");
    options.json_file = (folder.path / "none" / "report").string();
    CHECK(error_of(options).starts_with("--json: "));
    options.json_file.clear();
    options.html_file = folder.path.string();
    CHECK(error_of(options) ==
          "--html: " + folder.path.string() + " cannot be written: Is a directory");
}
