#include "sluice/proxy/doors.h"

#include "sluice/http/value.h"

#include <algorithm>

namespace sluice::proxy {
namespace {

// Of the gateway itself, as the page was opened: whatever door serves it, one that ends TLS in
// front of it included. The Host has been looked at.
bool is_own_origin(std::string_view origin, std::string_view host) {
    for (const std::string_view scheme : {"http://", "https://"})
        if (origin.starts_with(scheme) && !host.empty())
            return http::same_name(origin.substr(scheme.size()), host);
    return false;
}

}  // namespace

Door::Door(const config::ListenSetting& setting, const std::vector<std::string>& allowed_origins)
    : any_host_(setting.address.starts_with("unix:")) {
    for (const auto* list : {&setting.origins, &allowed_origins})
        for (const auto& origin : *list)
            (void)origins_.add(http::lower_case(origin), 0);  // one that is there already is there
}

bool Door::lists_origin(std::string_view origin) const {
    return origins_.size() > 0 &&
           origins_.find(http::lower_case(origin)) != config::WildcardTable::none;
}

Doors::Doors(const config::Settings& settings) : hosts_(settings.allowed_hosts) {
    for (const auto& listener : settings.listen)
        doors_.emplace_back(listener, settings.allowed_origins);
}

bool Doors::allow_origin(const Door& door, const http::Head& head) const {
    const std::string_view origin = head.find(http::FieldId::origin);
    return is_own_origin(origin, head.host) || hosts_.allows_origin(origin) ||
           door.lists_origin(origin);
}

bool is_preflight(const http::Head& head) {
    return head.method == http::Method::options && head.has(http::FieldId::origin) &&
           !head.find("access-control-request-method").empty();
}

std::string preflight_fields(const http::Head& head) {
    SLUICE_ASSERT(head.method == http::Method::options);
    std::string fields =
        "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
        "Access-Control-Max-Age: 600\r\n"
        "Vary: Access-Control-Request-Method, Access-Control-Request-Headers\r\n";
    // Named, because '*' would leave Authorization out.
    if (const auto asked = head.find("access-control-request-headers"); !asked.empty())
        fields.append("Access-Control-Allow-Headers: ").append(asked).append("\r\n");
    // Chrome before its permission for local networks (142), and what is built on it.
    if (http::same_name(head.find("access-control-request-private-network"), "true"))
        fields += "Access-Control-Allow-Private-Network: true\r\n";
    return fields;
}

void open_to(std::string_view origin, http::HeadWriter& writer) {
    SLUICE_ASSERT(!origin.empty());
    writer.field("Access-Control-Allow-Origin", origin);
    // The names for those to whom '*' is one of them.
    writer.field("Access-Control-Expose-Headers",
                 "x-request-id, request-id, x-should-retry, retry-after, retry-after-ms, "
                 "x-sluice-backend, x-sluice-retries, x-sluice-queue-position, *");
    writer.field("Vary", "Origin");
}

}  // namespace sluice::proxy
