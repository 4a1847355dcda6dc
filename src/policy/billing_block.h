// The line of accounts that Claude Code puts first in its instructions:
// `x-anthropic-billing-header: cc_version=2.1.36.a1b; cc_entrypoint=cli; cch=9f3e1;`, as a block of
// its own or, where something in between has joined the blocks, as the first line of a text.
//
// Internal to prefix_hasher.cc. Which versions of the client send it, and what it says then, is no
// part of a conversation: a prompt with it begins as the same one without.
#pragma once

#include <cstddef>
#include <string_view>

namespace sluice::policy {

// Its end is never looked for beyond that.
inline constexpr std::size_t billing_bytes_max = 512;

struct BillingBlock {
    std::size_t begin = 0;  // an empty one where there is none
    std::size_t end = 0;
    bool undecided = false;  // more of the head is needed
};

// In the first bytes of a prompt, as it stands in the request. `whole`: no more comes, or what is
// there is of the greatest size.
BillingBlock find_billing_block(std::string_view head, bool whole);

}  // namespace sluice::policy
