#include "sluice/answer/end.h"

namespace sluice::answer {

const char* end_name(End end) {
    switch (end) {
        case End::ok:
            return "ok";
        case End::refused:
            return "refused";
        case End::unavailable:
            return "unavailable";
        case End::client_gone:
            return "client_gone";
        case End::backend_error:
            return "backend_error";
        case End::timeout:
            return "timeout";
        case End::drained:
            return "drained";
    }
    return "";
}

}  // namespace sluice::answer
