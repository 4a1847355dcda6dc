// Whether a request comes from Codex, which waits for events, any events, and not for comments.
#pragma once

#include "sluice/proxy/exchange.h"

namespace sluice::proxy {

// Known by what its versions say of themselves, any of:
//
//     session-id and thread-id        since May 2026; either of them alone may be anybody's
//     session_id and thread_id,       before
//     session_id and conversation_id  2025
//     x-codex-...                     the turn, the window, the installation: since 2026
//     originator, user-agent          that begin with "codex": codex_cli_rs, codex_exec,
//                                     codex_vscode, codex_sdk_ts, codex-tui, codex-cli/0.125.0
//
// The name of a user agent decides nothing else: see facts.cc.
bool is_from_codex(const RequestState& request);

}  // namespace sluice::proxy
