#include "words.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

namespace sluice::app {
namespace {

using config::OtherWord;

constexpr std::string_view commands[] = {"serve", "check", "discover"};

constexpr std::string_view listen = "write --listen 127.0.0.1:PORT";
constexpr std::string_view config_file = "write --config FILE";
constexpr std::string_view backend = "write --backend URL, or --model NAME=URL";
constexpr std::string_view access_log = "write --access-log stderr, off or a file";
constexpr std::string_view keys =
    "keys stand in a file of settings: those of clients under 'consumers', a server's as 'key'";
constexpr std::string_view tls =
    "it speaks plain HTTP: put a server that speaks TLS in front of it";
constexpr std::string_view shards = "write --shards N";
constexpr std::string_view origin = "write --allow-origin ORIGIN";
constexpr std::string_view discovery =
    "leave it away: servers are looked for wherever none is named";
constexpr std::string_view help = "write --help";
constexpr std::string_view version = "write --version";
constexpr std::string_view serve = "write 'sluice serve', or 'sluice' alone";
constexpr std::string_view check = "write 'sluice check FILE'";
constexpr std::string_view discover = "write 'sluice discover'";
constexpr std::string_view file_alone = "write the file alone: sluice check FILE";

constexpr OtherWord others_of_serve[] = {
    {"-c", config_file},
    {"-f", config_file},
    {"--config-file", config_file},
    {"--settings", config_file},
    {"--file", config_file},
    {"-p", listen},
    {"--port", listen},
    {"-l", listen},
    {"--bind", listen},
    {"--address", listen},
    {"--addr", listen},
    {"--host", "write --listen HOST:PORT, or --allow-host NAME for a name that clients use"},
    {"-b", backend},
    {"--url", backend},
    {"--upstream", backend},
    {"--server", backend},
    {"-m", "write --model NAME=URL"},
    {"--api-key", keys},
    {"--key", keys},
    {"-k", keys},
    {"--token", keys},
    {"--discover", discovery},
    {"--discovery", discovery},
    {"--auto", discovery},
    {"-v", access_log},
    {"--verbose", access_log},
    {"-q", access_log},
    {"--quiet", access_log},
    {"--debug", access_log},
    {"--log", access_log},
    {"--log-file", access_log},
    {"--log-level", access_log},
    {"-V", version},
    {"--threads", shards},
    {"--workers", shards},
    {"-j", shards},
    {"-t", shards},
    {"--timeout", "write --timeout-first-byte, --timeout-gap or another one that --help lists"},
    {"--cors", origin},
    {"--origin", origin},
    {"--allowed-origins", origin},
    {"--tls", tls},
    {"--ssl", tls},
    {"--cert", tls},
    {"help", help},
    {"version", version},
    {"start", serve},
    {"run", serve},
    {"up", serve},
    {"validate", check},
    {"verify", check},
    {"lint", check},
    {"test", check},
    {"config", check},
    {"list", discover},
    {"ls", discover},
    {"ps", discover},
    {"scan", discover},
    {"find", discover},
    {"models", discover},
};

constexpr OtherWord others_of_check[] = {
    {"-c", file_alone},
    {"-f", file_alone},
    {"--config", file_alone},
    {"--file", file_alone},
};

bool is_number(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

// A pipe is one, too: `sluice <(...)`.
bool is_file(const std::string& path) {
    std::error_code ignored;
    const auto kind = std::filesystem::status(path, ignored).type();
    return kind == std::filesystem::file_type::regular || kind == std::filesystem::file_type::fifo;
}

bool is_url(std::string_view text) {
    return text.starts_with("http://") || text.starts_with("https://") || text.starts_with("unix:");
}

// What stands there without the name of its flag; empty: it does not look like anything.
std::string explain_value(const std::string& word) {
    if (is_file(word))
        return "'" + word + "' is a file: name a file of settings with --config " + word +
               ", or have it checked with 'sluice check " + word + "'.";
    if (is_url(word))
        return "'" + word + "' is a URL: write --backend " + word +
               " to serve what that server lists.";
    const std::size_t equals = word.find('=');
    if (equals != word.npos && is_url(std::string_view(word).substr(equals + 1)))
        return "'" + word + "' is a model and its server: write --model " + word + ".";
    const std::size_t colon = word.rfind(':');
    if (!is_number(std::string_view(word).substr(colon == word.npos ? 0 : colon + 1))) return {};
    const std::string host = colon == word.npos || colon == 0 ? "127.0.0.1" : word.substr(0, colon);
    return "'" + word + "' is where to listen: write --listen " + host + ":" +
           word.substr(colon == word.npos ? 0 : colon + 1) + ".";
}

}  // namespace

const WordsOf words_of_program{{}, others_of_serve, commands};
const WordsOf words_of_serve{"serve", others_of_serve, {}};
const WordsOf words_of_check{"check", others_of_check, {}};
const WordsOf words_of_discover{"discover", {}, {}};

std::string explain(const std::string& word, std::vector<std::string> flags, const WordsOf& words) {
    // Only a gateway that is to be started takes what these may be.
    const bool starts = words.command.empty() || words.command == words_of_serve.command;
    if (std::string meant;
        starts && !word.starts_with('-') && !(meant = explain_value(word)).empty())
        return meant;
    return config::explain_unknown(word, {.flags = std::move(flags),
                                          .commands = words.commands,
                                          .others = words.others,
                                          .command = words.command});
}

}  // namespace sluice::app
