#include "conflicts.h"

#include "cover.h"
#include "sluice/config/wildcard.h"
#include "text.h"
#include "values.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace sluice::config {
namespace {

void check_consumers(Reader& reader, const Settings& settings) {
    if (!settings.consumers.empty()) return;
    // Who writes it means to let somebody in, or nobody; what it would do is to let in everybody.
    if (const Node* const none = reader.find({"consumers"});
        none != nullptr && none->kind == Node::Kind::list && none->items.empty())
        reader.problem(none->at,
                       "consumers: an empty list would serve everybody: name at least one with its "
                       "key, or leave 'consumers' out where no keys are wanted");
    for (const auto& mention : reader.consumers_needed())
        reader.problem(mention.at, mention.path + ": " + mention.name +
                                       " needs consumers, and there are none: name them with their "
                                       "keys under 'consumers'");
}

// Of a wildcard: what stands before the first '*' and what behind the last one.
std::pair<std::string_view, std::string_view> ends_of(std::string_view pattern) {
    return {pattern.substr(0, pattern.find('*')), pattern.substr(pattern.rfind('*') + 1)};
}

// Whether some name fits both, and neither is a part of the other: whose the name is would be
// chance. Between their ends there is room for the middles of both.
bool cross(const std::string& a, const std::string& b) {
    const auto [a_begin, a_end] = ends_of(a);
    const auto [b_begin, b_end] = ends_of(b);
    const bool meet = (a_begin.starts_with(b_begin) || b_begin.starts_with(a_begin)) &&
                      (a_end.ends_with(b_end) || b_end.ends_with(a_end));
    return meet && !covers(b, a) && !covers(a, b);
}

void check_wildcards(Reader& reader, const Settings& settings) {
    std::vector<const std::string*> seen;
    for (const auto& model : settings.models) {
        if (!is_wildcard(model.name)) continue;
        for (const std::string* other : seen) {
            // "*" and "**" are one.
            const bool same = covers(*other, model.name) && covers(model.name, *other);
            if (same)
                reader.problem(reader.place_of_model(model.name),
                               "models." + shown(model.name) + ": it fits the same names as '" +
                                   shown(*other) + "': one of them will do");
            if (same) break;
            if (!cross(*other, model.name)) continue;
            reader.problem(reader.place_of_model(model.name),
                           "models." + shown(model.name) + ": a name may fit it and '" +
                               shown(*other) +
                               "' as well: make one a part of the other, or name the models");
            break;
        }
        seen.push_back(&model.name);
    }
}

// Those of flags: what the file says twice was told where it stands.
void check_listeners(Reader& reader, const Settings& settings) {
    std::set<std::string> seen;
    for (const auto& listener : settings.listen) {
        const bool in_file = reader.place_of_listener(listener.address).line > 0;
        const bool is_new =
            listener.address.ends_with(":0") || seen.insert(listener.address).second;
        if (!is_new && !in_file)
            reader.problem({}, "--listen: '" + shown(listener.address) + "' stands there twice");
    }
}

std::string in_mebibytes(std::uint64_t bytes) {
    return std::to_string(bytes / limits::MiB) + "MiB";
}

// Where a bound is said, and by which name: in the file, or by a flag, which stands nowhere.
struct Said {
    Place at;
    std::string name;
};

Said said(const Reader& reader, std::string_view section, std::string_view key,
          std::string_view flag, bool flagged) {
    if (flagged) return {{}, std::string(flag)};
    const Node* const node = reader.find({section, key});
    return {node == nullptr ? Place{} : node->at, std::string(section) + "." + std::string(key)};
}

// What can never be had is no limit. Those of flags have not been looked at yet.
void check_memory(Reader& reader, const Settings& settings, const Settings& of_file) {
    const bool buffers_flagged = settings.buffer_memory != of_file.buffer_memory;
    const Said at_buffers = said(reader, "limits", "buffers", "--buffers", buffers_flagged);
    constexpr std::size_t buffers_max = limits::buffers_max * limits::buffer_bytes;
    if (settings.buffer_memory > buffers_max)
        return reader.problem(at_buffers.at, at_buffers.name + ": a shard has " +
                                                 in_mebibytes(buffers_max) + " at most, not " +
                                                 in_mebibytes(settings.buffer_memory) +
                                                 ": have more shards instead");
    const std::uint64_t buffers = std::uint64_t{settings.buffer_memory} * settings.shards;
    const std::uint64_t memory = reader.checks().memory;
    const Node* const shards = reader.find({"shards"});
    const bool shards_said = shards != nullptr && settings.shards == of_file.shards;
    if (memory != 0 && buffers > memory)
        reader.problem(shards_said ? shards->at : at_buffers.at,
                       at_buffers.name + ": " + std::to_string(settings.shards) +
                           (settings.shards == 1 ? " shard" : " shards") + " with " +
                           in_mebibytes(settings.buffer_memory) +
                           " each are more than the memory of this machine, " +
                           in_mebibytes(memory));
    const std::uint64_t kept = limits::request_bytes_of(settings.buffer_memory);
    // Bodies for a route may pass without being kept.
    const bool chosen = settings.body_bytes_max != Settings{}.body_bytes_max;
    const bool body_flagged = settings.body_bytes_max != of_file.body_bytes_max;
    const Said at_body = said(reader, "limits", "body", "--body-max", body_flagged);
    if (chosen && settings.routes.empty() && settings.body_bytes_max > kept)
        reader.problem(at_body.at, at_body.name + ": no body of " +
                                       in_mebibytes(settings.body_bytes_max) +
                                       " could be kept: of " + at_buffers.name + ", " +
                                       in_mebibytes(settings.buffer_memory) + ", bodies may take " +
                                       in_mebibytes(kept));
}

// Of two bounds the narrower one is never reached.
void check_bounds(Reader& reader, const Settings& settings, const Settings& of_file) {
    const Settings standard;
    const auto& timeouts = settings.timeouts;
    const Said gap = said(reader, "timeouts", "body_gap", "--timeout-body",
                          timeouts.body_gap != of_file.timeouts.body_gap);
    const Said total = said(reader, "timeouts", "body_total", "--timeout-body-total",
                            timeouts.body_total != of_file.timeouts.body_total);
    const bool gap_chosen = timeouts.body_gap != standard.timeouts.body_gap;
    if (gap_chosen && timeouts.body_total.ns != 0 && timeouts.body_gap > timeouts.body_total)
        reader.problem(gap.at,
                       gap.name + ": it is longer than " + total.name + ", which comes first");
    const Said each =
        said(reader, "limits", "connections_per_client", "--connections-per-client",
             settings.connections_per_client_max != of_file.connections_per_client_max);
    const Said all = said(reader, "limits", "connections", "--connections-max",
                          settings.connections_max != of_file.connections_max);
    const bool each_chosen =
        settings.connections_per_client_max != standard.connections_per_client_max;
    if (each_chosen && settings.connections_per_client_max > settings.connections_max)
        reader.problem(each.at, each.name + ": " +
                                    std::to_string(settings.connections_per_client_max) +
                                    " are more than " + all.name + ", " +
                                    std::to_string(settings.connections_max));
}

// The same of an answer: what is longer than the whole of it may take comes too late. `section` is
// where they are said, `total` what holds there.
void check_answer_bounds(Reader& reader, const Node* section, const std::string& where,
                         Duration total) {
    if (section == nullptr || total.ns == 0) return;
    for (const char* const name : {"first_byte", "gap"}) {
        const Node* const each = section->find(name);
        if (each == nullptr || each->kind != Node::Kind::text) continue;
        const auto length = parse_duration(each->text);
        if (!length.ok() || length.value() <= total) continue;
        reader.problem(each->at, where + ".timeouts." + name + ": it is longer than 'total' (" +
                                     Time{}.show(total) + "), which comes first");
    }
}

void check_answers(Reader& reader, const Settings& settings) {
    const Node* const defaults = reader.find({"defaults", "timeouts"});
    check_answer_bounds(reader, defaults, "defaults", settings.model_timeouts.total);
    for (const auto& model : settings.models)
        check_answer_bounds(reader, reader.find({"models", model.name, "timeouts"}),
                            "models." + shown(model.name), model.timeouts.total);
}

// One that a flag names is found out when it is opened.
void check_log(Reader& reader, const Settings& settings, const Settings& of_file) {
    const Node* const target = reader.find({"log", "access"});
    if (target == nullptr || settings.access_log != of_file.access_log) return;
    if (!reader.checks().log) return;
    if (const Status open = reader.checks().log(settings.access_log); !open)
        reader.problem(target->at, "log.access: " + open.error().message);
}

// What is used where nothing is found is used where something is looked for.
void check_fallback_backend(Reader& reader, const Settings& of_file) {
    const Node* const backend = reader.find({"fallback_backend"});
    if (backend == nullptr) return;
    const char* const other = reader.find({"backends"}) != nullptr ? "'backends'"
                              : reader.find({"models"}) != nullptr ? "'models'"
                              : !of_file.discover                  ? "'discover: false'"
                                                                   : nullptr;
    if (other != nullptr)
        reader.problem(backend->at,
                       "fallback_backend: it is used where servers are looked for "
                       "and none is found, and beside " +
                           std::string(other) +
                           " none are looked for: name it under 'backends', or as "
                           "a model's 'fallback'");
}

bool have_keys(const Settings& settings) {
    if (!settings.consumers.empty()) return true;
    const auto has_key = [](const BackendSetting& backend) { return !backend.key.empty(); };
    const auto any = [&](const auto& pools) {
        return std::ranges::any_of(
            pools, [&](const auto& pool) { return std::ranges::any_of(pool.backends, has_key); });
    };
    return any(settings.models) || any(settings.routes) ||
           std::ranges::any_of(settings.backends, has_key);
}

// Names under which nobody has a page on the web (RFC 6761, RFC 6762, RFC 8375 and custom).
bool is_of_no_web(std::string_view label) {
    constexpr std::string_view names[] = {"localhost", "local",    "lan",     "home",
                                          "internal",  "intranet", "private", "corp",
                                          "test",      "arpa",     "invalid"};
    return std::ranges::find(names, label) != std::ranges::end(names);
}

// "com", "co.uk": where anybody may have a name below it, as far as that can be seen.
bool is_open_to_all(std::string_view domain) {
    const std::size_t dot = domain.rfind('.');
    const std::string_view top = dot == domain.npos ? domain : domain.substr(dot + 1);
    if (is_of_no_web(top)) return false;
    if (dot == domain.npos) return true;
    constexpr std::string_view seconds[] = {"ac", "co",  "com", "edu", "gov",
                                            "ne", "net", "or",  "org"};
    const std::string_view second = domain.substr(0, dot);
    constexpr std::size_t country = 2;
    return top.size() == country && std::ranges::find(seconds, second) != std::ranges::end(seconds);
}

// Whether pages of strangers may have an origin that fits: "*", "https://*", "*://*:*", "*.*",
// "https://*.com", "https://app.*", "https://*app.example".
bool means_strangers(std::string_view pattern) {
    const std::size_t colon = pattern.find("://");
    const std::string_view scheme = pattern.substr(0, colon == pattern.npos ? 0 : colon);
    const std::string_view host = colon == pattern.npos ? pattern : pattern.substr(colon + 3);
    const bool of_the_web =
        scheme.empty() || scheme.find('*') != scheme.npos || scheme == "http" || scheme == "https";
    const std::size_t port = host.find(':');
    const std::string_view name = host.substr(0, port);
    const std::size_t star = name.rfind('*');
    if (!of_the_web || star == name.npos) return false;
    // What stands behind it in its own label is a part of a name that anybody may have.
    const std::size_t dot = name.find('.', star);
    return dot == name.npos || is_open_to_all(name.substr(dot + 1));
}

void check_origins(Reader& reader, const Settings& settings) {
    if (!have_keys(settings)) return;
    const auto told = [](const std::string& where, const std::string& pattern) {
        return where + ": \"" + pattern +
               "\" would let pages of strangers use the keys that are set here: list the origins, "
               "or set any_origin_with_keys if you mean it";
    };
    for (const auto& listener : settings.listen) {
        const auto any = std::ranges::find_if(listener.origins, means_strangers);
        if (!listener.any_origin_with_keys && any != listener.origins.end())
            reader.problem(reader.place_of_listener(listener.address),
                           told("the cors.origins of " + shown(listener.address), *any));
    }
    const auto any = std::ranges::find_if(settings.allowed_origins, means_strangers);
    if (any != settings.allowed_origins.end()) reader.problem({}, told("--allow-origin", *any));
}

// What a server is asked at without one: "http://host:80" is "http://host".
void drop_default_port(std::string& url) {
    const std::string port = url.starts_with("https://") ? ":443" : ":80";
    const std::size_t scheme = url.find("://");
    if (scheme == url.npos) return;
    const std::size_t host = scheme + 3;
    const std::size_t end = std::min(url.find('/', host), url.size());
    if (end - host > port.size() && url.compare(end - port.size(), port.size(), port) == 0)
        url.erase(end - port.size(), port.size());
}

}  // namespace

std::string url_key(std::string_view url) {
    while (url.ends_with('/'))
        url.remove_suffix(1);
    if (url.ends_with("/v1")) url.remove_suffix(3);
    while (url.ends_with('/'))
        url.remove_suffix(1);
    if (url.starts_with("unix:")) return std::string(url);
    std::string key(url);
    for (char& c : key)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    drop_default_port(key);
    constexpr std::string_view name = "://localhost";
    if (const auto at = key.find(name); at != key.npos) {
        const std::size_t behind = at + name.size();
        if (behind == key.size() || key[behind] == ':' || key[behind] == '/')
            key.replace(at, name.size(), "://127.0.0.1");
    }
    return key;
}

std::optional<Twice> find_twice(const std::vector<BackendSetting>& backends) {
    std::map<std::pair<std::string, std::string>, std::size_t> seen;
    for (std::size_t i = 0; i < backends.size(); ++i) {
        if (backends[i].url.empty()) continue;  // it was told of
        const auto [first, is_new] =
            seen.try_emplace({url_key(backends[i].url), backends[i].model}, i);
        if (!is_new) return Twice{first->second, i};
    }
    return std::nullopt;
}

void check_twice(Reader& reader, const Node& items, const std::vector<BackendSetting>& backends) {
    if (items.kind != Node::Kind::list || items.items.size() != backends.size()) return;
    const auto twice = find_twice(backends);
    if (!twice) return;
    const Reader::Step step(reader, "backends[" + std::to_string(twice->second) + "]");
    reader.problem(items.items[twice->second]->at,
                   "the same backend stands in line " +
                       std::to_string(items.items[twice->first]->at.line) +
                       ": give that one a 'weight' or 'slots' instead");
}

void check_conflicts(Reader& reader, const Settings& settings, const Settings& of_file) {
    check_consumers(reader, settings);
    check_wildcards(reader, settings);
    check_listeners(reader, settings);
    check_memory(reader, settings, of_file);
    check_origins(reader, settings);
    check_bounds(reader, settings, of_file);
    check_answers(reader, settings);
    check_fallback_backend(reader, of_file);
    check_log(reader, settings, of_file);
}

}  // namespace sluice::config
