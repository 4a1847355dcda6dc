// The texts of values.h and what makes each sound.
#include "sluice/config/home.h"
#include "sluice/config/labels.h"
#include "sluice/config/wildcard.h"
#include "values.h"

#include <algorithm>

namespace sluice::config {
namespace {

constexpr std::size_t text_bytes_max = 4096;

using Wrong = std::optional<std::string>;

// RFC 9110 section 5.6.2.
bool is_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    });
}

bool is_plain(std::string_view text) {
    return std::ranges::none_of(
        text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// `judge` belongs to another module, which says the whole sentence.
Wrong judged(const std::function<Status(std::string_view)>& judge, const std::string& text) {
    if (!judge) return std::nullopt;
    if (const Status status = judge(text); !status) return status.error().message;
    return std::nullopt;
}

Wrong long_wildcard(std::string_view text) {
    if (text.size() <= Wildcard::pattern_bytes_max) return std::nullopt;
    return "a wildcard has at most " + std::to_string(Wildcard::pattern_bytes_max) + " bytes";
}

Wrong long_name(std::string_view text) {
    if (text.size() <= limits::model_name_bytes_max) return std::nullopt;
    return "a model's name has at most " + std::to_string(limits::model_name_bytes_max) + " bytes";
}

Wrong url_for(Reader& reader, const Node& node, std::string& text,
              const std::function<Status(std::string_view)>& judge) {
    // A URL may hold a password by mistake, so it is not repeated here.
    const bool known =
        text.starts_with("http://") || text.starts_with("https://") || text.starts_with("unix:");
    text = address_with_home(text);
    if (!known) return "expected a URL like http://127.0.0.1:8080 or unix:/path";
    reader.names_url(text, node.at);
    return judged(judge, text);
}

}  // namespace

bool Text::read(Reader& reader, const Node& node, std::string& value) const {
    if (node.kind != Node::Kind::text || (node.text.empty() && !may_be_empty)) {
        reader.expected(node, what);
        return false;
    }
    const bool plain = is_plain(node.text);
    if (!plain || node.text.size() > text_bytes_max) {
        reader.problem(node.at,
                       plain ? "a text of more than " + std::to_string(text_bytes_max) + " bytes"
                             : "a text with a control character in it");
        return false;
    }
    std::string text = node.text;
    if (check) {
        if (const Wrong wrong = check(reader, node, text)) {
            reader.problem(node.at, *wrong);
            return false;
        }
    }
    value = std::move(text);
    return true;
}

Text log_target() {
    return {"stderr, off or a file", [](Reader&, const Node&, std::string& text) -> Wrong {
                constexpr std::string_view words[] = {"on",   "yes",    "true",  "no",
                                                      "none", "stdout", "false", "console"};
                if (std::ranges::find(words, text) != std::ranges::end(words))
                    return "expected stderr, off or a file, found '" + text +
                           "': write /dev/stdout for that, ./" + text + " for a file of that name";
                text = with_home(text);
                return std::nullopt;
            }};
}

Text kept_file() {
    return {"a file", [](Reader& reader, const Node&, std::string& text) {
                text = with_home(text);
                return judged(reader.checks().kept, text);
            }};
}

Text plain_text(std::string what) {
    return {std::move(what), {}};
}

Text any_text(std::string what) {
    return {.what = std::move(what), .check = {}, .may_be_empty = true};
}

Text backend_url() {
    return {"a URL", [](Reader& reader, const Node& node, std::string& text) {
                return url_for(reader, node, text, reader.checks().url);
            }};
}

Text server_url() {
    return {"a URL", [](Reader& reader, const Node& node, std::string& text) {
                return url_for(reader, node, text, reader.checks().server);
            }};
}

Text listen_address() {
    return {"an address", [](Reader& reader, const Node&, std::string& text) {
                text = address_with_home(text);
                return judged(reader.checks().address, text);
            }};
}

Text host_name() {
    return {"a host name", [](Reader& reader, const Node&, std::string& text) {
                return judged(reader.checks().host, text);
            }};
}

Text origin() {
    return {"an origin", [](Reader&, const Node&, std::string& text) -> Wrong {
                auto read = parse_origin(text);
                if (!read) return read.error().message;
                text = std::move(read).value();
                return std::nullopt;
            }};
}

Text header_name() {
    return {"a header's name", [](Reader&, const Node&, std::string& text) -> Wrong {
                if (!is_token(text)) return "no name of a header: '" + shown(text) + "'";
                for (char& c : text)
                    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
                return std::nullopt;
            }};
}

Text method_name() {
    return {"a method", [](Reader&, const Node&, std::string& text) -> Wrong {
                const bool upper =
                    std::ranges::none_of(text, [](char c) { return c >= 'a' && c <= 'z'; });
                if (is_token(text) && upper) return std::nullopt;
                return "expected a method in capitals like POST, found '" + shown(text) + "'";
            }};
}

Text path_prefix() {
    return {"a path", [](Reader& reader, const Node&, std::string& text) -> Wrong {
                // What other programs have for a part that may be anything.
                const bool placeholder = text.find("/{") != text.npos ||
                                         text.find("/:") != text.npos || text.starts_with('^');
                if (placeholder)
                    return "expected the begin of a path, which means all that is below it, "
                           "without placeholders: found '" +
                           shown(text) + "'";
                const bool plain = std::ranges::none_of(
                    text, [](char c) { return c == '?' || c == '#' || c == ' '; });
                if (const std::size_t star = text.find('*'); star != text.npos) {
                    std::string_view path = std::string_view(text).substr(0, star);
                    while (path.size() > 1 && path.ends_with('/'))
                        path.remove_suffix(1);
                    return "a path has no '*', for it means all that is below it: write '" +
                           shown(path) + "'";
                }
                if (text.starts_with('/') && plain) return judged(reader.checks().path, text);
                return "expected a path that begins with '/' and has no '?', '#' or space, "
                       "found '" +
                       shown(text) + "'";
            }};
}

Text model_name() {
    return {"a model's name",
            [](Reader&, const Node&, std::string& text) { return long_name(text); }};
}

Text model_reference() {
    return {"a model's name", [](Reader& reader, const Node& node, std::string& text) -> Wrong {
                if (Wrong wrong = long_name(text)) return wrong;
                reader.mentions_model(text, node.at);
                return std::nullopt;
            }};
}

Text model_alias() {
    return {"an alias", [](Reader& reader, const Node& node, std::string& text) -> Wrong {
                if (Wrong wrong = long_name(text)) return wrong;
                if (is_wildcard(text))
                    return "an alias is no wildcard: name the model '" + shown(text) + "' instead";
                reader.gives_alias(text, node.at);
                return std::nullopt;
            }};
}

Text wildcard() {
    return {"a wildcard",
            [](Reader&, const Node&, std::string& text) { return long_wildcard(text); }};
}

// --- several --------------------------------------------------------------------------------

std::string Texts::type() const {
    return (one_will_do ? item.what + " or a list of them" : "list, each " + item.what);
}

void Texts::read(Reader& reader, const Node& node, std::vector<std::string>& values) const {
    values.clear();
    std::string text;
    if (one_will_do && node.kind == Node::Kind::text) {
        if (item.read(reader, node, text)) values.push_back(std::move(text));
        return;
    }
    if (node.kind != Node::Kind::list)
        return reader.expected(node, one_will_do ? type() : "a list, each " + item.what);
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        const Reader::Step step(reader, "[" + std::to_string(i) + "]");
        if (!item.read(reader, *node.items[i], text)) continue;
        if (std::ranges::find(values, text) != values.end())
            reader.problem(node.items[i]->at, "'" + shown(text) + "' stands there twice");
        else
            values.push_back(std::move(text));
    }
}

std::string Texts::show(const std::vector<std::string>& values) const {
    std::string out;
    for (const std::string& value : values)
        out += (out.empty() ? "" : ", ") + value;
    return values.size() > 1 || (!one_will_do && !values.empty()) ? "[" + out + "]" : out;
}

template <class Take>
void TextMap::read_each(Reader& reader, const Node& node, Take take) const {
    if (node.kind != Node::Kind::map) return reader.expected(node, "a " + type());
    for (const Entry& entry : node.entries) {
        const Reader::Step step(reader, entry.key);
        Node key;
        key.kind = Node::Kind::text;
        key.at = entry.at;
        key.text = entry.key;
        std::string first;
        std::string second;
        const bool named = name.read(reader, key, first);
        if (value.read(reader, *entry.value, second) && named)
            take(std::move(first), std::move(second));
    }
}

void TextMap::read(Reader& reader, const Node& node,
                   std::map<std::string, std::string>& values) const {
    read_each(reader, node, [&](std::string first, std::string second) {
        values.insert_or_assign(std::move(first), std::move(second));
    });
}

void TextMap::read(Reader& reader, const Node& node, std::vector<NamedPattern>& values) const {
    read_each(reader, node, [&](std::string first, std::string second) {
        values.push_back({std::move(first), std::move(second)});
    });
}

void LabelMap::read(Reader& reader, const Node& node,
                    std::map<std::string, std::string>& values) const {
    pairs.read(reader, node, values);
    std::map<std::string, std::string> told;
    for (const auto& [name, value] : values) {
        const auto [first, is_new] = told.try_emplace(metric_label(name), name);
        if (!is_new)
            reader.problem(node.at, "'" + shown(first->second) + "' and '" + shown(name) +
                                        "' are one label in the metrics, " + first->first +
                                        ": name one of them otherwise");
    }
}

void SecretPlace::read(Reader& reader, const Node& node, Secret& value) const {
    // A list or map is not shown either: it may be the key.
    if (node.kind != Node::Kind::text) return reader.problem(node.at, "expected " + type());
    if (!is_plain(node.text))
        return reader.problem(node.at, "a text with a control character in it");
    auto secret = Secret::from_reference(node.text);
    if (!secret) return reader.problem(node.at, secret.error().message);
    value = std::move(secret).value();
}

}  // namespace sluice::config
