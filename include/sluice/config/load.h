// Loading: a file of settings, read whole and checked whole; every mistake is told at once, with
// its place.
//
// What flags say wins over the file. They are applied between the file's general part and its
// models, so that a model which says nothing of its own has what the flags say.
// Limits: 1 MiB of text, one document, 32 levels, 100,000 values after its anchors are expanded.
#pragma once

#include "sluice/config/settings.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

inline constexpr std::size_t file_bytes_max = limits::MiB;

// A place in the text, counted from 1; columns are bytes. Line 0: the file as a whole.
struct Place {
    int line = 0;
    int column = 0;

    auto operator<=>(const Place&) const = default;
};

// A mistake, in words for the person who wrote the file.
struct Problem {
    Place at;
    std::string message;

    // "FILE:3:7: message"
    std::string to_text(std::string_view file) const;
};

// Where in the file some texts stand first, as they are in the settings; those of flags stand
// nowhere.
struct Places {
    std::map<std::string, Place> urls;  // of backends
    std::map<std::string, Place> listeners;
};

// The file as a whole where it does not stand.
Place find_place(const std::map<std::string, Place>& places, const std::string& text);

struct LoadOutcome {
    Settings settings;              // of use only where there is no problem
    std::vector<Problem> problems;  // in the order of the text
    Places places;
    bool says_nothing = false;  // the text is empty, or comments only

    bool ok() const { return problems.empty(); }
};

// What only other modules can judge. One that is missing judges nothing.
struct Checks {
    std::function<Status(std::string_view)> url;      // of a backend
    std::function<Status(std::string_view)> server;   // of one that is a model server
    std::function<Status(std::string_view)> address;  // to listen on
    std::function<Status(std::string_view)> host;     // an allowed name
    std::function<Status(std::string_view)> log;      // a file to write to
    std::function<Status(std::string_view)> kept;     // a file for answers
    std::function<Status(std::string_view)> path;     // that a request could have
    std::function<Status(std::string_view)> route;    // a path that can be a route's
    std::function<Status(const RewriteSetting&)> rewrite;
    std::uint64_t memory = 0;  // of the machine, in bytes; 0: unknown
};

// Puts what the flags say over `settings`. Models it leaves there have a name and backends only:
// the backends replace those of the file's model of that name.
using Override = std::function<void(Settings& settings)>;

// `path` is a regular file or a pipe. One that nobody opens at its other end is given up soon.
LoadOutcome load_file(const std::string& path, const Checks& checks = {},
                      const Override& flags = {});
// An empty text is a file that says nothing.
LoadOutcome load_text(std::string_view text, const Checks& checks = {}, const Override& flags = {});

}  // namespace sluice::config
