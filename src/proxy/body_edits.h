// Applies planned edits to a body that lies in slices; only inserted text is copied.
#pragma once

#include "sluice/llm/edits.h"
#include "sluice/mem/chain.h"

namespace sluice::proxy {

// Appends the edited body to `message`, sharing its slices. False: no buffer for an insertion.
[[nodiscard]] inline bool append_edited(mem::Chain& message, const mem::Chain& body,
                                        const llm::EditList& edits, mem::BufferPool& buffers) {
    mem::Chain rest = body.share();
    std::size_t at = 0;
    for (const auto& edit : edits.edits()) {
        SLUICE_ASSERT(edit.offset >= at);
        message.append(rest.split_front(edit.offset - at));
        rest.consume(edit.removed);
        at = edit.offset + edit.removed;
        if (!message.append_copy(buffers, edit.inserted)) return false;
    }
    message.append(std::move(rest));
    return true;
}

}  // namespace sluice::proxy
