#include "sluice/answer/campaign.h"

#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <set>
#include <string>
#include <utility>

using namespace sluice;
using answer::Campaign;
using policy::FailureClass;
using policy::FallbackChain;
using policy::Fate;
using Step = Campaign::Step;

namespace {

upstream::Model model_of(std::string name, std::size_t targets) {
    upstream::Model model;
    model.name = std::move(name);
    model.targets.resize(targets);
    for (std::size_t i = 0; i < targets; ++i)
        model.targets[i].setting.context = 4096 * (i + 1);
    return model;
}

// A campaign for the first model, with the others to fall back to.
struct Rig {
    explicit Rig(std::size_t targets, std::size_t fallbacks = 0) : model(model_of("m", targets)) {
        others.reserve(fallbacks);
        for (std::size_t i = 0; i < fallbacks; ++i)
            others.push_back(model_of("f" + std::to_string(i), 1));
        for (const auto& other : others)
            model.fallbacks.any.push_back({&other, other.name});
        campaign.begin(model, "m-as-asked");
    }

    static upstream::Found of(upstream::Finding finding) {
        return {.finding = finding, .again = {}};
    }

    // A place at that target is found, and the try fails.
    void fail(std::size_t target, FailureClass as, bool body_gone = false,
              bool may_be_done = false) {
        REQUIRE(campaign.found(of(upstream::Finding::placed)) == Step::attempt);
        campaign.attempt(campaign.model().targets[target]);
        campaign.fail({.target = &campaign.model().targets[target],
                       .as = as,
                       .chain = policy::choose_chain(as, {}),
                       .error = Error::backend(502, Retry::no, "It failed."),
                       .body_gone = body_gone,
                       .may_be_done = may_be_done});
    }

    upstream::Model model;
    std::vector<upstream::Model> others;
    Campaign campaign;
};

}  // namespace

TEST_SUITE("campaign: places") {
    TEST_CASE("what place() found says what is next") {
        Rig rig(2);
        CHECK(rig.campaign.found(Rig::of(upstream::Finding::placed)) == Step::attempt);
        CHECK(rig.campaign.found(Rig::of(upstream::Finding::busy)) == Step::line);
        CHECK(rig.campaign.found(Rig::of(upstream::Finding::loading)) == Step::line);
        CHECK(rig.campaign.name() == "m-as-asked");
    }

    TEST_CASE("with a full line another model is asked, or it is given up") {
        Rig alone(1);
        CHECK(alone.campaign.line_is_full() == Step::give_up);
        CHECK(alone.campaign.failure().status == 429);
        CHECK(alone.campaign.failure().source == Source::gateway);

        Rig rig(1, 1);
        CHECK(rig.campaign.line_is_full() == Step::look);
        CHECK(&rig.campaign.model() == &rig.others[0]);
        CHECK(rig.campaign.name() == "f0");
        CHECK(rig.campaign.line_is_full() == Step::give_up);
    }

    TEST_CASE("where none is left and none was tried it is 503") {
        Rig rig(1);
        CHECK(rig.campaign.found({}) == Step::give_up);
        CHECK(rig.campaign.failure().status == 503);
        CHECK(rig.campaign.failure().message.find("'m'") != std::string::npos);
    }

    TEST_CASE("one that would rather not be asked is, behind every fallback") {
        Rig rig(1, 1);
        upstream::Found unwilling;
        unwilling.unwilling = true;
        CHECK(rig.campaign.found(unwilling) == Step::look);
        CHECK(&rig.campaign.model() == &rig.others[0]);
        CHECK_FALSE(rig.campaign.wish().unwilling_too);
        // That one has nobody, either: back to where somebody is left.
        CHECK(rig.campaign.found({}) == Step::look);
        CHECK(&rig.campaign.model() == &rig.model);
        CHECK(rig.campaign.name() == "m-as-asked");
        CHECK(rig.campaign.wish().unwilling_too);
        CHECK(rig.campaign.found({}) == Step::give_up);
    }

    TEST_CASE("fallbacks are those of the model that was asked for, each once") {
        Rig rig(1, 3);
        for (const auto& other : rig.others) {
            CHECK(rig.campaign.found({}) == Step::look);
            CHECK(&rig.campaign.model() == &other);
        }
        CHECK(rig.campaign.found({}) == Step::give_up);
    }
}

TEST_SUITE("campaign: tries") {
    TEST_CASE("what failed, what there is, what is next") {
        struct Row {
            FailureClass as;
            bool others;
            bool known;
            Fate fate;
            Step next;
        };
        constexpr auto moves = Fate::moves;
        constexpr Row rows[] = {
            {FailureClass::transient, true, false, moves, Step::retry},
            {FailureClass::transient, false, false, moves, Step::give_up},
            {FailureClass::transient, true, false, Fate::waits, Step::pause},
            {FailureClass::transient, true, false, Fate::stops, Step::stop},
            // Also where nobody is left: it is said and known.
            {FailureClass::transient, false, false, Fate::stops, Step::stop},
            {FailureClass::transient, false, false, Fate::waits, Step::pause},
            {FailureClass::doubtful, true, false, moves, Step::retry},
            {FailureClass::doubtful, true, true, moves, Step::give_up},
            {FailureClass::doubtful, false, false, moves, Step::give_up},
            {FailureClass::rate_limited, true, false, moves, Step::retry},
            {FailureClass::hard, true, false, moves, Step::retry},
            {FailureClass::slow, true, false, moves, Step::retry},
            {FailureClass::client, true, false, moves, Step::give_up},
            {FailureClass::loop, true, false, moves, Step::look},
            // It suits another one better: nothing is overloaded by that.
            {FailureClass::context_length, true, false, moves, Step::look},
            {FailureClass::over_rate, true, false, moves, Step::look},
        };
        for (const Row& row : rows) {
            CAPTURE(policy::name_of(row.as));
            Rig rig(3);
            rig.fail(0, row.as);
            CHECK(rig.campaign.next(
                      {.others = row.others, .known_to_fail = row.known, .fate = row.fate}) ==
                  row.next);
            CHECK(rig.campaign.failed_as() == row.as);
        }
    }

    TEST_CASE("leaving who is gone takes nothing from the budget, once") {
        Rig rig(3);
        rig.campaign.leave_freely();
        rig.fail(0, FailureClass::transient);
        CHECK(rig.campaign.next({.others = true}) == Step::look);
        rig.fail(1, FailureClass::transient);
        CHECK(rig.campaign.next({.others = true}) == Step::retry);
    }

    TEST_CASE("what is not kept, or may have been done, is not sent again") {
        Rig gone(2);
        gone.fail(0, FailureClass::transient, true);
        CHECK(gone.campaign.next({.others = true}) == Step::give_up);
        CHECK(gone.campaign.failure().message.find("not kept") != std::string::npos);
        CHECK_FALSE(gone.campaign.refusal().harmful);

        Rig done(2);
        done.fail(0, FailureClass::transient, false, true);
        CHECK(done.campaign.next({.others = true}) == Step::give_up);
        CHECK(done.campaign.refusal().harmful);

        // Who asks itself has done nothing.
        Rig loop(2);
        loop.fail(0, FailureClass::loop, false, true);
        CHECK(loop.campaign.next({.others = true}) == Step::look);
        CHECK_FALSE(loop.campaign.refusal().harmful);
    }

    TEST_CASE("one second opinion is asked for, and then the request is to blame") {
        Rig rig(3);
        rig.fail(0, FailureClass::doubtful);
        CHECK(rig.campaign.doubts());
        CHECK(rig.campaign.next({.others = true}) == Step::retry);
        CHECK_FALSE(rig.campaign.blames());
        rig.fail(1, FailureClass::doubtful);
        CHECK(rig.campaign.next({.others = true}) == Step::give_up);
        CHECK(rig.campaign.blames());
        CHECK(rig.campaign.refusal().tried_elsewhere);
    }

    TEST_CASE("a server that loads is come back to, three times") {
        Rig rig(1);
        for (int i = 0; i < 3; ++i) {
            rig.fail(0, FailureClass::loading);
            CHECK(rig.campaign.next({.others = false, .loads = true}) == Step::look);
            CHECK(rig.campaign.wish().tried == 0);
        }
        rig.fail(0, FailureClass::loading);
        CHECK(rig.campaign.next({.others = false, .loads = true}) == Step::give_up);
    }

    TEST_CASE("behind a context that is too small a larger one is wanted") {
        Rig rig(3);
        rig.fail(1, FailureClass::context_length);
        CHECK(rig.campaign.wish().context_min == 8192);
        rig.campaign.want_context(5000);  // said by another one
        CHECK(rig.campaign.wish().context_min == 8192);
        rig.campaign.want_context(9000);
        CHECK(rig.campaign.wish().context_min == 9000);
        CHECK(rig.campaign.next({.others = true}) == Step::look);
    }

    TEST_CASE("a stream that has begun stays with its model") {
        Rig rig(1, 2);
        rig.campaign.count_hop(rig.model.targets[0], FailureClass::transient);
        rig.campaign.commit_to_model();
        rig.campaign.failure() = Error::backend(502, Retry::no, "It broke.");
        CHECK(rig.campaign.again(Fate::moves) == Step::retry);
        CHECK(rig.campaign.found({}) == Step::give_up);
        CHECK(rig.campaign.failure().message == "It broke.");
    }
}

// Whatever comes, it ends; and while it goes on it holds to its bounds.
TEST_CASE("campaigns at random") {
    constexpr FailureClass classes[] = {
        FailureClass::transient, FailureClass::doubtful,       FailureClass::rate_limited,
        FailureClass::hard,      FailureClass::context_length, FailureClass::policy_block,
        FailureClass::over_rate, FailureClass::loading,        FailureClass::slow,
        FailureClass::loop,      FailureClass::client};
    for (std::uint64_t seed = 1; seed <= 20'000; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        Rig rig(1 + prng.below(4), prng.below(4));
        std::set<const upstream::Target*> asked;
        unsigned tries = 0;
        unsigned loads = 0;
        unsigned doubtful = 0;
        unsigned steps = 0;
        for (Step step = Step::look; step != Step::give_up && step != Step::stop;) {
            REQUIRE(++steps < 200);
            const auto wish = rig.campaign.wish();
            const auto count = wish.model->targets.size();
            std::size_t target = prng.below(count);
            while (target < count && (wish.tried >> target & 1) != 0)
                ++target;
            if (step == Step::pause) {
                step = rig.campaign.again(prng.below(2) == 0 ? Fate::waits : Fate::moves);
                continue;
            }
            if (target >= count) {
                upstream::Found none;
                none.unwilling = !wish.unwilling_too && prng.below(4) == 0;
                none.resting = prng.below(4) == 0;
                step = rig.campaign.found(none);
                continue;
            }
            if (prng.below(8) == 0) {
                REQUIRE(rig.campaign.found(Rig::of(upstream::Finding::busy)) == Step::line);
                step = rig.campaign.line_is_full();
                continue;
            }
            const auto as = classes[prng.below(std::size(classes))];
            const bool again = !asked.insert(&wish.model->targets[target]).second;
            // Only who loads, or was left for another model, is asked a second time.
            REQUIRE((!again || loads > 0 || wish.unwilling_too));
            REQUIRE(doubtful < 2);
            const bool final = prng.below(16) == 0;
            rig.fail(target, as, final);
            ++tries;
            doubtful += as == FailureClass::doubtful ? 1 : 0;
            const bool loading = as == FailureClass::loading && prng.below(2) == 0;
            loads += loading ? 1 : 0;
            step = rig.campaign.next(
                {.others = prng.below(4) != 0,
                 .known_to_fail = prng.below(8) == 0,
                 .loads = loading,
                 .fate = static_cast<Fate>(prng.below(8) == 0 ? prng.below(3) : std::size_t{0})});
            REQUIRE((!final || step == Step::give_up));
            REQUIRE(step != Step::attempt);
            REQUIRE(step != Step::line);
        }
        REQUIRE(tries <= Campaign::hops_max);
        REQUIRE(rig.campaign.failure().status >= 400);
    }
}
