#include "sluice/cache/semantic/question.h"

#include "sluice/llm/canonical_json.h"

#include <algorithm>
#include <string_view>

namespace sluice::cache::semantic {

namespace {

using llm::CanonicalJson;
using Kind = CanonicalJson::Kind;
using Id = CanonicalJson::Id;

constexpr std::string_view chats[] = {"/v1/chat/completions", "/chat/completions", "/v1/messages",
                                      "/api/chat"};

std::optional<Id> find_string(const CanonicalJson& json, Id object, std::string_view key) {
    const auto value = json.find(object, key);
    return value && json.kind(*value) == Kind::string ? value : std::nullopt;
}

bool is_of_user(const CanonicalJson& json, Id message) {
    if (json.kind(message) != Kind::object) return false;
    const auto role = find_string(json, message, "role");
    return role && json.spelling(*role) == "user";
}

// The string that is the text of a message, and nothing else beside it.
std::optional<Id> text_in(const CanonicalJson& json, Id message) {
    const auto content = json.find(message, "content");
    if (!content) return std::nullopt;
    if (json.kind(*content) == Kind::string) return content;
    if (json.kind(*content) != Kind::array || json.is_empty(*content)) return std::nullopt;
    const Id part = *content + 1;
    if (json.after(part) != json.after(*content) || json.kind(part) != Kind::object)
        return std::nullopt;
    const auto type = find_string(json, part, "type");
    if (!type || json.spelling(*type) != "text") return std::nullopt;
    return find_string(json, part, "text");
}

int hex_digit(char c) {
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

// Of a canonical spelling, which has few escapes. None: half of a character is in it.
std::optional<std::string> decode_canonical(std::string_view spelling) {
    std::string out;
    for (std::size_t at = 0; at < spelling.size(); ++at) {
        if (spelling[at] != '\\') {
            out += spelling[at];
            continue;
        }
        const char c = spelling[++at];
        switch (c) {
            case 'b':
                out += '\b';
                break;
            case 'f':
                out += '\f';
                break;
            case 'n':
                out += '\n';
                break;
            case 'r':
                out += '\r';
                break;
            case 't':
                out += '\t';
                break;
            case 'u':
                // A control character; anything else is half of a pair.
                if (spelling[at + 1] != '0') return std::nullopt;
                out += static_cast<char>(hex_digit(spelling[at + 3]) * 16 +
                                         hex_digit(spelling[at + 4]));
                at += 4;
                break;
            default:
                out += c;
        }
    }
    return out;
}

}  // namespace

std::optional<Question> question_of(const KeyMaker& maker, const KeyParts& parts) {
    if (std::ranges::find(chats, maker.endpoint().path) == std::end(chats)) return std::nullopt;
    const CanonicalJson& json = maker.json();
    const auto messages = json.find(CanonicalJson::root, "messages");
    if (!messages || json.kind(*messages) != Kind::array || json.is_empty(*messages))
        return std::nullopt;
    Question question;
    Id last = *messages + 1;
    for (Id each = last; each != json.after(*messages); each = json.after(each)) {
        question.turns += is_of_user(json, each) ? 1 : 0;
        last = each;
    }
    if (!is_of_user(json, last)) return std::nullopt;
    const auto text = text_in(json, last);
    if (!text) return std::nullopt;
    auto decoded = decode_canonical(json.spelling(*text));
    if (!decoded) return std::nullopt;
    question.text = std::move(*decoded);
    question.context = maker.key_around(parts, "messages", *text);
    return question;
}

}  // namespace sluice::cache::semantic
