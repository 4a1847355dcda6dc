#include "workload.h"

#include "sluice/config/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace sluice::bench {
namespace {

using Shape = RequestKind::Shape;

constexpr std::string_view words =
    "the quick brown fox jumps over the lazy dog and then explains in some detail how a proxy "
    "relays one token after another without ever looking back at what it has said before ";

std::string prompt_of(std::size_t bytes) {
    std::string text;
    text.reserve(bytes + words.size());
    while (text.size() < bytes)
        text += words;
    text.resize(bytes);
    return text;
}

// The body is as large as the prompt asks for; a prompt smaller than the rest adds nothing.
std::string body_of(const RequestKind& kind) {
    if (kind.shape == Shape::get) return {};
    std::string rest;
    if (kind.stream) rest += R"(,"stream":true)";
    if (kind.stream && kind.usage) rest += R"(,"stream_options":{"include_usage":true})";
    if (kind.max_tokens != 0) rest += fmt::format(R"(,"max_tokens":{})", kind.max_tokens);
    const auto with = [&](const std::string& prompt) {
        switch (kind.shape) {
            case Shape::chat:
                return fmt::format(
                    R"({{"model":"{}","messages":[{{"role":"user","content":"{}"}}]{}}})",
                    kind.model, prompt, rest);
            case Shape::completion:
                return fmt::format(R"({{"model":"{}","prompt":"{}"{}}})", kind.model, prompt, rest);
            default:
                return fmt::format(R"({{"model":"{}","input":"{}"}})", kind.model, prompt);
        }
    };
    return with(prompt_of(kind.prompt_bytes));
}

Result<std::uint32_t> parse_number(std::string_view text) {
    std::uint32_t number = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (code != std::errc{} || end != text.data() + text.size())
        return Error::client(400, fmt::format("'{}' is not a number", text));
    return number;
}

Status set_member(RequestKind& kind, std::string_view key, std::string_view value) {
    if (key == "kind") {
        const auto shape = parse_shape(value);
        if (!shape) return shape.error();
        kind.shape = shape.value();
    } else if (key == "prompt") {
        const auto size = config::parse_size(value);
        if (!size) return size.error();
        kind.prompt_bytes = size.value();
    } else if (key == "weight" || key == "max-tokens") {
        const auto number = parse_number(value);
        if (!number) return number.error();
        if (key == "weight" && number.value() == 0)
            return Error::client(400, "a weight is at least 1");
        (key == "weight" ? kind.weight : kind.max_tokens) = number.value();
    } else if (key == "stream") {
        if (value != "yes" && value != "no")
            return Error::client(400, fmt::format("stream is yes or no, not '{}'", value));
        kind.stream = value == "yes";
    } else if (key == "model") {
        kind.model = value;
    } else if (key == "path") {
        kind.path = value;
    } else {
        return Error::client(400, fmt::format("'{}' is no member of a request kind", key));
    }
    return Done{};
}

Result<RequestKind> parse_line(std::string_view line) {
    RequestKind kind;
    std::vector<std::string_view> said;
    while (!line.empty()) {
        const auto word = line.substr(0, line.find_first_of(" \t\r"));
        line.remove_prefix(std::min(line.size(), word.size() + 1));
        if (word.empty()) continue;
        const auto equals = word.find('=');
        if (equals == std::string_view::npos)
            return Error::client(400, fmt::format("'{}' has no '='", word));
        const auto key = word.substr(0, equals);
        if (std::ranges::find(said, key) != said.end())
            return Error::client(400, fmt::format("'{}' is said twice", key));
        said.push_back(key);
        if (auto set = set_member(kind, key, word.substr(equals + 1)); !set) return set.error();
    }
    return kind;
}

}  // namespace

std::string_view path_of(const RequestKind& kind) {
    if (!kind.path.empty()) return kind.path;
    switch (kind.shape) {
        case Shape::chat:
            return "/v1/chat/completions";
        case Shape::completion:
            return "/v1/completions";
        case Shape::embeddings:
            return "/v1/embeddings";
        case Shape::get:
            return "/v1/models";
    }
    SLUICE_ASSERT(false);
}

std::string_view to_text(Shape shape) {
    constexpr std::string_view names[] = {"chat", "completion", "embeddings", "get"};
    return names[static_cast<std::size_t>(shape)];
}

Result<Shape> parse_shape(std::string_view text) {
    if (text == "chat") return Shape::chat;
    if (text == "completion") return Shape::completion;
    if (text == "embeddings") return Shape::embeddings;
    if (text == "get") return Shape::get;
    return Error::client(400,
                         fmt::format("'{}' is none of chat, completion, embeddings, get", text));
}

Result<std::vector<RequestKind>> parse_scenario(std::string_view text) {
    std::vector<RequestKind> kinds;
    for (int number = 1; !text.empty(); ++number) {
        auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        line = line.substr(0, line.find('#'));
        if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        auto kind = parse_line(line);
        if (!kind)
            return Error::client(400, fmt::format("line {}: {}", number, kind.error().message));
        kinds.push_back(std::move(kind).value());
    }
    if (kinds.empty()) return Error::client(400, "no line names a request kind");
    return kinds;
}

RequestKind stalled_kind(const std::vector<RequestKind>& kinds, std::uint32_t tokens) {
    SLUICE_ASSERT(!kinds.empty());
    const auto streams = [](const RequestKind& kind) {
        return kind.shape == Shape::chat || kind.shape == Shape::completion;
    };
    const auto found = std::ranges::find_if(kinds, streams);
    if (found == kinds.end()) return kinds.front();
    RequestKind kind = *found;
    kind.stream = true;
    kind.max_tokens = tokens;
    return kind;
}

std::string Request::text_with(std::string_view field) const {
    std::string text = head;
    if (!field.empty()) {
        text += field;
        text += "\r\n";
    }
    text += "\r\n";
    text += body;
    return text;
}

std::vector<Request> make_requests(const std::vector<RequestKind>& kinds, const Addressee& to) {
    std::vector<Request> requests;
    for (const auto& kind : kinds) {
        Request request;
        request.body = body_of(kind);
        request.head = fmt::format("{} {}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: sluice-bench\r\n",
                                   kind.shape == Shape::get ? "GET" : "POST", to.path_prefix,
                                   path_of(kind), to.host);
        for (const auto& field : to.fields)
            request.head += field + "\r\n";
        if (!to.keep_alive) request.head += "Connection: close\r\n";
        if (kind.shape != Shape::get)
            request.head += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n",
                                        request.body.size());
        request.expectation.stream = kind.stream;
        request.weight = kind.weight;
        requests.push_back(std::move(request));
    }
    return requests;
}

// --- Rotation -------------------------------------------------------------------------------

Rotation::Rotation(const std::vector<Request>& requests) {
    SLUICE_ASSERT(!requests.empty());
    for (const auto& request : requests) {
        shares_.emplace_back(request.weight, 0);
        sum_ += request.weight;
    }
}

// Smooth weighted round robin: each gains its weight, the richest goes and pays for all.
std::size_t Rotation::next() {
    std::size_t best = 0;
    for (std::size_t i = 0; i < shares_.size(); ++i) {
        shares_[i].second += shares_[i].first;
        if (shares_[i].second > shares_[best].second) best = i;
    }
    shares_[best].second -= sum_;
    return best;
}

}  // namespace sluice::bench
