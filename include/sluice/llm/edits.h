// Edits: what to change in a request body on its way to the backend, byte by byte.
//
// Pure. The body itself is never parsed and printed anew: an edit says which bytes go and which
// text comes in their place, and every other byte stays the client's. Offsets count from the first
// byte of the body as the client sent it; edits are sorted by offset and never overlap.
#pragma once

#include "sluice/llm/body_reader.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::llm {

struct Edit {
    std::size_t offset = 0;   // where
    std::size_t removed = 0;  // bytes that go, from there
    std::string inserted;     // bytes that come instead
};

// At most three: for the model's name, for the usage, and for the items of a batch.
class EditList {
public:
    std::span<const Edit> edits() const { return {edits_.data(), count_}; }
    bool empty() const { return count_ == 0; }
    // The length of a body of `bytes` after the edits.
    std::size_t edited_size(std::size_t bytes) const;

    // Keeps the order; an edit that overlaps another is a bug.
    void add(Edit edit);

private:
    std::array<Edit, 3> edits_;
    std::size_t count_ = 0;
};

enum class BodyKind : std::uint8_t { json, multipart };

struct EditPlan {
    // The name the backend knows the model by; empty, or the name that stands there: no edit. A
    // JSON body that names none, or null, gets it: servers of several models refuse it otherwise.
    std::string_view model = {};
    // See to it that "stream_options" asks for usage (JSON bodies of an endpoint where
    // `usage_injectable`, and only when the request streams).
    bool include_usage = false;
};

// Facts of no body (of a request that has none, or whose body is opaque) lead to no edits, and a
// form without a model stays so.
EditList plan_edits(BodyKind kind, const RequestFacts& facts, const EditPlan& plan);

// Whether the request itself asks for usage, so that the extra event is the client's.
bool asks_for_usage(const RequestFacts& facts);
// Whether plan_edits() can make it ask: not when "stream_options" is neither an object nor null,
// which is left for the backend to refuse.
bool can_ask_for_usage(const RequestFacts& facts);

// The edited body in one piece, for small bodies and tests.
std::string apply_edits(std::string_view body, std::span<const Edit> edits);

}  // namespace sluice::llm
