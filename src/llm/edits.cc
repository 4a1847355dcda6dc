#include "sluice/llm/edits.h"

#include "error_parts.h"
#include "sluice/base/assert.h"
#include "sluice/llm/errors.h"

#include <algorithm>
#include <utility>

namespace sluice::llm {

namespace {

constexpr std::string_view usage_options = R"({"include_usage":true})";
constexpr std::string_view usage_field = R"("include_usage":true)";

Edit replace(Span span, std::string text) {
    return {span.begin, span.end - span.begin, std::move(text)};
}

// A field put in front of what an object holds.
Edit put_in_front(std::size_t behind_brace, std::string field, bool object_is_empty) {
    if (!object_is_empty) field += ',';
    return {behind_brace, 0, std::move(field)};
}

Edit ask_for_usage(const RequestFacts& facts) {
    if (facts.stream_options.empty()) {
        constexpr std::string_view key = "\"stream_options\":";
        std::string field;
        field.reserve(key.size() + usage_options.size() + 1);  // and a comma
        field.append(key).append(usage_options);
        return put_in_front(facts.object_open.end, std::move(field), facts.object_is_empty);
    }
    if (facts.stream_options_is_null) {
        return replace(facts.stream_options, std::string(usage_options));
    }
    SLUICE_ASSERT(facts.stream_options_is_object);
    if (!facts.include_usage_value.empty()) return replace(facts.include_usage_value, "true");
    return put_in_front(facts.stream_options.begin + 1, std::string(usage_field),
                        facts.stream_options_is_empty);
}

Edit rename_model(BodyKind kind, const RequestFacts& facts, std::string_view model) {
    if (kind == BodyKind::json) return replace(facts.model_value, quoted(model));
    // A line end would end the part; names with one never get past the configuration.
    SLUICE_ASSERT(model.find_first_of("\r\n") == std::string_view::npos);
    return replace(facts.model_value, std::string(model));
}

// `more_follows`: another field is put in front behind this one.
Edit put_in_model(const RequestFacts& facts, std::string_view model, bool more_follows) {
    if (!facts.model_null.empty()) return replace(facts.model_null, quoted(model));
    return put_in_front(facts.object_open.end, "\"model\":" + quoted(model),
                        facts.object_is_empty && !more_follows);
}

}  // namespace

std::size_t EditList::edited_size(std::size_t bytes) const {
    for (const Edit& edit : edits()) {
        SLUICE_ASSERT(edit.removed <= bytes);
        bytes = bytes - edit.removed + edit.inserted.size();
    }
    return bytes;
}

void EditList::add(Edit edit) {
    SLUICE_ASSERT(count_ < edits_.size());
    std::size_t at = count_++;
    for (; at > 0 && edit.offset < edits_[at - 1].offset; --at)
        edits_[at] = std::move(edits_[at - 1]);
    edits_[at] = std::move(edit);
    for (std::size_t i = 1; i < count_; ++i)
        SLUICE_ASSERT(edits_[i - 1].offset + edits_[i - 1].removed <= edits_[i].offset);
}

EditList plan_edits(BodyKind kind, const RequestFacts& facts, const EditPlan& plan) {
    EditList list;
    const bool is_json = kind == BodyKind::json && !facts.object_open.empty();
    const bool asks =
        plan.include_usage && is_json && !asks_for_usage(facts) && can_ask_for_usage(facts);
    if (!plan.model.empty() && plan.model != facts.model) {
        if (!facts.model_value.empty())
            list.add(rename_model(kind, facts, plan.model));
        else if (is_json)
            list.add(put_in_model(facts, plan.model, asks && facts.stream_options.empty()));
    }
    if (asks) list.add(ask_for_usage(facts));
    return list;
}

bool asks_for_usage(const RequestFacts& facts) {
    return facts.include_usage.value_or(false);
}

bool can_ask_for_usage(const RequestFacts& facts) {
    return facts.stream_options.empty() || facts.stream_options_is_null ||
           facts.stream_options_is_object;
}

std::string apply_edits(std::string_view body, std::span<const Edit> edits) {
    std::string out;
    out.reserve(body.size());
    std::size_t at = 0;
    for (const Edit& edit : edits) {
        SLUICE_ASSERT(edit.offset >= at && edit.offset + edit.removed <= body.size());
        out += body.substr(at, edit.offset - at);
        out += edit.inserted;
        at = edit.offset + edit.removed;
    }
    out += body.substr(at);
    return out;
}

}  // namespace sluice::llm
