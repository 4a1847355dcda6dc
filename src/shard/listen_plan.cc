#include "sluice/shard/listen_plan.h"

#include "sluice/net/listening.h"

#include <string>

namespace sluice::shard {
namespace {

// Whether a socket on one is in the way of one on the other. Port 0 is a port of its own.
bool collide(const net::Address& a, const net::Address& b) {
    if (a.family() != b.family() || (!a.is_unix() && a.port() == 0)) return false;
    return net::leads_to(a, b) || net::leads_to(b, a);
}

std::string trouble_of(const config::Settings& settings, const net::Address& address,
                       const std::vector<net::Address>& before) {
    if (!address.is_loopback() && settings.consumers.empty() && !settings.insecure_listen)
        return "this address can be reached from other machines, and there are no API keys to keep "
               "them out. Listen on 127.0.0.1, name consumers with keys in the file of settings, "
               "or add --insecure-listen if you mean it.";
    for (std::size_t i = 0; i < before.size(); ++i)
        if (collide(address, before[i]))
            return "it is one with '" + settings.listen[i].address +
                   "', where the gateway listens already: name it once";
    return {};
}

}  // namespace

ListenPlan plan_listeners(const config::Settings& settings) {
    ListenPlan plan;
    for (const auto& listener : settings.listen) {
        auto address = net::Address::parse(listener.address);
        plan.trouble =
            address.ok() ? trouble_of(settings, *address, plan.addresses) : address.error().message;
        if (!plan.trouble.empty()) return plan;
        plan.addresses.push_back(*address);
    }
    return plan;
}

}  // namespace sluice::shard
