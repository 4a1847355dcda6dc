#include "sluice/upstream/endpoint.h"

#include <algorithm>
#include <iterator>

namespace sluice::upstream {

std::string_view kind_name(Kind kind) {
    constexpr std::string_view names[] = {"", "llama-server", "Ollama", "vLLM", "LM Studio"};
    SLUICE_ASSERT(static_cast<std::size_t>(kind) < std::size(names));
    return names[static_cast<std::size_t>(kind)];
}

void Whereabouts::move_to(const net::Address& address) {
    SLUICE_ASSERT(address.family() != AF_UNSPEC);  // a name that leads nowhere stays where it was
    auto known = std::ranges::find(places_, address);
    if (known == places_.end()) {
        if (places_.size() == places_max) return;
        places_.push_back(address);
        known = std::prev(places_.end());
    }
    now_.store(&*known, std::memory_order_release);
}

}  // namespace sluice::upstream
