#include "sluice/answer/break.h"

#include <iterator>

namespace sluice::answer {

const char* break_name(Break cause) {
    constexpr const char* names[] = {"connection", "framing",     "unfinished",
                                     "malformed",  "error_event", "silence"};
    static_assert(std::size(names) == breaks);
    return names[static_cast<std::size_t>(cause)];
}

}  // namespace sluice::answer
