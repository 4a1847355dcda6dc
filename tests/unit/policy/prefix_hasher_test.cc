#include "sluice/policy/prefix_hasher.h"

#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>

using namespace sluice;
using namespace sluice::policy;

namespace {

// Of bytes none of which is left out.
std::string random_text(std::size_t bytes, std::uint64_t seed) {
    Prng prng(seed);
    std::string text(bytes, ' ');
    for (char& c : text) {
        do {
            c = static_cast<char>(prng.below(256));
        } while ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '"' || c == '=');
    }
    return text;
}

PrefixHashes hash(std::string_view text, std::uint64_t seed = 1, std::size_t opening = 0) {
    PrefixHashes hashes;
    PrefixHasher hasher(hashes, seed, opening);
    hasher.feed(text);
    hasher.finish();
    return hashes;
}

bool same(const PrefixHashes& a, const PrefixHashes& b) {
    return a.count == b.count && a.bytes == b.bytes && a.conversation == b.conversation &&
           a.conversation_known == b.conversation_known &&
           std::equal(a.blocks.begin(), a.blocks.begin() + a.count, b.blocks.begin());
}

// How many blocks two prompts have in common from the begin.
std::size_t common(const PrefixHashes& a, const PrefixHashes& b) {
    std::size_t n = 0;
    while (n < std::min(a.count, b.count) && a.blocks[n] == b.blocks[n])
        ++n;
    return n;
}

}  // namespace

TEST_CASE("blocks grow by four, 64 of a size") {
    CHECK(prefix_block_bytes(0) == 256);
    CHECK(prefix_block_bytes(63) == 256);
    CHECK(prefix_block_bytes(64) == 1024);
    CHECK(prefix_block_bytes(prefix_blocks_max - 1) == 256 * 1024);
    std::size_t sum = 0;
    for (std::size_t blocks = 0; blocks < prefix_blocks_max; ++blocks) {
        CHECK(prefix_bytes(blocks) == sum);
        CHECK(prefix_block_bytes(blocks) <= std::max<std::size_t>(256, sum / 16));
        sum += prefix_block_bytes(blocks);
    }
    CHECK(prefix_bytes(prefix_blocks_max) == sum);
    CHECK(sum >= std::size_t{16} * 1024 * 1024);  // the longest body
}

TEST_CASE("every split gives the same hashes") {
    for (const std::size_t bytes : {0, 1, 15, 16, 17, 255, 256, 257, 1000, 5000, 40'000}) {
        const std::string text = random_text(bytes, bytes);
        for (const std::size_t opening :
             {std::size_t{0}, std::size_t{1}, bytes / 3, bytes, bytes + 1}) {
            const PrefixHashes whole = hash(text, 1, opening);
            for (std::uint64_t seed = 0; seed < 20; ++seed) {
                Prng prng(seed);
                const std::size_t longest = 1 + prng.below(seed < 10 ? 40 : 3000);
                PrefixHashes split;
                PrefixHasher hasher(split, 1, opening);
                for (std::string_view rest = text; !rest.empty();) {
                    const std::string run(rest.substr(0, prng.between(0, longest)));
                    hasher.feed(run);
                    rest.remove_prefix(run.size());
                }
                hasher.finish();
                CAPTURE(bytes);
                CAPTURE(opening);
                CAPTURE(seed);
                CHECK(same(split, whole));
            }
        }
    }
}

TEST_CASE("the hashes of a begin are those of the whole, up to its last whole block") {
    const std::string text = random_text(30'000, 1);
    const PrefixHashes whole = hash(text);
    for (const std::size_t bytes : {0, 255, 256, 300, 16'384, 17'000, 17'408, 29'999}) {
        const PrefixHashes begin = hash(std::string_view(text).substr(0, bytes));
        CHECK(begin.bytes == bytes);
        CHECK(common(begin, whole) == begin.count);
        CHECK(prefix_bytes(begin.count) <= bytes);
        CHECK(prefix_bytes(begin.count + 1) > bytes);
    }
}

TEST_CASE("a changed byte changes its block and all behind it, and no other") {
    const std::string text = random_text(4096, 2);
    const PrefixHashes before = hash(text);
    for (std::size_t at = 0; at < text.size(); at += 37) {
        std::string changed = text;
        changed[at] = static_cast<char>(changed[at] ^ 1);
        const PrefixHashes after = hash(changed);
        CHECK(common(before, after) == at / 256);
        for (std::size_t block = at / 256; block < after.count; ++block)
            CHECK(after.blocks[block] != before.blocks[block]);
    }
}

TEST_CASE("models do not mix, and equal blocks differ by their place") {
    const std::string text(64 * 1024, 'x');
    std::set<std::uint64_t> seen;
    std::size_t count = 0;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        const PrefixHashes hashes = hash(text, seed);
        seen.insert(hashes.blocks.begin(), hashes.blocks.begin() + hashes.count);
        count += hashes.count;
    }
    CHECK(seen.size() == count);
}

TEST_CASE("a prompt of any length has a bounded number of blocks") {
    PrefixHashes hashes;
    PrefixHasher hasher(hashes, 1, 0);
    const std::string piece(100'000, 'x');
    for (int i = 0; i < 300; ++i)
        hasher.feed(piece);
    hasher.finish();
    CHECK(hashes.count == prefix_blocks_max);
    CHECK(hashes.bytes == 300 * piece.size());
}

TEST_CASE("a conversation is named by its opening, wherever that ends") {
    const std::string text = random_text(2000, 3);
    std::set<std::uint64_t> names;
    for (std::size_t opening = 1; opening <= 1000; ++opening) {
        const PrefixHashes turn = hash(std::string_view(text).substr(0, 1000), 1, opening);
        const PrefixHashes next = hash(text, 1, opening);
        CHECK(turn.conversation_known);
        CHECK(turn.conversation == next.conversation);
        names.insert(turn.conversation);
    }
    CHECK(names.size() == 1000);
    CHECK(hash(text, 1, 700).conversation != hash(text, 2, 700).conversation);
}

TEST_CASE("without an opening the first block stands in, or all there is") {
    const std::string text = random_text(2000, 4);
    CHECK_FALSE(hash(text).conversation_known);
    CHECK(hash(text).conversation == hash(text).blocks[0]);
    CHECK(hash(text).conversation == hash(std::string_view(text).substr(0, 256)).conversation);
    CHECK(hash("a").conversation != hash("b").conversation);
    CHECK(hash("a").conversation != hash(std::string_view("a\0", 2)).conversation);
    CHECK(hash("").count == 0);
    // An opening that never comes.
    CHECK_FALSE(hash(text, 1, 2001).conversation_known);
    CHECK(hash(text, 1, 2001).conversation == hash(text).conversation);
}
