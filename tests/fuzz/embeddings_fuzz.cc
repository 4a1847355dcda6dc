// Whatever a batch and its answer hold: an answer that is taken apart and put together is the same
// answer, and a body that asks for all of its items asks for the same.
//
// Input: a digit for the form, then the body, a NUL, and the document.
#include "sluice/cache/embeddings.h"

#include "answers.h"
#include "sluice/base/assert.h"

#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::cache;
using llm::test::same_json;

namespace {

void check_answer(llm::EmbeddingsForm form, std::string_view document) {
    for (std::size_t items = 0; items < 4; ++items) {
        const auto answer = llm::split_embeddings(form, document, items);
        if (!answer) continue;
        const std::vector<std::string_view> elements(answer->elements.begin(),
                                                     answer->elements.end());
        const std::string joined =
            llm::join_embeddings(form, answer->frame, elements, answer->tokens);
        // Once more changes nothing. The first time puts elements in their order, gives each its
        // index and has nothing in the usage but the tokens.
        const auto again = llm::split_embeddings(form, joined, items);
        SLUICE_ASSERT(again.has_value());
        SLUICE_ASSERT(again->elements == answer->elements && again->frame == answer->frame);
        SLUICE_ASSERT(again->tokens == answer->tokens);
        if (form == llm::EmbeddingsForm::ollama && answer->tokens)
            SLUICE_ASSERT(!same_json(document, document) || same_json(document, joined));
    }
}

void check_batch(std::string_view path, std::string_view body, std::string_view document) {
    static KeyMaker maker;
    if (maker.read(*llm::find_endpoint(path), body) != Bypass::none) return;
    auto batch = EmbeddingBatch::of(maker, {.model = "m", .endpoint = path});
    if (!batch) return;
    std::vector<Key> keys;
    for (std::uint32_t i = 0; i < batch->size(); ++i)
        keys.push_back(batch->key(i));
    const std::size_t different = batch->different().size();
    SLUICE_ASSERT(different > 0 && different <= keys.size());
    // Without what comes twice, in the same order.
    const llm::Edit edit = batch->edit(body);
    const std::string edited = llm::apply_edits(body, {&edit, 1});
    SLUICE_ASSERT(maker.read(*llm::find_endpoint(path), edited) == Bypass::none);
    auto other = EmbeddingBatch::of(maker, {.model = "m", .endpoint = path});
    SLUICE_ASSERT(other && other->size() == different);
    for (std::uint32_t i = 0; i < different; ++i)
        SLUICE_ASSERT(other->key(i) == keys[batch->different()[i]]);
    const auto fresh = batch->take(document, {.model = "m"});
    if (!fresh) return;
    // What was stored gives the same vectors.
    for (std::uint32_t i = 0; i < different; ++i)
        SLUICE_ASSERT(other->know(i, (*fresh)[i].answer));
    const auto form = *llm::embeddings_form_of(*llm::find_endpoint(path));
    const auto whole = llm::split_embeddings(form, batch->document(), batch->size());
    const auto less = llm::split_embeddings(form, other->document(), different);
    SLUICE_ASSERT(whole && less);
    for (std::uint32_t i = 0; i < different; ++i)
        SLUICE_ASSERT(less->elements[i] == whole->elements[batch->different()[i]]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t nul = std::min(text.find('\0'), text.size());
    const std::string_view body = text.substr(0, nul);
    const std::string_view document = nul < text.size() ? text.substr(nul + 1) : body;
    const bool is_ollama = data[0] % 2 == 1;
    check_answer(is_ollama ? llm::EmbeddingsForm::ollama : llm::EmbeddingsForm::openai, document);
    check_batch(is_ollama ? "/api/embed" : "/v1/embeddings", body, document);
    return 0;
}
