#include "report.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace sluice::bench {
namespace {

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

Status write_file(const std::string& path, const std::string& text) {
    const File file(std::fopen(path.c_str(), "we"), std::fclose);
    const bool written = file != nullptr &&
                         std::fwrite(text.data(), 1, text.size(), file.get()) == text.size() &&
                         std::fflush(file.get()) == 0;
    if (written) return Done{};
    return Error::gateway(fmt::format("{} cannot be written: {}", path, std::strerror(errno)));
}

template <class Json, class Html>
Status write_both(const Options& options, Json&& json, Html&& html) {
    if (!options.json_file.empty())
        if (auto written = write_file(options.json_file, json()); !written) return written;
    if (!options.html_file.empty()) return write_file(options.html_file, html());
    return Done{};
}

}  // namespace

Status write_reports(const Options& options, const Heading& heading, const Measured& measured,
                     const std::vector<Metric>& metrics) {
    return write_both(
        options, [&] { return json_report(heading, measured, metrics); },
        [&] { return html_report(heading, measured, metrics); });
}

Status write_reports(const Options& options, const Heading& heading, const Comparison& comparison) {
    return write_both(
        options, [&] { return json_report(heading, comparison); },
        [&] { return html_report(heading, comparison); });
}

}  // namespace sluice::bench
