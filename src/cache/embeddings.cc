#include "sluice/cache/embeddings.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

namespace sluice::cache {

namespace {

// What is kept of an item is its element, then the frame of the answer that it came in, then how
// long the element is and what its vector looks like: a batch of known items needs a frame, too.
struct ItemEnd {
    std::uint32_t element_bytes = 0;
    std::uint32_t vector_length = 0;
    std::uint32_t vector_is_packed = 0;
};

struct KeptItem {
    std::string_view element;
    std::string_view frame;
    llm::VectorShape shape;
};

std::string pack_item(const KeptItem& item) {
    const ItemEnd end{.element_bytes = static_cast<std::uint32_t>(item.element.size()),
                      .vector_length = static_cast<std::uint32_t>(item.shape.length),
                      .vector_is_packed = item.shape.packed ? 1U : 0U};
    std::string packed;
    packed.reserve(item.element.size() + item.frame.size() + sizeof end);
    packed.append(item.element).append(item.frame);
    packed.append(reinterpret_cast<const char*>(&end), sizeof end);
    return packed;
}

std::optional<KeptItem> unpack_item(std::string_view packed) {
    ItemEnd end;
    if (packed.size() < sizeof end) return std::nullopt;
    packed.remove_suffix(sizeof end);
    std::memcpy(&end, packed.data() + packed.size(), sizeof end);
    const std::size_t length = end.element_bytes;
    if (length == 0 || length > packed.size()) return std::nullopt;
    return KeptItem{packed.substr(0, length),
                    packed.substr(length),
                    {.packed = end.vector_is_packed != 0, .length = end.vector_length}};
}

// The first item that has the same key, of each. By sorting: who chooses the items can choose where
// a table would put them.
std::vector<std::uint32_t> first_of_each(std::span<const Key> keys) {
    std::vector<std::uint32_t> order(keys.size());
    std::iota(order.begin(), order.end(), 0u);
    std::ranges::sort(order, [keys](std::uint32_t a, std::uint32_t b) {
        const auto by_key = keys[a].digest <=> keys[b].digest;
        return by_key != 0 ? by_key < 0 : a < b;
    });
    std::vector<std::uint32_t> first(keys.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
        const bool same = i > 0 && keys[order[i]] == keys[order[i - 1]];
        first[order[i]] = same ? first[order[i - 1]] : order[i];
    }
    return first;
}

}  // namespace

std::optional<EmbeddingBatch> EmbeddingBatch::of(const KeyMaker& maker, const KeyParts& parts) {
    const auto form = llm::embeddings_form_of(maker.endpoint());
    if (!form) return std::nullopt;
    auto input = llm::read_embeddings_input(*form, maker.body());
    if (!input) return std::nullopt;
    EmbeddingBatch batch(*form, std::move(*input));
    const std::vector<Key> keys = maker.item_keys(parts, "input", batch.input_.is_one());
    SLUICE_ASSERT(keys.size() == batch.input_.items.size());
    const std::vector<std::uint32_t> first = first_of_each(keys);
    for (std::uint32_t i = 0; i < keys.size(); ++i) {
        const llm::Span span = batch.input_.items[i];
        batch.items_.push_back({keys[i], first[i], span.end - span.begin});
        if (first[i] == i) batch.different_.push_back(i);
    }
    return batch;
}

bool EmbeddingBatch::know(std::uint32_t item, std::shared_ptr<const Answer> answer) {
    SLUICE_ASSERT(item < items_.size() && items_[item].same_as == item);
    if (!unpack_item(answer->body())) return false;
    items_[item].answer = std::move(answer);
    return true;
}

std::vector<std::uint32_t> EmbeddingBatch::missing() const {
    std::vector<std::uint32_t> out;
    for (const std::uint32_t item : different_) {
        if (items_[item].answer == nullptr) out.push_back(item);
    }
    return out;
}

bool EmbeddingBatch::knows_some() const {
    return missing().size() < different_.size();
}

bool EmbeddingBatch::goes_together() const {
    for (const std::uint32_t item : different_) {
        const auto& answer = items_[item].answer;
        if (answer == nullptr) continue;
        return known_are(unpack_item(answer->body())->shape);
    }
    return true;
}

bool EmbeddingBatch::known_are(llm::VectorShape shape) const {
    return std::ranges::all_of(different_, [&](std::uint32_t item) {
        const auto& answer = items_[item].answer;
        return answer == nullptr || unpack_item(answer->body())->shape == shape;
    });
}

void EmbeddingBatch::forget() {
    for (Item& item : items_)
        item.answer = nullptr;
}

std::size_t EmbeddingBatch::expected_bytes() const {
    std::size_t known = 0;
    std::size_t bytes = 0;
    for (const std::uint32_t item : different_) {
        if (items_[item].answer == nullptr) continue;
        ++known;
        bytes += unpack_item(items_[item].answer->body())->element.size();
    }
    return known == 0 ? 0 : bytes / known * items_.size();
}

std::uint64_t EmbeddingBatch::known_tokens() const {
    std::uint64_t sum = 0;
    for (const Item& item : items_) {
        const auto& answer = items_[item.same_as].answer;
        if (answer != nullptr && answer->usage().known) sum += answer->usage().prompt;
    }
    return sum;
}

bool EmbeddingBatch::asks_for_all() const {
    return missing().size() == items_.size();
}

llm::Edit EmbeddingBatch::edit(std::string_view body) const {
    return llm::ask_for_items(body, input_, missing());
}

std::optional<std::vector<EmbeddingBatch::Fresh>> EmbeddingBatch::take(std::string_view document,
                                                                       const AnswerFacts& facts) {
    const std::vector<std::uint32_t> asked = missing();
    SLUICE_ASSERT(!asked.empty());
    const auto answer = llm::split_embeddings(form_, document, asked.size());
    if (!answer) return std::nullopt;
    const llm::VectorShape shape = llm::shape_of_vector(form_, answer->elements.front());
    for (const std::string& element : answer->elements)
        if (llm::shape_of_vector(form_, element) != shape) return std::nullopt;
    if (!known_are(shape)) return std::nullopt;
    std::vector<std::size_t> bytes;
    for (const std::uint32_t item : asked)
        bytes.push_back(items_[item].bytes);
    asked_tokens_ = answer->tokens.value_or(0);
    const auto tokens = llm::share_tokens(asked_tokens_, bytes);
    std::vector<Fresh> fresh;
    AnswerFacts item_facts = facts;
    for (std::size_t i = 0; i < asked.size(); ++i) {
        item_facts.usage = {.prompt = tokens[i], .known = answer->tokens.has_value()};
        Item& item = items_[asked[i]];
        item.answer = Answer::make(item_facts,
                                   pack_item({answer->elements[i], answer->lasting_frame, shape}));
        fresh.push_back({item.key, item.answer});
    }
    frame_ = answer->frame;
    has_frame_ = true;
    return fresh;
}

std::string EmbeddingBatch::document() const {
    std::vector<std::string_view> elements;
    elements.reserve(items_.size());
    std::string_view frame = frame_;
    for (const Item& item : items_) {
        const Item& first = items_[item.same_as];
        SLUICE_ASSERT(first.answer != nullptr);
        const auto kept = unpack_item(first.answer->body());
        SLUICE_ASSERT(kept.has_value());
        elements.push_back(kept->element);
        if (!has_frame_ && elements.size() == 1) frame = kept->frame;
    }
    return llm::join_embeddings(form_, frame, elements, tokens());
}

std::string_view EmbeddingBatch::content_type() const {
    SLUICE_ASSERT(items_.front().answer != nullptr);
    return items_.front().answer->content_type();
}

std::optional<std::uint64_t> EmbeddingBatch::tokens() const {
    std::uint64_t sum = 0;
    for (const Item& item : items_) {
        const llm::Usage& usage = items_[item.same_as].answer->usage();
        if (!usage.known) return std::nullopt;
        sum += usage.prompt;
    }
    return sum;
}

}  // namespace sluice::cache
