// An answer as bytes, for a disk, and back.
//
// Pure. Numbers are little-endian; texts and the list of events have their length in front; the
// first byte is the format. Whether the bytes are those that were written is the disk's to know: it
// keeps a digest. What is read back is sound all the same, or there is none.
#pragma once

#include "sluice/cache/answer.h"

#include <memory>
#include <string>
#include <string_view>

namespace sluice::cache {

std::string pack_answer(const Answer& answer);

// Null where the bytes are not those of an answer. Shared as all answers are, see answer.h.
std::shared_ptr<const Answer> unpack_answer(std::string_view bytes);

}  // namespace sluice::cache
