#include "sluice/upstream/watch.h"

#include "loop_rig.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace sluice;
using namespace sluice::test;
using sluice::upstream::Catalog;
using sluice::upstream::Kind;
using sluice::upstream::Watch;
using sluice::upstream::WatchPlan;

namespace {

std::string list_of(const std::vector<std::string>& ids, const std::string& owner = "me") {
    std::string data;
    for (const auto& id : ids) {
        data += data.empty() ? "" : ",";
        data += R"({"id":")" + id + R"(","owned_by":")" + owner + R"("})";
    }
    return R"({"object":"list","data":[)" + data + "]}";
}

struct WatchRig : LoopRig {
    ~WatchRig() {
        if (watch == nullptr) return;
        watch->stop();
        loop_until([&] { return watch->stopped(); });
        settle();
        CHECK(ring->in_flight() == 0);
        CHECK(loop.timers().armed() == 0);
    }

    void add(const ScriptedServer& server, WatchPlan::Origin origin, bool list_models,
             std::vector<WatchPlan::Named> models = {}) {
        plan.servers.push_back(
            {endpoint_of(server.url(), static_cast<std::uint32_t>(plan.servers.size())), origin,
             list_models, std::move(models)});
    }
    void begin() {
        watch = std::make_unique<Watch>(loop, std::move(plan), this,
                                        [](void* self, std::shared_ptr<const Catalog> catalog) {
                                            auto& rig = *static_cast<WatchRig*>(self);
                                            rig.all.push_back(catalog);
                                            if (!catalog->awaits_any())
                                                rig.published.push_back(std::move(catalog));
                                        });
        watch->start();
    }
    // While the servers are there that are still asked.
    void end() {
        watch->stop();
        loop_until([&] { return watch->stopped(); });
    }
    const Catalog& first() {
        if (watch == nullptr) begin();
        loop_until([&] { return !published.empty(); });
        return *published.front();
    }
    // The next round is asked for now instead of some seconds later.
    void next_round(const ScriptedServer& server) {
        const std::size_t before = server.requests;
        watch->start();
        loop_until([&] { return server.requests > before; });
        loop_until([&] { return ring->in_flight() == 0; });
        settle();
    }

    WatchPlan plan;
    std::unique_ptr<Watch> watch;
    std::vector<std::shared_ptr<const Catalog>> all;
    std::vector<std::shared_ptr<const Catalog>> published;  // those that await nobody
};

constexpr auto configured = WatchPlan::Origin::configured;
constexpr auto discovered = WatchPlan::Origin::discovered;
constexpr auto fallback = WatchPlan::Origin::fallback;

}  // namespace

TEST_SUITE("kernel") {
    TEST_CASE("the first round is published, also when nothing was found") {
        WatchRig rig;
        CHECK(rig.first().empty());
        CHECK(rig.first().list_json() == R"({"object":"list","data":[]})");
        CHECK(rig.watch->complaints().empty());
    }

    TEST_CASE("what a backend lists is served, under its own kind") {
        struct Row {
            std::string answer;
            Kind kind;
        };
        for (const Row& row :
             {Row{http_answer(list_of({"a", "b"}), "Server: llama.cpp\r\n"), Kind::llama_server},
              Row{http_answer(list_of({"a", "b"}, "llamacpp")), Kind::llama_server},
              Row{http_answer(list_of({"a", "b"}, "vllm")), Kind::vllm},
              Row{http_answer(list_of({"a", "b"}, "library")), Kind::ollama},
              Row{http_answer(list_of({"a", "b"})), Kind::unknown}}) {
            WatchRig rig;
            ScriptedServer server(rig);
            server.answer_with([&](const std::string&) { return row.answer; });
            rig.add(server, configured, true);
            const Catalog& catalog = rig.first();
            CHECK(catalog.names() == "a, b");
            CHECK(catalog.find("b")->targets[0].kind == row.kind);
            CHECK(catalog.find("b")->targets[0].upstream_name == "b");
        }
    }

    TEST_CASE("a model of the settings is served under its name, described by its backend") {
        WatchRig rig;
        ScriptedServer server(rig);
        server.answer_with(
            [](const std::string&) { return http_answer(list_of({"other", "theirs"})); });
        rig.add(server, configured, false, {{"mine", "theirs"}, {"plain", "plain"}});
        rig.plan.aliases = {{"alias", "mine"}, {"lost", "missing"}};
        const Catalog& catalog = rig.first();
        CHECK(catalog.names() == "mine, plain, alias");
        CHECK(catalog.find("mine")->targets[0].upstream_name == "theirs");
        CHECK(catalog.find("mine")->entry.owned_by == "me");
        CHECK(catalog.find("plain")->targets[0].upstream_name == "plain");
        CHECK(catalog.find("plain")->entry.owned_by.empty());
        CHECK(catalog.find("alias") == catalog.find("mine"));
        CHECK(catalog.find("lost") == nullptr);
        CHECK(catalog.find("theirs") == nullptr);
    }

    TEST_CASE("a name of the settings means one model, whatever its server calls so") {
        WatchRig rig;
        ScriptedServer server(rig);
        server.answer_with([](const std::string&) { return http_answer(list_of({"a", "b"})); });
        rig.add(server, configured, true, {{"a", "b"}});
        const Catalog& catalog = rig.first();
        REQUIRE(catalog.find("a")->targets.size() == 1);
        CHECK(catalog.find("a")->targets[0].upstream_name == "b");
        CHECK(catalog.find("b")->targets.size() == 1);
    }

    TEST_CASE("a model of the settings is there while its backend is down, and is complained of") {
        WatchRig rig;
        ScriptedServer server(rig);
        server.stop_listening();
        rig.add(server, configured, true, {{"quoted \"name\"", "quoted \"name\""}});
        CHECK(rig.first().find("quoted \"name\"") != nullptr);
        CHECK(rig.first().models().size() == 1);
        REQUIRE(rig.watch->complaints().size() == 1);
        CHECK(rig.watch->complaints()[0] == server.url() + ": Connection refused");
    }

    TEST_CASE("only a change is published") {
        WatchRig rig;
        ScriptedServer server(rig);
        std::vector<std::string> ids = {"a"};
        server.answer_with([&](const std::string&) { return http_answer(list_of(ids)); });
        rig.add(server, configured, true);
        CHECK(rig.first().names() == "a");
        rig.next_round(server);
        CHECK(rig.published.size() == 1);
        ids.push_back("b");
        rig.next_round(server);
        REQUIRE(rig.published.size() == 2);
        CHECK(rig.published[1]->names() == "a, b");
        // The old snapshot is as it was.
        CHECK(rig.published[0]->names() == "a");
    }

    TEST_CASE("a configured backend that is down keeps its models; a discovered one is forgotten") {
        for (const auto origin : {configured, discovered}) {
            WatchRig rig;
            ScriptedServer server(rig);
            bool fine = true;
            server.answer_with([&](const std::string&) {
                return fine ? http_answer(list_of({"a"})) : http_answer("gone", {}, 503);
            });
            rig.add(server, origin, true);
            CHECK(rig.first().names() == "a");
            fine = false;
            rig.next_round(server);
            const bool kept = origin == configured;
            CHECK(rig.published.size() == (kept ? 1 : 2));
            CHECK(rig.published.back()->names() == (kept ? "a" : ""));
            CHECK(rig.watch->complaints().size() == (kept ? 1 : 0));
            fine = true;
            rig.next_round(server);
            CHECK(rig.published.back()->names() == "a");
            CHECK(rig.watch->complaints().empty());
        }
    }

    TEST_CASE("R16: a gateway like this one is used where it is named, and never found") {
        for (const auto origin : {configured, discovered}) {
            WatchRig rig;
            ScriptedServer server(rig);
            server.answer_with([](const std::string&) {
                return http_answer(list_of({"a"}), "Server: sluice\r\n");
            });
            rig.add(server, origin, true);
            CHECK(rig.first().names() == (origin == configured ? "a" : ""));
        }
    }

    TEST_CASE("R16: a server that is this gateway is told so, and its models are none") {
        WatchRig rig;
        ScriptedServer server(rig);
        std::string asked;
        server.answer_with([&](const std::string& request) {
            asked = request;
            return http_answer("{}", "Server: sluice\r\n", 508);
        });
        rig.add(server, configured, true);
        rig.plan.hop_line = "CDN-Loop: sluice; id=1\r\n";
        CHECK(rig.first().empty());
        CHECK(asked.find("\r\nCDN-Loop: sluice; id=1\r\n\r\n") != std::string::npos);
        CHECK(rig.watch->complaints()[0].find("is this gateway itself") != std::string::npos);
    }

    TEST_CASE("R15a: what the settings name is there before anybody was asked") {
        WatchRig rig;
        ScriptedServer server(rig);
        server.answer_with([](const std::string&) { return http_answer(list_of({"a", "b"})); });
        rig.add(server, configured, true, {{"mine", "a"}});
        rig.begin();
        REQUIRE(rig.all.size() == 1);
        CHECK(rig.all[0]->names() == "mine");
        CHECK(rig.all[0]->awaits_any());
        CHECK(rig.all[0]->awaited() == server.url());
        CHECK(rig.first().names() == "mine, a, b");
    }

    TEST_CASE("R15a: who answers is served while others are silent, but no fallback is") {
        WatchRig rig;
        ScriptedServer good(rig);
        ScriptedServer mute(rig);
        ScriptedServer spare(rig);
        good.answer_with([](const std::string&) { return http_answer(list_of({"a"})); });
        mute.answer_with([](const std::string&) { return std::string(); });
        spare.answer_with([](const std::string&) { return http_answer(list_of({"spare"})); });
        SUBCASE("one answers") {
            rig.add(mute, configured, true);
            rig.add(good, configured, true);
            rig.begin();
            rig.loop_until([&] { return rig.all.back()->names() == "a"; });
            CHECK(rig.all.back()->awaited() == mute.url());
            CHECK(rig.published.empty());
            rig.end();
        }
        SUBCASE("the fallback does") {
            rig.add(mute, discovered, true);
            rig.add(spare, fallback, true);
            rig.begin();
            rig.loop_until([&] { return rig.all.back()->awaited() == mute.url(); });
            CHECK(rig.all.back()->empty());
            rig.end();
        }
    }

    TEST_CASE("R15b: a name that leads nowhere is a server that does not answer, until it does") {
        WatchRig rig;
        ScriptedServer server(rig);
        server.answer_with([](const std::string&) { return http_answer(list_of({"a"})); });
        const auto endpoint = endpoint_of("http://nowhere.invalid:1");
        rig.plan.servers.push_back({endpoint, configured, true, {}});
        CHECK(rig.first().empty());
        CHECK(rig.watch->complaints()[0].ends_with("its name does not resolve"));
        endpoint->whereabouts.move_to(endpoint_of(server.url())->target.address);
        rig.next_round(server);
        CHECK(rig.published.back()->names() == "a");
    }

    TEST_CASE("the fallback serves only while nobody else does") {
        WatchRig rig;
        ScriptedServer local(rig);
        ScriptedServer spare(rig);
        bool fine = false;
        local.answer_with([&](const std::string&) {
            return fine ? http_answer(list_of({"local"})) : http_answer("loading", {}, 503);
        });
        spare.answer_with([](const std::string&) { return http_answer(list_of({"spare"})); });
        rig.add(local, discovered, true);
        rig.add(spare, fallback, true);
        CHECK(rig.first().names() == "spare");
        fine = true;
        rig.next_round(local);
        CHECK(rig.published.back()->names() == "local");
        fine = false;
        rig.next_round(local);
        CHECK(rig.published.back()->names() == "spare");
    }

    TEST_CASE("two servers of one model are a pool; the first one describes it") {
        WatchRig rig;
        ScriptedServer one(rig);
        ScriptedServer two(rig);
        one.answer_with([](const std::string&) { return http_answer(list_of({"a"}, "first")); });
        two.answer_with([](const std::string&) { return http_answer(list_of({"a", "b"}, "x")); });
        rig.add(one, configured, true);
        rig.add(two, configured, true);
        const Catalog& catalog = rig.first();
        CHECK(catalog.find("a")->targets.size() == 2);
        CHECK(catalog.find("a")->entry.owned_by == "first");
        CHECK(catalog.find("b")->targets.size() == 1);
    }

    TEST_CASE("answers that are no list leave the server without models, and say why") {
        for (const auto& [answer, why] :
             {std::pair{http_answer("<html>"), ""}, std::pair{http_answer("[1,2"), ""},
              std::pair{http_answer("x", {}, 401), "GET /v1/models answered 401"}}) {
            CAPTURE(answer);
            WatchRig rig;
            ScriptedServer server(rig);
            server.answer_with([&](const std::string&) { return answer; });
            rig.add(server, configured, true);
            CHECK(rig.first().empty());
            CHECK(rig.watch->complaints().empty());
            REQUIRE(rig.watch->hints().size() == 1);
            CHECK(rig.watch->hints()[0].starts_with(server.url() + ": "));
            CHECK(rig.watch->hints()[0].find(why) != std::string::npos);
        }
    }

    TEST_CASE("a round in which a server stalls within its answer does not spoil the next one") {
        WatchRig rig;
        ScriptedServer server(rig);
        bool stalls = true;
        server.answer_with([&](const std::string&) {
            const std::string whole = http_answer(list_of({"a"}));
            return stalls ? whole.substr(0, whole.size() - 5) : whole;
        });
        rig.add(server, configured, true);
        CHECK(rig.first().empty());
        stalls = false;
        rig.next_round(server);
        CHECK(rig.published.back()->names() == "a");
    }

    TEST_CASE("a watch stops in the middle of a round") {
        WatchRig rig;
        ScriptedServer server(rig);
        rig.add(server, configured, true);
        rig.begin();
        rig.loop_until([&] { return !server.connections.empty(); });
        CHECK_FALSE(rig.watch->stopped());
        rig.watch->stop();
        rig.loop_until([&] { return rig.watch->stopped(); });
        CHECK(rig.published.empty());
    }

    TEST_CASE("a model server's other names for a model are names for it here") {
        WatchRig rig;
        ScriptedServer server(rig);
        server.answer_with([](const std::string&) {
            return http_answer(R"({"data":[{"id":"a","aliases":["a","short"]},{"id":"b"}]})");
        });
        rig.add(server, configured, true);
        CHECK(rig.first().find("short") == rig.first().find("a"));
        CHECK(rig.first().names() == "a, b, short");
    }

    TEST_CASE(
        "a llama-server tells of its slots and its context; one engine has one pool of them") {
        struct Row {
            std::string props;
            unsigned slots;
            std::uint64_t context;
            bool one_pool;
        };
        for (const Row& row :
             {Row{R"({"total_slots":4,"default_generation_settings":{"n_ctx":8192}})", 4, 8192,
                  true},
              Row{R"({"total_slots":4,"role":"router"})", 0, 0, false}, Row{"{}", 0, 0, true},
              Row{"<html>", 0, 0, true}}) {
            CAPTURE(row.props);
            WatchRig rig;
            ScriptedServer server(rig);
            server.answer_with([&](const std::string& request) {
                return request.starts_with("GET /props ")
                           ? http_answer(row.props)
                           : http_answer(list_of({"a", "b"}), "Server: llama.cpp\r\n");
            });
            rig.add(server, configured, true);
            const Catalog& catalog = rig.first();
            const auto& a = catalog.find("a")->targets[0];
            const auto& b = catalog.find("b")->targets[0];
            CHECK(a.slots == row.slots);
            CHECK(a.setting.context == row.context);
            CHECK((a.slot_pool == b.slot_pool) == row.one_pool);
            CHECK(a.id != b.id);
        }
    }

    TEST_CASE("what the settings say of slots and context wins over what the server tells") {
        WatchRig rig;
        ScriptedServer server(rig);
        server.answer_with([&](const std::string& request) {
            return request.starts_with("GET /props ")
                       ? http_answer(
                             R"({"total_slots":4,"default_generation_settings":{"n_ctx":8192}})")
                       : http_answer(list_of({"a"}), "Server: llama.cpp\r\n");
        });
        config::BackendSetting setting;
        setting.slots = 2;
        setting.context = 100;
        rig.add(server, configured, false, {{"a", "a", setting}});
        CHECK(rig.first().find("a")->targets[0].slots == 2);
        CHECK(rig.first().find("a")->targets[0].setting.context == 100);
    }

    TEST_CASE("the catalog knows the default model, and numbers stay from round to round") {
        WatchRig rig;
        ScriptedServer server(rig);
        std::vector<std::string> ids = {"a", "b"};
        server.answer_with([&](const std::string&) { return http_answer(list_of(ids)); });
        rig.add(server, configured, true);
        rig.plan.default_model = "b";
        const Catalog& before = rig.first();
        CHECK(before.default_model().model == before.find("b"));
        CHECK(before.find("a")->id != before.find("b")->id);
        ids = {"c", "b"};
        rig.next_round(server);
        REQUIRE(rig.published.size() == 2);
        const Catalog& after = *rig.published[1];
        CHECK(after.default_model().model == after.find("b"));
        CHECK(after.find("b")->id == before.find("b")->id);
        CHECK(after.find("b")->targets[0].id == before.find("b")->targets[0].id);
        CHECK(after.find("c")->id != before.find("a")->id);
    }

    TEST_CASE("S4: a server whose list is at /models has all of its paths without /v1") {
        WatchRig rig;
        ScriptedServer server(rig);
        server.answer_with([](const std::string& request) {
            return request.starts_with("GET /models ") ? http_answer(list_of({"a"}))
                                                       : http_answer("{}", {}, 404);
        });
        rig.add(server, configured, true);
        CHECK(rig.first().names() == "a");
        CHECK(rig.first().find("a")->targets[0].without_version);
        CHECK(rig.watch->hints().empty());
        CHECK(rig.watch->sightings()[0].asked == server.url() + "/models");
    }

    TEST_CASE(
        "S4: a server that is told what it serves needs no list, one that is not is told of") {
        for (const bool named : {true, false}) {
            WatchRig rig;
            ScriptedServer server(rig);
            server.answer_with([](const std::string&) { return http_answer("{}", {}, 404); });
            if (named)
                rig.add(server, configured, false, {{"m", "m"}});
            else
                rig.add(server, discovered, true);
            CHECK(rig.first().names() == (named ? "m" : ""));
            CHECK(rig.watch->complaints().empty());
            REQUIRE(rig.watch->hints().size() == (named ? 0 : 1));
            if (!named)
                CHECK(rig.watch->hints()[0].find("--model NAME=" + server.url()) !=
                      std::string::npos);
        }
    }

    TEST_CASE("S5: a slow server keeps no other one waiting") {
        WatchRig rig;
        ScriptedServer slow(rig);
        ScriptedServer quick(rig);
        slow.answer_with([](const std::string&) { return std::string(); });
        std::vector<std::string> ids = {"a"};
        quick.answer_with([&](const std::string&) { return http_answer(list_of(ids)); });
        rig.add(slow, configured, true);
        rig.add(quick, configured, true);
        rig.begin();
        rig.loop_until([&] { return rig.all.back()->names() == "a"; });
        ids = {"b"};
        rig.loop_until([&] { return rig.all.back()->names() == "b"; });
        rig.end();
    }

    TEST_CASE("S5: another kind of server on the same port is another server") {
        WatchRig rig;
        ScriptedServer server(rig);
        bool llama = true;
        server.answer_with([&](const std::string& request) {
            if (request.starts_with("GET /props ")) return http_answer(R"({"total_slots":4})");
            return llama ? http_answer(list_of({"a"}), "Server: llama.cpp\r\n")
                         : http_answer(list_of({"a"}, "vllm"));
        });
        rig.add(server, configured, true);
        CHECK(rig.first().find("a")->targets[0].slots == 4);
        llama = false;
        rig.next_round(server);
        CHECK(rig.published.back()->find("a")->targets[0].slots == 0);
        CHECK(rig.published.back()->find("a")->targets[0].kind == Kind::vllm);
    }
}
