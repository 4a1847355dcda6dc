// EmbeddingBatch: a request for embeddings as the cache sees it: item by item.
//
// Pure. A batch of 100 texts of which 90 are known asks the backend for the other 10, each once
// however often it is there, and gives back all 100 in their order:
//   1. of() reads the body, which KeyMaker has read before, and makes the key of each item;
//   2. the caller looks each key up, wherever it likes, and says what it found: know();
//   3. nothing is missing(): document() is the answer. Else edit() says how the body is changed to
//      ask for what is, unless all of it is, and take() reads the answer to that: then document()
//      is the client's answer, and fresh() what is to be stored.
// An item's key is that of the whole request with the item in the place of all: what else the body
// says (dimensions, encoding_format, user ...) is part of it; whether an item came alone or among
// others is not. A batch that cannot be told apart has one key as any other request has.
//
// The tokens in the answer's usage are those that were read for each item when the backend made it:
// servers tell the sum for what they were asked, which is shared out by the items' bytes (see
// share_tokens()), so that the same batch has the same usage again. asked_tokens() is what was
// read now. Where a server tells none, none are told.
#pragma once

#include "sluice/cache/answer.h"
#include "sluice/cache/key.h"
#include "sluice/llm/embeddings.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::cache {

class EmbeddingBatch {
public:
    // `maker` has read the body and found no bypass. None: it is no batch, see above.
    static std::optional<EmbeddingBatch> of(const KeyMaker& maker, const KeyParts& parts);

    std::size_t size() const { return items_.size(); }
    // The items that differ, in their order: what there is to look up.
    std::span<const std::uint32_t> different() const { return different_; }
    const Key& key(std::uint32_t item) const { return items_[item].key; }

    // `item`, one of different(), was found. False: it is no answer to an item, and not taken.
    bool know(std::uint32_t item, std::shared_ptr<const Answer> answer);
    // Those that were not, in their order.
    std::vector<std::uint32_t> missing() const;
    bool knows_some() const;
    // The vectors that are known are alike, as far as their text shows it.
    bool goes_together() const;
    // What is known is not: all are asked for.
    void forget();
    // Nothing is known and no item comes twice: the body may go as it is.
    bool asks_for_all() const;
    // How long the document will be, by what is known of its items; 0: nothing is.
    std::size_t expected_bytes() const;
    // The tokens of what is known, each time it comes.
    std::uint64_t known_tokens() const;
    // Has the body, in one piece, ask for what is missing.
    llm::Edit edit(std::string_view body) const;

    struct Fresh {
        Key key;
        std::shared_ptr<const Answer> answer;  // shared with this batch and the store
    };
    // The successful answer to what was missing; `facts` as of any answer, but for the usage. None:
    // it is no such answer, or its vectors are not like each other and those that are known: of
    // another length, or in another form. Who has changed cannot be told, so all are asked for.
    [[nodiscard]] std::optional<std::vector<Fresh>> take(std::string_view document,
                                                         const AnswerFacts& facts);

    // Of all items, once nothing is missing.
    std::string document() const;
    std::string_view content_type() const;
    // As it says; none, where that of any item is not known.
    std::optional<std::uint64_t> tokens() const;
    std::uint64_t asked_tokens() const { return asked_tokens_; }  // of what take() took

private:
    struct Item {
        Key key;
        std::uint32_t same_as = 0;               // the first one with this key
        std::size_t bytes = 0;                   // in the body
        std::shared_ptr<const Answer> answer{};  // of the first one; shared with the store
    };

    EmbeddingBatch(llm::EmbeddingsForm form, llm::EmbeddingsInput input)
        : form_(form), input_(std::move(input)) {}
    bool known_are(llm::VectorShape shape) const;

    llm::EmbeddingsForm form_;
    llm::EmbeddingsInput input_;
    std::vector<Item> items_;
    std::vector<std::uint32_t> different_;
    std::string frame_;  // of the answer that was taken
    bool has_frame_ = false;
    std::uint64_t asked_tokens_ = 0;
};

}  // namespace sluice::cache
