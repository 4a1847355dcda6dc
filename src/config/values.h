// Values: how each kind of value in the file is read, and how a default of it is shown.
//
// Each has type() and unit() for the reference, read() which stores a sound value and tells the
// reader of any other, and show() which writes a value as YAML ("" for none).
#pragma once

#include "reader.h"
#include "sluice/config/model_settings.h"
#include "sluice/config/route_settings.h"
#include "text.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::config {

// --- numbers and choices --------------------------------------------------------------------

// Any whole number from `min` to `max`; nothing else is stored.
std::optional<std::int64_t> read_whole(Reader& reader, const Node& node, std::int64_t min,
                                       std::int64_t max);

template <class T>
struct Whole {
    std::int64_t min;
    std::int64_t max;
    std::string of = "";

    std::string type() const {
        return "whole number, " + std::to_string(min) + " to " + std::to_string(max);
    }
    std::string unit() const { return of; }
    void read(Reader& reader, const Node& node, T& value) const {
        if (const auto number = read_whole(reader, node, min, max)) value = static_cast<T>(*number);
    }
    void read(Reader& reader, const Node& node, std::optional<T>& value) const {
        read(reader, node, value.emplace());
    }
    std::string show(const std::optional<T>&) const { return ""; }
    // What cannot be written stands for no bound at all.
    std::string show(const T& value) const {
        return std::cmp_greater(value, max) ? "" : std::to_string(value);
    }
};

struct Time {
    Duration min{};
    Duration max = Duration::seconds(100LL * 365 * 24 * 3600);

    std::string type() const { return "duration"; }
    std::string unit() const { return "us, ms, s, m, h, d"; }
    void read(Reader& reader, const Node& node, Duration& value) const;
    std::string show(Duration value) const;
};

struct Size {
    std::size_t min;
    std::size_t max;

    std::string type() const { return "size"; }
    std::string unit() const { return "bytes, KiB, MiB, GiB"; }
    void read(Reader& reader, const Node& node, std::size_t& value) const;
    std::string show(std::size_t value) const;
};

// From 0 to 1.
struct Share {
    std::string type() const { return "number, 0 to 1"; }
    std::string unit() const { return "share"; }
    void read(Reader& reader, const Node& node, double& value) const;
    std::string show(double value) const;
};

struct Truth {
    std::string type() const { return "true or false"; }
    std::string unit() const { return ""; }
    void read(Reader& reader, const Node& node, bool& value) const;
    void read(Reader& reader, const Node& node, std::optional<bool>& value) const;
    std::string show(bool value) const { return value ? "true" : "false"; }
    std::string show(std::optional<bool>) const { return ""; }
};

template <class E>
struct Choice {
    std::vector<std::pair<std::string_view, E>> values;

    std::vector<std::string_view> names() const {
        std::vector<std::string_view> all;
        for (const auto& value : values)
            all.push_back(value.first);
        return all;
    }
    std::string type() const { return one_of(names()); }
    std::string unit() const { return ""; }
    void read(Reader& reader, const Node& node, E& value) const {
        for (const auto& [name, meant] : values) {
            if (node.kind != Node::Kind::text || node.text != name) continue;
            value = meant;
            return;
        }
        const bool is_text = node.kind == Node::Kind::text;
        reader.expected(node, type(), is_text ? did_you_mean(node.text, names()) : "");
    }
    std::string show(const E& value) const {
        for (const auto& [name, meant] : values)
            if (meant == value) return std::string(name);
        return {};
    }
};

// --- texts ----------------------------------------------------------------------------------

// What is wrong with a text, or nothing. May change the text to what it means.
using TextCheck = std::function<std::optional<std::string>(Reader&, const Node&, std::string&)>;

struct Text {
    std::string what;  // "a URL"
    TextCheck check;
    bool may_be_empty = false;

    std::string type() const { return what; }
    std::string unit() const { return ""; }
    // False where it is told of.
    bool read(Reader& reader, const Node& node, std::string& value) const;
    std::string show(const std::string& value) const { return value; }
};

Text plain_text(std::string what);
Text log_target();                // `~/` is the home folder
Text kept_file();                 // so it is there
Text any_text(std::string what);  // also an empty one, in quotes
Text backend_url();               // of a service behind a route
Text server_url();                // of a model server
Text listen_address();
Text host_name();
Text origin();       // made lower case
Text header_name();  // made lower case
Text method_name();
Text path_prefix();
Text model_name();       // one that a request could carry
Text model_reference();  // one that there is: told to the reader
Text model_alias();      // one that there is from now on: told to the reader
Text wildcard();

struct Texts {
    Text item;
    bool one_will_do = false;

    std::string type() const;
    std::string unit() const { return ""; }
    void read(Reader& reader, const Node& node, std::vector<std::string>& values) const;
    std::string show(const std::vector<std::string>& values) const;
};

inline const Choice<BrokenStream> stream_ends{
    {{"end", BrokenStream::end}, {"cut", BrokenStream::cut}}};

inline const Choice<Sharing> sharings{
    {{"auto", Sharing::automatic}, {"always", Sharing::always}, {"never", Sharing::never}}};

// A map of names to texts.
struct TextMap {
    Text name;
    Text value;

    std::string type() const { return "map of " + name.what + " to " + value.what; }
    std::string unit() const { return ""; }
    void read(Reader& reader, const Node& node, std::map<std::string, std::string>& values) const;
    void read(Reader& reader, const Node& node, std::vector<NamedPattern>& values) const;
    template <class Values>
    std::string show(const Values&) const {
        return "";
    }

private:
    template <class Take>
    void read_each(Reader& reader, const Node& node, Take take) const;
};

// Labels of a backend, which are told apart in the metrics, too.
struct LabelMap {
    std::string type() const { return pairs.type(); }
    std::string unit() const { return ""; }
    void read(Reader& reader, const Node& node, std::map<std::string, std::string>& values) const;
    std::string show(const std::map<std::string, std::string>&) const { return ""; }

    TextMap pairs{plain_text("names"), plain_text("texts")};
};

// A key of which the file says only where it is.
struct SecretPlace {
    std::string type() const { return "env:NAME or file:PATH"; }
    std::string unit() const { return ""; }
    void read(Reader& reader, const Node& node, Secret& value) const;
    std::string show(const Secret&) const { return ""; }
};

}  // namespace sluice::config
