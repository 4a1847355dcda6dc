// Doors: what each listener lets in, beside what all of them do: its Hosts, and whose pages.
#pragma once

#include "sluice/config/settings.h"
#include "sluice/config/wildcard.h"
#include "sluice/http/head.h"
#include "sluice/http/writer.h"
#include "sluice/proxy/host_list.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::proxy {

class Door {
public:
    Door(const config::ListenSetting& setting, const std::vector<std::string>& allowed_origins);

    // Nobody but this machine's programs comes through a Unix socket, by whatever name.
    bool takes_any_host() const { return any_host_; }
    // Whether the settings list the origin (RFC 6454), or a pattern that it fits.
    bool lists_origin(std::string_view origin) const;

private:
    bool any_host_;
    config::WildcardTable origins_;
};

class Doors {
public:
    explicit Doors(const config::Settings& settings);

    // By the number of the listener in the settings.
    const Door& at(std::size_t listener) const {
        SLUICE_ASSERT(listener < doors_.size());
        return doors_[listener];
    }
    // Whether pages of that origin may use the gateway through this door.
    bool allow_origin(const Door& door, const http::Head& head) const;
    bool allow_host(const Door& door, std::string_view host) const {
        return door.takes_any_host() || hosts_.allows_host(host);
    }

private:
    HostList hosts_;
    std::vector<Door> doors_;
};

// --- what a browser is told (Fetch standard, section "HTTP extensions": CORS protocol) ----------

// A preflight: it asks whether a request may be sent, and sends nothing of it.
bool is_preflight(const http::Head& head);
// The fields that answer one, each with its CRLF.
std::string preflight_fields(const http::Head& head);
// Those that open an answer to pages of `origin`.
void open_to(std::string_view origin, http::HeadWriter& writer);

}  // namespace sluice::proxy
