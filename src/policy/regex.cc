#include "regex.h"

#include <re2/re2.h>

#include <array>
#include <utility>

namespace sluice::policy {

namespace {

// For the program and its cache; where the cache is too small RE2 goes another, still linear way.
constexpr std::int64_t memory_max = 1 << 20;

}  // namespace

Regex::Regex(std::unique_ptr<re2::RE2> engine) : engine_(std::move(engine)) {}
Regex::~Regex() = default;

Result<std::unique_ptr<Regex>> Regex::compile(std::string_view pattern) {
    const auto refuse = [&](const std::string& why) {
        return Error::client(400, "The regular expression \"" + std::string(pattern) + "\" " + why);
    };
    if (pattern.size() > pattern_bytes_max) {
        return Error::client(400, "A regular expression has " + std::to_string(pattern.size()) +
                                      " bytes, at most " + std::to_string(pattern_bytes_max) +
                                      " are allowed.");
    }
    re2::RE2::Options options;
    options.set_encoding(re2::RE2::Options::EncodingLatin1);
    options.set_log_errors(false);
    options.set_max_mem(memory_max);
    auto engine =
        std::make_unique<re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
    if (!engine->ok()) return refuse("is wrong: " + engine->error() + ".");
    if (engine->ProgramSize() > program_size_max) {
        return refuse("is too large: write fewer or smaller repetitions.");
    }
    if (engine->NumberOfCapturingGroups() > static_cast<int>(groups_max)) {
        return refuse("has more than " + std::to_string(groups_max) +
                      " groups: write (?:...) for those that are not used.");
    }
    return std::unique_ptr<Regex>(new Regex(std::move(engine)));
}

bool Regex::find(std::string_view text, std::span<std::string_view> groups) const {
    SLUICE_ASSERT(groups.size() <= groups_max + 1);
    SLUICE_ASSERT(text.size() <= text_bytes_max);
    std::array<re2::StringPiece, groups_max + 1> found;
    const bool matches =
        engine_->Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                       re2::RE2::UNANCHORED, found.data(), static_cast<int>(groups.size()));
    if (!matches) return false;
    for (std::size_t i = 0; i < groups.size(); ++i)
        groups[i] = std::string_view(found[i].data(), found[i].size());
    return true;
}

std::size_t Regex::groups() const {
    return static_cast<std::size_t>(engine_->NumberOfCapturingGroups());
}

std::optional<std::size_t> Regex::group_of(const std::string& name) const {
    const auto& names = engine_->NamedCapturingGroups();
    const auto at = names.find(name);
    if (at == names.end()) return {};
    return static_cast<std::size_t>(at->second);
}

}  // namespace sluice::policy
