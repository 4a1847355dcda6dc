// What the home of a key has not in memory it looks for on the disk. What the disk finds is brought
// when the test says so: nothing depends on who is faster.
#include "loop_rig.h"
#include "sluice/proxy/flights.h"

#include <doctest/doctest.h>

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

using namespace sluice;
using namespace sluice::proxy;

namespace {

using Kind = FlightAnswer::Kind;

constexpr Duration hour = Duration::seconds(3600);

cache::Key key_of(std::uint64_t number) {
    return {sha256("key " + std::to_string(number))};
}

std::shared_ptr<const cache::Answer> answer_of(std::string_view body) {
    return cache::Answer::make({.model = "m"}, body);
}

// One look at a time.
struct Found final : state::DiskAsker {
    void on_disk_answer(std::uint64_t number, state::KeptAnswer what) override {
        ticket = number;
        kept = std::move(what);
        told.fetch_add(1);
        told.notify_all();
    }
    void wait_for(int count) const {
        for (int now = told.load(); now < count; now = told.load())
            told.wait(now);
    }
    std::uint64_t ticket = 0;
    state::KeptAnswer kept;
    std::atomic<int> told{0};
};

struct Asking final : FlightAsker {
    void told(FlightAnswer&& what) override {
        answer = std::move(what);
        ++times;
    }
    FlightAnswer answer;
    int times = 0;
};

struct DiskRig : test::LoopRig {
    DiskRig() {
        SLUICE_ASSERT(::mkdtemp(folder.data()) != nullptr);
        auto opened =
            state::AnswerDisk::open(folder + "/a.db", {std::uint64_t{4} << 20}, {&found_there});
        REQUIRE(opened.ok());
        disk = std::move(opened).value();
        flights.keep_answers(1 << 20);
        flights.keep_on_disk(disk->channel(0));
    }
    ~DiskRig() {
        disk = nullptr;
        for (const char* const ending : {"", "-wal"})
            ::unlink((folder + "/a.db" + ending).c_str());
        ::rmdir(folder.c_str());
    }

    std::optional<FlightAnswer> ask(std::uint64_t number, FlightAsker& asker, Duration ttl = hour) {
        return ask({.key = {.key = key_of(number)}, .joins = true, .reads = true, .ttl = ttl},
                   asker);
    }
    std::optional<FlightAnswer> ask(FlightQuestion question, FlightAsker& asker) {
        return flights.ask(question, asker, ticket);
    }
    void write(std::uint64_t number, std::string_view body, Duration age = {}) {
        REQUIRE(disk->channel(0).put(key_of(number), answer_of(body),
                                     {wall_now().us - age.as_micros()}, hour));
    }
    // Brings what the disk has found.
    void bring(int count) {
        found_there.wait_for(count);
        FlightMessage message;
        message.kind = FlightMessage::Kind::found;
        message.ticket = found_there.ticket;
        message.on_disk = std::move(found_there.kept);
        flights.receive(std::move(message));
    }

    std::string folder = "/tmp/sluice-flights-XXXXXX";
    Found found_there;
    std::unique_ptr<state::AnswerDisk> disk;
    Flights flights{loop, 1};
    std::uint64_t ticket = 0;
};

}  // namespace

TEST_SUITE_BEGIN("kernel");

TEST_CASE("what is on disk is a hit with its age, and in memory from then on") {
    DiskRig rig;
    rig.write(1, "one", Duration::seconds(50));
    Asking first;
    Asking second;
    CHECK(!rig.ask(1, first));
    CHECK(!rig.ask(1, second));
    CHECK(rig.flights.on_disk() == 1);  // one look serves both
    rig.bring(1);
    CHECK(rig.flights.on_disk() == 0);
    for (const Asking* each : {&first, &second}) {
        REQUIRE(each->times == 1);
        CHECK(each->answer.kind == Kind::hit);
        CHECK(each->answer.kept->body() == "one");
        CHECK(each->answer.age >= Duration::seconds(50));
        CHECK(each->answer.age < Duration::seconds(100));
    }
    Asking third;
    const auto now = rig.ask(1, third);
    REQUIRE(now);
    CHECK(now->kind == Kind::hit);
    CHECK(now->age >= Duration::seconds(50));
}

TEST_CASE("what is not there is led once, and the others join") {
    DiskRig rig;
    Asking first;
    Asking second;
    CHECK(!rig.ask(1, first));
    CHECK(!rig.ask(1, second));
    rig.bring(1);
    CHECK(first.answer.kind == Kind::lead);
    CHECK(second.answer.kind == Kind::join);
    // What is under way is not looked for again.
    Asking third;
    const auto joined = rig.ask(1, third);
    REQUIRE(joined);
    CHECK(joined->kind == Kind::join);
    const FlightKey key{.key = key_of(1)};
    for (auto* each : {&second.answer, &first.answer})
        rig.flights.give_back(key, std::move(*each));
}

TEST_CASE("who wants no kept answer does not wait for the disk") {
    DiskRig rig;
    rig.write(1, "one");
    Asking asking;
    FlightQuestion question{.key = {.key = key_of(1)}, .reads = true, .ttl = hour};
    question.directives.no_cache = true;
    CHECK(rig.ask(question, asking)->kind == Kind::lead);
    question.directives.no_cache = false;
    question.reads = false;
    CHECK(rig.ask(question, asking)->kind == Kind::lead);
    question.reads = true;
    question.directives.only_if_cached = true;
    question.key.key = key_of(2);
    CHECK(!rig.ask(question, asking));
    rig.bring(1);
    CHECK(asking.answer.kind == Kind::refused);
}

TEST_CASE("settings that say less than when it was written hold") {
    DiskRig rig;
    rig.write(1, "one", Duration::seconds(50));
    Asking asking;
    CHECK(!rig.ask(1, asking, Duration::seconds(49)));
    rig.bring(1);
    CHECK(asking.answer.kind == Kind::lead);
    rig.flights.give_back({.key = key_of(1)}, std::move(asking.answer));
}

TEST_CASE("a disk that takes too long holds up nobody, and what it finds in the end is kept") {
    DiskRig rig;
    rig.write(1, "one");
    Asking first;
    CHECK(!rig.ask(1, first));
    rig.loop_until([&] { return first.times == 1; });
    CHECK(first.answer.kind == Kind::lead);
    CHECK(rig.flights.on_disk() == 1);
    Asking others;
    CHECK(rig.ask(1, others)->kind == Kind::join);
    CHECK(rig.ask(2, others)->kind == Kind::lead);  // not behind that one
    rig.bring(1);
    CHECK(first.times == 1);
    CHECK(rig.ask(1, others)->kind == Kind::hit);
}

TEST_CASE("who has left meanwhile is told nothing") {
    DiskRig rig;
    rig.write(1, "one");
    Asking gone;
    CHECK(!rig.ask(1, gone));
    rig.flights.forget(rig.ticket);
    rig.bring(1);
    CHECK(gone.times == 0);
    CHECK(rig.flights.on_disk() == 0);
    // Nor that it leads.
    CHECK(!rig.ask(2, gone));
    rig.flights.forget(rig.ticket);
    rig.bring(2);
    CHECK(gone.times == 0);
    Asking next;
    CHECK(!rig.ask(2, next));
    rig.bring(3);
    CHECK(next.answer.kind == Kind::lead);
}

TEST_SUITE_END();
