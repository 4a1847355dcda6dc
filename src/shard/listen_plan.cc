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

Status check_address(const config::Settings& settings, const std::string& text,
                     const net::Address& address) {
    if (address.is_loopback() || !settings.consumers.empty() || settings.insecure_listen)
        return Done{};
    return Error::gateway(
        "--listen " + text +
        ": this address can be reached from other machines, and there are no API keys to keep them "
        "out. Listen on 127.0.0.1, name consumers with keys in the file of settings, or add "
        "--insecure-listen if you mean it.");
}

}  // namespace

Result<std::vector<net::Address>> plan_listeners(const config::Settings& settings) {
    std::vector<net::Address> addresses;
    for (const auto& listener : settings.listen) {
        const std::string& text = listener.address;
        auto address = net::Address::parse(text);
        if (!address) return Error::gateway("--listen: " + address.error().message);
        if (const Status fit = check_address(settings, text, *address); !fit) return fit.error();
        for (std::size_t i = 0; i < addresses.size(); ++i)
            if (collide(*address, addresses[i]))
                return Error::gateway("--listen " + text + ": it is one with '" +
                                      settings.listen[i].address +
                                      "', where the gateway listens already: name it once");
        addresses.push_back(*address);
    }
    return addresses;
}

}  // namespace sluice::shard
