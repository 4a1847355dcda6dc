// What checks tell beside health: signs of life, and requests that a server computes on for nobody.
#include "health_rig.h"

using namespace sluice;
using namespace sluice::upstream;

namespace {

std::string slots_of(int busy) {
    std::string text = "[";
    for (int i = 0; i < 4; ++i)
        text += std::string(i > 0 ? "," : "") + R"({"id":0,"is_processing":)" +
                (i < busy ? "true}" : "false}");
    return answer_of(text + "]");
}

}  // namespace

TEST_CASE("R5: every check that is answered is a sign of life, and nothing else is") {
    Box box;
    box.wait(Duration::seconds(20));
    CHECK(box.signs.size() >= 8);
    CHECK(box.signs.size() <= box.asked.size());
    CHECK(box.loop.now() - box.signs.back().alive < Duration::seconds(3));
    const std::size_t before = box.signs.size();
    box.answer = [](std::string_view) -> std::optional<std::string> { return std::nullopt; };
    box.wait(Duration::seconds(20));
    CHECK(box.signs.size() <= before + 1);
    const std::size_t silent = box.signs.size();
    box.answer = [](std::string_view) { return answer_of("", 500); };
    box.wait(Duration::seconds(20));
    CHECK(box.signs.size() == silent);
    box.answer = [](std::string_view) { return answer_of(loading, 503); };
    box.wait(Duration::seconds(3));
    CHECK(box.signs.size() > silent);
}

TEST_CASE("R5: of a llama-server in use only slots at work are a sign") {
    Box box(Kind::llama_server);
    int busy = 1;
    box.traffic.in_flight = 1;
    box.answer = [&](std::string_view path) {
        if (path == "/slots") return slots_of(busy);
        return answer_of(path == "/props" ? fine_props : "{}");
    };
    const auto alive = [&] {
        const Instant since = box.loop.now() + Duration::seconds(3);
        box.wait(Duration::seconds(20));
        return std::ranges::any_of(box.signs, [&](const Sign& s) { return s.alive > since; });
    };
    CHECK(alive());
    busy = 0;
    CHECK_FALSE(alive());
    CHECK(box.changes.empty());  // it is well all the same
    box.traffic.in_flight = 0;
    CHECK(alive());
}

TEST_CASE("R12: a server that computes what was left is asked often, and says how much it is") {
    Box box(Kind::llama_server);
    int busy = 3;
    box.traffic.in_flight = 1;
    box.answer = [&](std::string_view path) {
        if (path == "/slots") return slots_of(busy);
        return answer_of(path == "/props" ? fine_props : "{}");
    };
    box.wait(Duration::seconds(10));
    CHECK(box.signs.back().left_running == 2);
    box.traffic = {.placed = 3, .in_flight = 0, .left_running = 3};
    box.watch->note_left(box.endpoint->id);
    const std::size_t before = box.asked.size();
    box.wait(Duration::seconds(3));
    CHECK(box.times("/slots", before) >= 8);
    CHECK(box.signs.back().left_running == 3);
    // It is believed that fewer are left when it has said so twice.
    busy = 1;
    const std::size_t told = box.signs.size();
    REQUIRE(box.run([&] { return box.signs.size() == told + 1; }));
    CHECK(box.signs.back().left_running == 3);
    REQUIRE(box.run([&] { return box.signs.size() == told + 2; }));
    CHECK(box.signs.back().left_running == 1);
    CHECK(box.signs.back().since != Instant{});
    CHECK(box.signs.back().since < box.loop.now());
    box.watch->note_left(77);
}
