// usage: sees to it that a streamed answer reports its tokens.
//
// OpenAI's streams report usage only on demand. Where the client does not ask, the gateway does and
// takes the extra event out again. llama-server always sends `timings`, so its requests stay as
// they are.
#include "sluice/proxy/pipeline.h"

namespace sluice::proxy {

Verdict usage_on_body(Exchange& exchange, Reply&) {
    const auto& facts = exchange.request->facts;
    SLUICE_ASSERT(!exchange.streamed || exchange.endpoint != nullptr);
    exchange.usage_asked = exchange.streamed && exchange.endpoint->usage_injectable &&
                           exchange.request->multipart == nullptr && !llm::asks_for_usage(facts) &&
                           llm::can_ask_for_usage(facts);
    return Verdict::next;
}

}  // namespace sluice::proxy
