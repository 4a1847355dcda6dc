#include "setup.h"

#include "process_usage.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace sluice::bench {
namespace {

std::string stalled_text(const Options& options, const std::vector<RequestKind>& kinds,
                         const Addressee& to) {
    const auto request = make_requests({stalled_kind(kinds, options.stalled_tokens)}, to).front();
    const std::string flood = fmt::format("{}: 1", Origin::flood_field);
    return request.text_with(options.origin.empty() ? "" : flood);
}

Result<std::vector<RequestKind>> kinds_of(const Options& options) {
    if (options.scenario_file.empty()) return std::vector<RequestKind>{options.kind};
    const auto text = read_file(options.scenario_file);
    if (!text) return Error::client(400, "--scenario: " + text.error().message);
    auto kinds = parse_scenario(text.value());
    if (!kinds)
        return Error::client(
            400, fmt::format("--scenario: {}: {}", options.scenario_file, kinds.error().message));
    return kinds;
}

// The load for one target.
Result<Load> load_for(const Options& options, const TargetOption& target,
                      const std::vector<RequestKind>& kinds) {
    auto url = net::parse_url(target.url);
    if (!url) return Error::client(400, fmt::format("{}: {}", target.url, url.error().message));
    if (!url->name.empty()) {
        auto found = net::look_up(url->name, url->port);
        if (!found)
            return Error::client(400, fmt::format("{}: {}", target.url, found.error().message));
        url->address = *found;
    }
    if (!url->address.is_loopback() && !options.allow_remote)
        return Error::client(400, fmt::format("{} is not on this machine: --allow-remote if you "
                                              "may load it",
                                              target.url));
    if (target.pid != 0 && !usage_of(target.pid))
        return Error::client(
            400, fmt::format("pid {}: there is no such process, or it may not be looked at",
                             target.pid));
    Addressee to{.host = url->host,
                 .path_prefix = url->path,
                 .fields = options.fields,
                 .keep_alive = options.load.keep_alive};
    if (!options.api_key.empty()) to.fields.push_back("Authorization: Bearer " + options.api_key);
    Load load = options.load;
    load.address = url->address;
    load.requests = make_requests(kinds, to);
    for (auto& request : load.requests)
        request.expectation.stamped = request.expectation.stream && !options.origin.empty();
    load.stalled.count = target.stalled.value_or(load.stalled.count);
    load.stalled.text = stalled_text(options, kinds, to);
    return load;
}

// Whether a report can be written there is better known before minutes of measuring than after.
Status check_writable(const char* flag, const std::string& path) {
    if (path.empty()) return Done{};
    constexpr int flags = O_WRONLY | O_CLOEXEC | O_NONBLOCK;
    int fd = ::open(path.c_str(), flags);
    if (fd < 0 && errno == ENXIO) return Done{};  // a pipe whose reader is not there yet
    if (fd < 0 && errno == ENOENT) {
        fd = ::open(path.c_str(), flags | O_CREAT | O_EXCL, 0666);
        if (fd >= 0) ::unlink(path.c_str());
    }
    if (fd < 0)
        return Error::client(
            400, fmt::format("{}: {} cannot be written: {}", flag, path, std::strerror(errno)));
    ::close(fd);
    return Done{};
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
    if (file == nullptr)
        return Error::client(400, fmt::format("{} cannot be read: {}", path, std::strerror(errno)));
    std::string text;
    char part[4096];
    while (const auto n = std::fread(part, 1, sizeof(part), file.get()))
        text.append(part, n);
    if (std::ferror(file.get()) != 0)
        return Error::client(400, fmt::format("{} cannot be read: {}", path, std::strerror(errno)));
    return text;
}

Result<Setup> set_up(const Options& options) {
    for (const auto& [flag, path] :
         {std::pair("--json", &options.json_file), std::pair("--html", &options.html_file)})
        if (auto writable = check_writable(flag, *path); !writable) return writable.error();
    auto kinds = kinds_of(options);
    if (!kinds) return kinds.error();
    for (auto& kind : kinds.value())
        kind.usage = options.usage;
    Setup setup{.kinds = std::move(kinds).value(), .loads = {}};
    for (const auto& target : options.targets) {
        auto load = load_for(options, target, setup.kinds);
        if (!load) return load.error();
        setup.loads.push_back(std::move(load).value());
    }
    return setup;
}

}  // namespace sluice::bench
