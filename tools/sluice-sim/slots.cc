#include "slots.h"

#include "append.h"
#include "sluice/base/assert.h"

#include <algorithm>

namespace sluice::model_sim {

void Slots::make(Claim& claim) {
    SLUICE_ASSERT(!claim.waiting() && !claim.working());
    claim.task = tasks_++;
    if (one_free()) return grant(claim);
    waiting_.push_back(claim);
    waiting_most_ = std::max(waiting_most_, ++waiting_count_);
}

void Slots::grant(Claim& claim) {
    auto place = table_.end();
    if (bound_ != 0) {
        place = std::find(table_.begin(), table_.end(), nullptr);
    } else if (!freed_.empty()) {
        place = table_.begin() + freed_.back();
        freed_.pop_back();
    } else {
        place = table_.insert(table_.end(), nullptr);
    }
    SLUICE_ASSERT(place != table_.end() && *place == nullptr);
    *place = &claim;
    claim.slot = static_cast<int>(place - table_.begin());
    working_most_ = std::max(working_most_, ++working_);
}

void Slots::end(Claim& claim) {
    if (claim.waiting()) {
        claim.hook.unlink();
        --waiting_count_;
        return;
    }
    if (!claim.working()) return;
    SLUICE_ASSERT(table_[static_cast<std::size_t>(claim.slot)] == &claim);
    table_[static_cast<std::size_t>(claim.slot)] = nullptr;
    if (bound_ == 0) freed_.push_back(claim.slot);
    claim.slot = -1;
    --working_;
    if (waiting_.empty()) return;
    Claim& next = waiting_.pop_front();
    --waiting_count_;
    grant(next);
    loop_.make_ready(next.owner);
}

std::string Slots::listing() const {
    std::string out = "[";
    for (std::size_t id = 0; id < table_.size(); ++id) {
        const Claim* claim = table_[id];
        append(out, id == 0 ? "" : ",", R"({"id":)", id, R"(,"n_ctx":4096,"speculative":false,)",
               R"("is_processing":)", claim != nullptr ? "true" : "false");
        if (claim != nullptr) {
            append(
                out, R"(,"id_task":)", claim->task, R"(,"n_prompt_tokens":)", claim->prompt_tokens,
                R"(,"n_prompt_tokens_processed":)", claim->prompt_tokens,
                R"(,"n_prompt_tokens_cache":0,"params":{},"next_token":[{"has_next_token":true,)",
                R"("has_new_line":false,"n_remain":)", claim->tokens - claim->tokens_made,
                R"(,"n_decoded":)", claim->tokens_made, "}]");
        }
        out += '}';
    }
    return out + "]";
}

}  // namespace sluice::model_sim
