// HeadReader: reads a head out of slices as they come, in place where the first slice holds it
// whole.
//
// A head that is spread over slices is gathered into one text, as far as a head may go. The slices
// stay in the chain until consume(), so that bytes behind the head are where they were.
#pragma once

#include "sluice/http/parser.h"
#include "sluice/mem/chain.h"

#include <string>

namespace sluice::http {

class HeadReader {
public:
    // `received` begins with the message. On `complete` the head's views are valid until consume().
    Progress read(const mem::Chain& received, Parser& parser, Head& head,
                  bool to_head_request = false) {
        if (received.empty()) return Progress::incomplete;
        if (gathered_.empty()) {
            const auto progress = look(received.front().text(), parser, head, to_head_request);
            if (progress != Progress::incomplete) return progress;
        }
        gather(received);
        return look(gathered_, parser, head, to_head_request);
    }

    // Drops the complete head from the chain; its views end here.
    void consume(mem::Chain& received, const Head& head) {
        received.consume(head.bytes);
        reset();
    }

    void reset() {
        std::string().swap(gathered_);  // gives the memory back, as an assignment would not
        seen_ = 0;
    }

private:
    Progress look(std::string_view text, Parser& parser, Head& head, bool to_head_request) {
        if (!Parser::head_worth_parsing(text, seen_)) {
            seen_ = text.size();
            return Progress::incomplete;
        }
        seen_ = text.size();
        return parser.parse_head(text, head, to_head_request);
    }

    void gather(const mem::Chain& received) {
        std::size_t skip = gathered_.size();
        received.for_each([&](const mem::Slice& slice) {
            const auto text = slice.text();
            if (skip >= text.size()) {
                skip -= text.size();
            } else {
                gathered_.append(text.substr(skip));
                skip = 0;
            }
            return gathered_.size() < limits::head_bytes_max;
        });
    }

    std::string gathered_;
    std::size_t seen_ = 0;  // bytes that were looked at before
};

}  // namespace sluice::http
