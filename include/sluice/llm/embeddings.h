// Embeddings item by item: a request that asks for fewer items, an answer taken apart and put
// together again.
//
// Pure. Two APIs, whose answers are one vector an item, in the order of the items:
//   openai   /v1/embeddings   "input": a text, an array of tokens, or an array of both
//                             "data": [{"index": 0, "embedding": [...] or base64, ...}, ...]
//   ollama   /api/embed       "input": a text or an array of texts
//                             "embeddings": [[...], ...]
// What stands in an item and in a vector is copied as it is. A request or an answer of any other
// shape is not taken apart: whoever wants to share it shares it whole.
#pragma once

#include "sluice/llm/body_reader.h"
#include "sluice/llm/edits.h"
#include "sluice/llm/endpoints.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::llm {

enum class EmbeddingsForm : std::uint8_t { openai, ollama };

// None for every other endpoint.
std::optional<EmbeddingsForm> embeddings_form_of(const Endpoint& endpoint);

// Where a request's items stand in its body.
struct EmbeddingsInput {
    Span value;               // of "input"
    std::vector<Span> items;  // at least one

    // The value is the item, and no list of it.
    bool is_one() const { return items.size() == 1 && items[0].begin == value.begin; }
};

// Of a body that is sound JSON and names no key twice. None: an item is something else (a document,
// an image), there is none, or a key is written with escapes.
std::optional<EmbeddingsInput> read_embeddings_input(EmbeddingsForm form, std::string_view body);

// Has the body ask for the `wanted` items only, which are in order.
Edit ask_for_items(std::string_view body, const EmbeddingsInput& input,
                   std::span<const std::uint32_t> wanted);

// A document, taken apart.
struct EmbeddingsAnswer {
    // One an item: Ollama's is the vector; OpenAI's is what stands behind the index in its object.
    std::vector<std::string> elements;
    // The other members, without the braces and the usage; and those that are not about this one
    // answer (how long it took).
    std::string frame;
    std::string lasting_frame;
    std::optional<std::uint64_t> tokens;  // that were read, as far as it says
};

// None: it is no sound answer of `items` vectors.
std::optional<EmbeddingsAnswer> split_embeddings(EmbeddingsForm form, std::string_view document,
                                                 std::size_t items);

// What the vectors of one model have in common, as far as their text shows it.
struct VectorShape {
    bool packed = false;     // base64
    std::size_t length = 0;  // of the text where it is packed, else its numbers

    bool operator==(const VectorShape&) const = default;
};
VectorShape shape_of_vector(EmbeddingsForm form, std::string_view element);

// The document of these elements.
std::string join_embeddings(EmbeddingsForm form, std::string_view frame,
                            std::span<const std::string_view> elements,
                            std::optional<std::uint64_t> tokens);

// What each item has of the tokens that were read for several: by its share of the bytes, and in
// the sum all of them. Servers tell no more than the sum.
std::vector<std::uint64_t> share_tokens(std::uint64_t tokens,
                                        std::span<const std::size_t> item_bytes);

}  // namespace sluice::llm
