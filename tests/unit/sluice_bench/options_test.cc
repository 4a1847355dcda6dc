#include "options.h"

#include <doctest/doctest.h>

#include <initializer_list>

using namespace sluice;
using namespace sluice::bench;

namespace {

CommandLine parse(std::initializer_list<const char*> words) {
    std::vector<std::string> texts{"sluice-bench"};
    for (const char* word : words)
        texts.emplace_back(word);
    std::vector<char*> pointers;
    for (auto& text : texts)
        pointers.push_back(text.data());
    return parse_command_line(static_cast<int>(pointers.size()), pointers.data());
}

}  // namespace

TEST_CASE("a target has a name, a URL and perhaps a process") {
    const auto plain = parse_target("direct=http://127.0.0.1:1");
    REQUIRE(plain.ok());
    CHECK(plain.value().name == "direct");
    CHECK(plain.value().url == "http://127.0.0.1:1");
    CHECK(plain.value().pid == 0);
    const auto full = parse_target("gw=unix:/tmp/a=b,pid=77");
    REQUIRE(full.ok());
    CHECK(full.value().url == "unix:/tmp/a=b");
    CHECK(full.value().pid == 77);
    const auto stalled = parse_target("gw=http://127.0.0.1:1/a,b=c,stalled=100,pid=77");
    REQUIRE(stalled.ok());
    CHECK(stalled.value().url == "http://127.0.0.1:1/a,b=c");
    CHECK(stalled.value().pid == 77);
    CHECK(stalled.value().stalled == 100U);
    CHECK_FALSE(full.value().stalled.has_value());
    CHECK(parse_target("gw=http://x,stalled=0").value().stalled == 0U);
    const auto many = parse_target("gw=http://x,stalled=many");
    REQUIRE_FALSE(many.ok());
    CHECK(many.error().message == "stalled=many is not a number of clients, 0 to 10000");
    for (const char* text : {"a=b,stalled=", "a=b,stalled=-1", "a=b,stalled=10001", "http",
                             "=http://x", "a=b,pid=", "a=b,pid=0", "a=b,pid=7x"})
        CHECK_FALSE(parse_target(text).ok());
}

TEST_CASE("one URL is one target, with its process") {
    const auto line = parse({"http://127.0.0.1:8642", "-c", "64", "--rate", "200", "-d", "3s",
                             "--pid", "12", "--no-keep-alive", "--stream", "--prompt", "16KiB"});
    REQUIRE_FALSE(line.exit_code.has_value());
    const Options& options = line.options;
    CHECK_FALSE(options.compare);
    REQUIRE(options.targets.size() == 1);
    CHECK(options.targets[0].pid == 12);
    CHECK(options.load.connections == 64);
    CHECK(options.load.rate == 200);
    CHECK_FALSE(options.load.keep_alive);
    CHECK(options.kind.stream);
    CHECK(options.kind.prompt_bytes == 16 * 1024);
    CHECK(options.window.length == Duration::seconds(3));
}

TEST_CASE("compare takes targets and rounds") {
    const auto line = parse({"compare", "--target", "a=http://127.0.0.1:1", "--target",
                             "b=http://127.0.0.1:2,pid=3", "--rounds", "4", "--origin",
                             "127.0.0.1:9", "--lock-step"});
    REQUIRE_FALSE(line.exit_code.has_value());
    CHECK(line.options.compare);
    CHECK(line.options.targets.size() == 2);
    CHECK(line.options.rounds == 4);
    CHECK(line.options.origin_script.lock_step);
}

TEST_CASE("stalled clients are none unless they are asked for") {
    CHECK(parse({"http://x"}).options.load.stalled.count == 0);
    const Options options =
        parse({"http://x", "--stalled", "100", "--stalled-fill", "250ms", "--stalled-tokens", "0"})
            .options;
    CHECK(options.load.stalled.count == 100);
    CHECK(options.load.stalled.fill == Duration::millis(250));
    CHECK(options.stalled_tokens == 0);
}

TEST_CASE("streams are asked for their usage unless --no-usage") {
    CHECK(parse({"http://x"}).options.usage);
    CHECK_FALSE(parse({"http://x", "--no-usage"}).options.usage);
    const char* compared[] = {"compare", "--target", "a=http://x", "--no-usage"};
    CHECK_FALSE(parse({compared[0], compared[1], compared[2], compared[3]}).options.usage);
}

TEST_CASE("bad flags end with 2, and every load is bounded") {
    CHECK(parse({}).exit_code == 2);
    CHECK(parse({"http://x", "-c", "0"}).exit_code == 2);
    CHECK(parse({"http://x", "-c", "1000000"}).exit_code == 2);
    CHECK(parse({"http://x", "-d", "2h"}).exit_code == 2);
    CHECK(parse({"http://x", "--rate", "0"}).exit_code == 2);
    CHECK(parse({"http://x", "--kind", "poem"}).exit_code == 2);
    CHECK(parse({"http://x", "--stalled", "-1"}).exit_code == 2);
    CHECK(parse({"http://x", "--stalled", "10001"}).exit_code == 2);
    CHECK(parse({"http://x", "--stalled", "few"}).exit_code == 2);
    CHECK(parse({"http://x", "--stalled-fill", "2h"}).exit_code == 2);
    CHECK(parse({"http://x", "--stalled-tokens", "-1"}).exit_code == 2);
    CHECK(parse({"compare"}).exit_code == 2);
    CHECK(parse({"http://x", "--origin", "127.0.0.1:1", "--threads", "2"}).exit_code == 2);
    CHECK(parse({"--version"}).exit_code == 0);
}

TEST_CASE("flags that would be ignored, or sent broken, end with 2") {
    // Any file will do: what is in it is read later.
    const char* file = "/proc/self/status";
    REQUIRE_FALSE(parse({"http://x", "--scenario", file}).exit_code.has_value());
    CHECK(parse({"http://x", "--scenario", file, "--kind", "chat"}).exit_code == 2);
    CHECK(parse({"http://x", "--scenario", file, "--stream"}).exit_code == 2);
    CHECK(parse({"http://x", "--scenario", file, "--model", "m"}).exit_code == 2);
    CHECK(parse({"http://x", "--scenario", file, "--prompt", "1KiB"}).exit_code == 2);
    CHECK(parse({"http://x", "--scenario", file, "--max-tokens", "1"}).exit_code == 2);
    CHECK(parse({"http://x", "--scenario", file, "--path", "/"}).exit_code == 2);
    CHECK(parse({"http://x", "--lock-step"}).exit_code == 2);
    CHECK(parse({"http://x", "--timeout", "0"}).exit_code == 2);
    CHECK(parse({"http://x", "-d", "0"}).exit_code == 2);
    CHECK(parse({"http://x", "--pid", "0"}).exit_code == 2);
    CHECK(parse({"http://x", "--pid", "-7"}).exit_code == 2);
    CHECK(parse({"http://x", "--pid", "me"}).exit_code == 2);
    for (const char* field : {"x", ": v", "a b: c", "a : b", "a: b\r\nc: d", "a: b\nc", "a\r: b"}) {
        CAPTURE(field);
        CHECK(parse({"http://x", "--header", field}).exit_code == 2);
    }
    CHECK(parse({"http://x", "--api-key", "a\nb"}).exit_code == 2);
    const auto good = parse({"http://x", "--header", "A: b c", "--header", "D:"});
    CHECK(good.options.fields == std::vector<std::string>{"A: b c", "D:"});
    CHECK(parse({"compare", "--target", "a=http://x", "--target", "a=http://y"}).exit_code == 2);
    CHECK_FALSE(parse_target("a=http://x,pid=1,pid=2").ok());
    CHECK_FALSE(parse_target("a=http://x,stalled=0,stalled=2").ok());
}
