// append_edited against llm::apply_edits, which edits a string.
#include "body_edits.h"

#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

using namespace sluice;
using namespace sluice::proxy;

namespace {

struct Rig {
    mem::Slice slice_of(std::string_view text) {
        const auto lent = buffers.lend();
        std::memcpy(lent.data, text.data(), text.size());
        return buffers.filled(lent.id, text.size());
    }
    mem::Chain chain_of(std::string_view text, std::size_t piece) {
        mem::Chain chain(nodes);
        for (std::size_t at = 0; at < text.size(); at += piece)
            chain.append(slice_of(text.substr(at, piece)));
        return chain;
    }

    mem::BufferPool buffers{64, 256};
    mem::NodePool nodes;
};

llm::EditList edits_of(const std::vector<llm::Edit>& edits) {
    llm::EditList list;
    for (const llm::Edit& edit : edits)
        list.add(edit);
    return list;
}

}  // namespace

TEST_CASE("an edited chain reads like an edited string, wherever its slices end") {
    const std::string body = R"({"model":"gpt-4o-mini","messages":[],"stream":true})";
    Prng prng(1);
    for (int i = 0; i < 3000; ++i) {
        CAPTURE(i);
        Rig rig;
        std::vector<llm::Edit> edits;
        const std::size_t count = prng.below(3);
        for (std::size_t at = 0; edits.size() < count;) {
            const std::size_t offset = prng.between(at, body.size());
            const std::size_t removed = prng.below(body.size() - offset + 1);
            edits.push_back({offset, removed, std::string(prng.below(100), 'x')});
            at = offset + removed;
        }
        const llm::EditList list = edits_of(edits);
        const mem::Chain chain = rig.chain_of(body, prng.between(1, body.size()));
        mem::Chain message(rig.nodes);
        message.append(mem::Slice::of_static("head "));
        REQUIRE(append_edited(message, chain, list, rig.buffers));
        CHECK(message.to_string() == "head " + llm::apply_edits(body, list.edits()));
        CHECK(message.size() == 5 + list.edited_size(body.size()));
        // The body itself is kept for another try.
        CHECK(chain.to_string() == body);
    }
}

TEST_CASE("a body without edits is shared, not copied") {
    Rig rig;
    const mem::Chain chain = rig.chain_of("0123456789", 5);
    mem::Chain message(rig.nodes);
    const std::size_t before = rig.buffers.in_use();
    REQUIRE(append_edited(message, chain, {}, rig.buffers));
    CHECK(rig.buffers.in_use() == before);
    CHECK(message.front().data() == chain.front().data());
}

TEST_CASE("an insertion that finds no buffer fails") {
    Rig rig;
    const mem::Chain chain = rig.chain_of("0123456789", 10);
    mem::Chain others(rig.nodes);
    while (rig.buffers.available() > 0)
        others.append(rig.slice_of("x"));
    mem::Chain message(rig.nodes);
    CHECK_FALSE(append_edited(message, chain, edits_of({{3, 2, "new"}}), rig.buffers));
    // What only removes needs none.
    message.clear();
    CHECK(append_edited(message, chain, edits_of({{3, 2, ""}}), rig.buffers));
    CHECK(message.to_string() == "01256789");
}
