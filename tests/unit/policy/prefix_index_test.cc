#include "sluice/policy/prefix_index.h"

#include "pool_rig.h"

#include <cmath>

using namespace sluice;
using namespace sluice::policy;
using namespace sluice::policy::test;

namespace {

// A prompt of whole blocks: `shared` of them the same for one `family`, the rest its own.
PrefixHashes prompt_of(std::uint64_t family, std::size_t shared, std::uint64_t own,
                       std::size_t blocks) {
    PrefixHashes prompt;
    prompt.count = blocks;
    prompt.bytes = prefix_bytes(blocks) + 100;
    for (std::size_t k = 0; k < blocks; ++k)
        prompt.blocks[k] = mix(mix(k < shared ? family : family * 1000 + own) + k + 1);
    prompt.conversation = mix(family * 7777 + own);
    return prompt;
}

PrefixHashes known(PrefixHashes prompt) {
    prompt.conversation_known = true;
    return prompt;
}

}  // namespace

TEST_CASE("a match is as long as what the backend was sent has in common with the prompt") {
    PrefixIndex index(1024);
    PoolRig pool({1, 1, 1});
    CHECK(index.record(prompt_of(1, 4, 1, 10), pool.candidates[0].backend) == 0);
    CHECK(index.record(prompt_of(1, 4, 2, 8), pool.candidates[1].backend) == 0);
    const auto matched = [&](const PrefixHashes& prompt) {
        const PrefixMatch match = index.lookup(prompt, pool.candidates);
        CHECK(match.prompt_bytes == prompt.bytes);
        return std::vector<int>{match.matched[0], match.matched[1], match.matched[2]};
    };
    CHECK(matched(prompt_of(1, 4, 1, 12)) == std::vector{10, 4, 0});
    CHECK(matched(prompt_of(1, 4, 1, 7)) == std::vector{7, 4, 0});
    CHECK(matched(prompt_of(1, 4, 2, 12)) == std::vector{4, 8, 0});
    CHECK(matched(prompt_of(1, 4, 3, 12)) == std::vector{4, 4, 0});
    CHECK(matched(prompt_of(1, 2, 3, 12)) == std::vector{2, 2, 0});
    CHECK(matched(prompt_of(2, 4, 1, 12)) == std::vector{0, 0, 0});
    CHECK(matched(prompt_of(1, 4, 1, 0)) == std::vector{0, 0, 0});
    CHECK(index.lookup(prompt_of(1, 4, 1, 10), pool.candidates).matched_bytes(0) == 2560);
    CHECK(index.size() == 14);
}

TEST_CASE("recording says what was expected to be cached, and counts it") {
    PrefixIndex index(1024);
    CHECK(index.record(prompt_of(1, 4, 1, 10), 1) == 0);
    CHECK(index.record(prompt_of(1, 4, 1, 15), 1) == 2560);
    CHECK(index.record(prompt_of(1, 4, 1, 20), 2) == 0);
    CHECK(index.record(prompt_of(1, 4, 2, 20), 2) == 1024);
    CHECK(index.counters().prompts == 4);
    CHECK(index.counters().prompt_bytes == prefix_bytes(65) - 1024 + 256 + 400);
    CHECK(index.counters().predicted_bytes == 3584);
    CHECK(index.counters().evictions == 0);
}

TEST_CASE("homes are those that served the conversation, where it is known") {
    PrefixIndex index(1024);
    PoolRig pool({1, 1, 1});
    index.record(known(prompt_of(1, 8, 1, 10)), pool.candidates[1].backend);
    CHECK(index.lookup(known(prompt_of(1, 8, 1, 12)), pool.candidates).homes == 0b010);
    CHECK(index.lookup(known(prompt_of(1, 8, 2, 12)), pool.candidates).homes == 0);
    // Also one that is shorter than a block.
    index.record(known(prompt_of(3, 0, 1, 0)), pool.candidates[2].backend);
    CHECK(index.lookup(known(prompt_of(3, 0, 1, 0)), pool.candidates).homes == 0b100);
    // Not known: more than half of the prompt.
    CHECK(index.lookup(prompt_of(1, 8, 2, 12), pool.candidates).homes == 0b010);
    CHECK(index.lookup(prompt_of(1, 8, 2, 17), pool.candidates).homes == 0);
}

TEST_CASE("what a backend was sent is forgotten with it") {
    PrefixIndex index(1024);
    PoolRig pool({1, 1});
    index.record(prompt_of(1, 4, 1, 10), pool.candidates[0].backend);
    index.record(prompt_of(1, 4, 2, 10), pool.candidates[1].backend);
    index.forget(pool.candidates[0].backend);
    const PrefixMatch match = index.lookup(prompt_of(1, 4, 1, 10), pool.candidates);
    CHECK(match.matched[0] == 0);
    CHECK(match.matched[1] == 4);
    CHECK(index.size() == 10);
}

TEST_CASE("the table stays bounded, and the newest prompts in it") {
    PrefixIndex index(1000);
    CHECK(index.capacity() == 1024);
    PoolRig pool({1, 1, 1});
    Prng prng(1);
    for (std::uint64_t turn = 0; turn < 5000; ++turn) {
        const PrefixHashes prompt = known(prompt_of(prng.below(40), 4, turn, prng.between(4, 40)));
        const Candidate& candidate = pool.candidates[prng.below(3)];
        index.record(prompt, candidate.backend);
        CHECK(index.size() <= index.capacity());
        const PrefixMatch match = index.lookup(prompt, pool.candidates);
        const std::size_t place = candidate.backend - pool.candidates[0].backend;
        CHECK(match.matched[place] == prompt.count);
        CHECK((match.homes >> place & 1) == 1);
    }
    CHECK(index.counters().evictions > 50'000);
    CHECK(index.size() > index.capacity() * 9 / 10);
    for (const Candidate& candidate : pool.candidates)
        index.forget(candidate.backend);
    CHECK(index.size() == 0);
}

TEST_CASE("what is used stays where what is not gives way") {
    PrefixIndex index(4096);
    PoolRig pool({1});
    const PrefixHashes kept = prompt_of(1, 0, 1, 40);
    for (std::uint64_t turn = 0; turn < 2000; ++turn) {
        if (turn % 10 == 0) index.record(kept, pool.candidates[0].backend);
        index.record(prompt_of(2, 0, turn, 40), pool.candidates[0].backend);
        CHECK(index.lookup(kept, pool.candidates).matched[0] == 40);
    }
    CHECK(index.lookup(prompt_of(2, 0, 1, 40), pool.candidates).matched[0] == 0);
}

TEST_CASE("recent prompts fade by half with each half-life, however many there were") {
    PrefixIndex index(64);
    PoolRig pool({1, 1});
    PrefixHashes prompt = prompt_of(1, 0, 1, 1);
    const auto recent = [&](std::size_t i) {
        return index.lookup(prompt, pool.candidates).recent[i];
    };
    for (int round = 0; round < 3; ++round) {
        CHECK(recent(0) == doctest::Approx(0).epsilon(0.001));
        index.record(prompt, pool.candidates[0].backend);
        CHECK(recent(0) == doctest::Approx(1).epsilon(0.001));
        for (int i = 0; i < PrefixIndex::recent_half_life; ++i)
            index.record(prompt, pool.candidates[1].backend);
        CHECK(recent(0) == doctest::Approx(0.5).epsilon(0.001));
        // Beyond where the weights are scaled down.
        for (int i = 0; i < 30'000; ++i)
            index.record(prompt, pool.candidates[1].backend);
        CHECK(recent(1) == doctest::Approx(1 / (1 - std::pow(0.5, 1.0 / 64))).epsilon(0.001));
    }
}

TEST_CASE("hashes that meet give a wrong guess, and nothing worse") {
    PrefixIndex index(4);  // one bucket, and hashes that differ below the tag
    PoolRig pool({1, 1});
    PrefixHashes a = prompt_of(1, 0, 1, 3);
    PrefixHashes b = prompt_of(2, 0, 1, 3);
    for (std::size_t k = 0; k < 3; ++k)
        b.blocks[k] = a.blocks[k] ^ 1;
    index.record(a, pool.candidates[0].backend);
    CHECK(index.lookup(b, pool.candidates).matched[0] == 3);
    index.record(b, pool.candidates[1].backend);
    const PrefixMatch match = index.lookup(a, pool.candidates);
    CHECK(match.matched[0] == 3);
    CHECK(match.matched[1] == 3);
    CHECK(index.size() == 3);

    // All the same, of zeros: an empty entry is not taken for it.
    PrefixIndex zeros(64);
    PrefixHashes zero;
    zero.count = 5;
    zero.bytes = prefix_bytes(5);
    zero.blocks.fill(0);
    CHECK(zeros.lookup(zero, pool.candidates).matched[0] == 0);
    zeros.record(zero, pool.candidates[0].backend);
    CHECK(zeros.lookup(zero, pool.candidates).matched[0] == 5);
    CHECK(zeros.size() == 1);
    // Backends that meet modulo 64 are one to the index.
    pool.candidates[1].backend = pool.candidates[0].backend + 64;
    CHECK(zeros.lookup(zero, pool.candidates).matched[1] == 5);
}

TEST_CASE("R17: what one index records another one learns, and guesses the same") {
    PrefixIndex index(1024);
    PrefixIndex other(1024);
    PoolRig pool({1, 1, 1});
    for (std::uint64_t turn = 0; turn < 5; ++turn) {
        for (std::uint64_t own = 0; own < 6; ++own) {
            const PrefixHashes prompt = known(prompt_of(1, 4, own, 5 + 2 * turn));
            const std::uint32_t backend = pool.candidates[own % 3].backend;
            std::vector<std::uint64_t> news;
            index.record(prompt, backend, &news);
            // What the backend was sent before is no news.
            CHECK(news.size() <= (turn == 0 ? 5 : 2) + 1);
            other.learn(news, backend);
            const PrefixMatch a = index.lookup(prompt, pool.candidates);
            const PrefixMatch b = other.lookup(prompt, pool.candidates);
            CHECK(a.matched == b.matched);
            CHECK(a.homes == b.homes);
            CHECK(a.recent == b.recent);
        }
    }
    CHECK(other.counters().prompts == 0);
}

TEST_CASE("R17: who has much more of a prompt than a session's home is as good as its home") {
    PrefixIndex index(1024);
    PoolRig pool({1, 1, 1});
    const auto named = [](std::uint64_t family, std::size_t blocks) {
        PrefixHashes prompt = known(prompt_of(family, blocks, 1, blocks));
        prompt.conversation = 77;
        prompt.conversation_named = true;
        return prompt;
    };
    const auto homes = [&](const PrefixHashes& prompt) {
        return index.lookup(prompt, pool.candidates).homes;
    };
    PrefixHashes elsewhere = prompt_of(2, 10, 1, 10);
    index.record(elsewhere, pool.candidates[2].backend);
    // A session that is not known goes where there is room, not after the longest match.
    CHECK(homes(named(2, 10)) == 0);
    index.record(named(1, 10), pool.candidates[0].backend);
    CHECK(homes(named(1, 12)) == 0b001);
    CHECK(homes(named(3, 12)) == 0b001);
    CHECK(homes(named(2, 12)) == 0b101);
    CHECK(homes(named(2, 40)) == 0b001);  // it has not so much of this one
}
