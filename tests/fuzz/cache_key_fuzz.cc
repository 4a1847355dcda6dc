// The canonical form and the key of a request body: a text that has a form is JSON, the form is its
// own form and its own key, another spelling of the same text has the same key, and a changed value
// has another one.
//
// Input: the body. How it is spelled anew is seeded by its length and its first byte.
#include "sluice/base/assert.h"
#include "sluice/base/prng.h"
#include "sluice/cache/key.h"
#include "sluice/llm/body_reader.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

using namespace sluice;
using namespace sluice::cache;

namespace {

const llm::Endpoint& chat = *llm::find_endpoint("/v1/chat/completions");

std::optional<std::string> form_of(std::string_view text) {
    static llm::CanonicalJson json;
    if (json.read(text) != llm::JsonFault::none) return std::nullopt;
    std::string out;
    llm::RunWriter writer(
        [](void* to, std::string_view run) { static_cast<std::string*>(to)->append(run); }, &out);
    json.write(llm::CanonicalJson::root, writer);
    writer.flush();
    return out;
}

std::optional<Key> key_of(std::string_view body) {
    static KeyMaker maker;
    if (maker.read(chat, body) != Bypass::none) return std::nullopt;
    return maker.key({.model = "m"});
}

std::string escaped(char c, Prng& prng) {
    static constexpr std::string_view digits[] = {"0123456789abcdef", "0123456789ABCDEF"};
    const std::string_view hex = digits[prng.below(2)];
    const auto byte = static_cast<std::uint8_t>(c);
    return std::string("\\u00") + hex[byte >> 4] + hex[byte & 15];
}

// A canonical form in another spelling: white space, escapes, digits that add nothing.
std::string respell(std::string_view form, Prng& prng) {
    static constexpr std::array<std::string_view, 6> gaps{"", "", " ", "\n", "\t\r", "   "};
    std::string out;
    for (std::size_t i = 0; i < form.size();) {
        out += gaps[prng.below(gaps.size())];
        if (form[i] == '"') {
            out += form[i++];
            while (form[i] != '"') {
                const char c = form[i];
                if (c == '\\') {
                    const std::size_t size = form[i + 1] == 'u' ? 6 : 2;
                    out += form.substr(i, size);
                    i += size;
                    continue;
                }
                const bool spell = static_cast<std::uint8_t>(c) < 0x80 && prng.chance(1, 8);
                out += spell ? escaped(c, prng) : std::string(1, c);
                ++i;
            }
            out += form[i++];
        } else if (form[i] == '-' || (form[i] >= '0' && form[i] <= '9')) {
            const std::size_t end = form.find_first_not_of("-0123456789", i);
            out += form.substr(i, end - i);
            if (prng.chance(1, 2)) out += ".000";
            i = std::min(end, form.size());
            if (i == form.size() || form[i] != 'e') continue;
            const std::size_t behind =
                std::min(form.find_first_not_of("-0123456789", i + 1), form.size());
            out += prng.chance(1, 2) ? 'e' : 'E';
            out += form.substr(i + 1, behind - i - 1);
            i = behind;
        } else if (form[i] >= 'a' && form[i] <= 'z') {
            const std::size_t size = form[i] == 'f' ? 5 : 4;
            out += form.substr(i, size);
            i += size;
        } else {
            out += form[i++];
        }
    }
    return out;
}

void check_key(std::string_view body, const std::string& form, Prng& prng) {
    const std::optional<Key> key = key_of(body);
    if (!key) return;
    SLUICE_ASSERT(key_of(form) == key);
    SLUICE_ASSERT(key_of(respell(form, prng)) == key);
    // The reader of bodies takes what has a key, but for what it refuses on purpose.
    llm::BodyReader reader;
    reader.feed(body);
    const auto facts = reader.finish();
    const auto refused_for = [&facts](std::string_view reason) {
        return facts.error().message.find(reason) != std::string::npos;
    };
    SLUICE_ASSERT(facts.ok() || refused_for("too large") || refused_for("too long") ||
                  refused_for("model") || refused_for("\"stream\"") ||
                  refused_for("some servers take for another one"));
    // One member more, which no body has twice.
    const std::string more = form == "{}" ? R"({"zz":[1]})" : R"({"zz":[1],)" + form.substr(1);
    const std::optional<Key> other = key_of(more);
    SLUICE_ASSERT(!other || *other != *key);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view body(reinterpret_cast<const char*>(data), size);
    const std::optional<std::string> form = form_of(body);
    if (!form) {
        SLUICE_ASSERT(!key_of(body));
        return 0;
    }
    Prng prng(size * 256 + data[0]);
    SLUICE_ASSERT(form_of(*form) == form);
    SLUICE_ASSERT(form_of(respell(*form, prng)) == form);
    check_key(body, *form, prng);
    return 0;
}
