#include "mistakes.h"

#include "sluice/config/suggest.h"

#include <filesystem>
#include <system_error>

namespace sluice::app {
namespace {

// A pipe is one, too: `sluice <(...)`.
bool is_file(const std::string& path) {
    std::error_code ignored;
    const auto kind = std::filesystem::status(path, ignored).type();
    return kind == std::filesystem::file_type::regular || kind == std::filesystem::file_type::fifo;
}

std::string none_of(const char* what, std::string_view word,
                    std::span<const std::string_view> names) {
    const std::string meant = config::did_you_mean(word, names);
    return std::string("there is no ") + what + " '" + std::string(word) + "'" +
           (meant.empty() ? "; --help lists those there are" : meant);
}

}  // namespace

std::string explain_unknown(const std::string& word, const Known& known) {
    if (word.starts_with('-')) {
        const std::vector<std::string_view> flags(known.flags.begin(), known.flags.end());
        return none_of("flag", std::string_view(word).substr(0, word.find('=')), flags);
    }
    if (is_file(word))
        return "'" + word + "' is a file: name a file of settings with --config " + word +
               ", or have it checked with 'sluice check " + word + "'";
    return none_of("command", word, known.commands);
}

}  // namespace sluice::app
