#include "sluice/llm/embeddings.h"

#include "json_walker.h"
#include "sluice/base/assert.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>

namespace sluice::llm {

namespace {

struct EmbeddingsMember {
    std::string_view key;  // between its quotes
    std::string_view value;
};

// Takes down the members of the document, and of the list in it the elements with their members.
class EmbeddingsHandler {
public:
    static constexpr bool strict = false;

    EmbeddingsHandler(std::string_view text, std::string_view list_key)
        : text_(text), list_key_(list_key) {}

    void on_key(int depth, const JsonText& key) {
        if (depth != 1 && !(depth == 3 && in_list_)) return;
        bad |= key.text.find('\\') != key.text.npos;
        if (depth == 1) {
            in_list_ = key.text == list_key_;
            key_ = key.text;
        } else {
            element_key_ = key.text;
        }
    }
    void on_string(int depth, const JsonText& string) {
        token_list_ &= depth != 3;
        take(depth, string.span, '"');
    }
    void on_number(int depth, const JsonNumber& number) { take(depth, number.span, '0'); }
    void on_literal(int depth, JsonLiteral, Span span) {
        token_list_ &= depth != 3;
        take(depth, span, 'n');
    }
    void on_open(int depth, bool is_object, std::size_t begin) {
        if (depth == 1) bad |= !is_object;
        if (depth == 3) token_list_ = true;
        if (depth == 4) token_list_ = false;
        if (depth >= static_cast<int>(opened_.size())) return;
        opened_[static_cast<std::size_t>(depth)] = {begin, is_object ? '{' : '['};
        if (depth == 2 && in_list_ && is_object) bad = true;
    }
    void on_close(int depth, std::size_t end) {
        if (depth >= static_cast<int>(opened_.size())) return;
        const Opened& opened = opened_[static_cast<std::size_t>(depth)];
        take(depth - 1, {opened.begin, end}, opened.kind);
    }

    struct Element {
        Span span;
        char kind;                       // its first character: '{', '[', '"'; '0' of all numbers
        bool tokens;                     // of a list: it holds numbers only
        std::size_t members_behind = 0;  // in `element_members`
    };
    std::vector<EmbeddingsMember> members;
    Span list;
    char list_kind = 0;
    std::vector<Element> elements;
    std::vector<EmbeddingsMember> element_members;  // of one after the other
    bool bad = false;

private:
    struct Opened {
        std::size_t begin = 0;
        char kind = 0;
    };

    void take(int depth, Span span, char kind) {
        const std::string_view text = text_.substr(span.begin, span.end - span.begin);
        if (depth == 1) {
            members.push_back({key_, text});
            if (in_list_) {
                list = span;
                list_kind = kind;
            }
            in_list_ = false;
        } else if (in_list_ && depth == 2) {
            elements.push_back({span, kind, token_list_, element_members.size()});
        } else if (in_list_ && depth == 3 && opened_[3].kind == '{') {
            element_members.push_back({element_key_, text});
        }
    }

    std::string_view text_;
    std::string_view list_key_;
    std::string_view key_;
    std::string_view element_key_;
    std::array<Opened, 5> opened_;
    bool in_list_ = false;
    bool token_list_ = false;
};

bool names_twice(std::span<const EmbeddingsMember> members) {
    for (auto member = members.begin(); member != members.end(); ++member) {
        const auto same = [member](const EmbeddingsMember& other) {
            return other.key == member->key;
        };
        if (std::any_of(members.begin(), member, same)) return true;
    }
    return false;
}

std::string_view find_member(std::span<const EmbeddingsMember> members, std::string_view key) {
    const auto found = std::ranges::find(members, key, &EmbeddingsMember::key);
    return found != members.end() ? found->value : std::string_view();
}

std::optional<std::uint64_t> read_count(std::string_view value) {
    std::uint64_t count = 0;
    const char* const end = value.data() + value.size();
    const auto [behind, error] = std::from_chars(value.data(), end, count);
    if (error != std::errc{} || behind != end || value.empty()) return std::nullopt;
    return count;
}

// No server's answer has nearly as many members; telling twins apart compares each with each.
constexpr std::size_t members_max = 64;

void put_member(std::string& out, const EmbeddingsMember& member) {
    if (!out.empty()) out += ',';
    out.append("\"").append(member.key).append("\":").append(member.value);
}

// The members of an OpenAI element but its index, which is a number of its own. False: it is none.
struct OpenAiElement {
    std::string text;
    std::size_t index = 0;
};
std::optional<OpenAiElement> read_openai_element(std::span<const EmbeddingsMember> members,
                                                 std::size_t place) {
    if (members.size() > members_max || names_twice(members)) return std::nullopt;
    const std::string_view vector = find_member(members, "embedding");
    if (vector.empty() || (vector.front() != '[' && vector.front() != '"')) return std::nullopt;
    OpenAiElement element{.index = place};
    for (const EmbeddingsMember& member : members) {
        if (member.key != "index") {
            put_member(element.text, member);
            continue;
        }
        const auto index = read_count(member.value);
        if (!index) return std::nullopt;
        element.index = *index;
    }
    element.text += '}';
    return element;
}

std::optional<std::vector<std::string>> read_openai_elements(const EmbeddingsHandler& read) {
    std::vector<std::string> elements(read.elements.size());
    std::size_t first = 0;
    for (std::size_t i = 0; i < elements.size(); ++i) {
        const auto& place = read.elements[i];
        const std::span<const EmbeddingsMember> all(read.element_members);
        const auto members = all.subspan(first, place.members_behind - first);
        first = place.members_behind;
        if (place.kind != '{') return std::nullopt;
        auto element = read_openai_element(members, i);
        // Each index once.
        if (!element || element->index >= elements.size()) return std::nullopt;
        if (!elements[element->index].empty()) return std::nullopt;
        elements[element->index] = std::move(element->text);
    }
    return elements;
}

std::optional<std::vector<std::string>> read_ollama_elements(std::string_view document,
                                                             const EmbeddingsHandler& read) {
    std::vector<std::string> elements;
    for (const auto& place : read.elements) {
        if (place.kind != '[' || !place.tokens) return std::nullopt;
        elements.emplace_back(document.substr(place.span.begin, place.span.end - place.span.begin));
    }
    return elements;
}

std::optional<std::uint64_t> tokens_in_usage(std::string_view usage) {
    EmbeddingsHandler read(usage, {});
    if (!JsonWalker(usage, read).walk() || read.bad) return std::nullopt;
    return read_count(find_member(read.members, "prompt_tokens"));
}

constexpr std::string_view list_key_of(EmbeddingsForm form) {
    return form == EmbeddingsForm::openai ? "data" : "embeddings";
}
constexpr std::string_view usage_key_of(EmbeddingsForm form) {
    return form == EmbeddingsForm::openai ? "usage" : "prompt_eval_count";
}

std::size_t numbers_in(std::string_view list) {
    const bool empty = list.find_first_not_of(" \t\r\n", 1) == list.size() - 1;
    return empty ? 0 : static_cast<std::size_t>(std::ranges::count(list, ',')) + 1;
}

bool is_lasting(std::string_view key) {
    return key != "total_duration" && key != "load_duration";
}

}  // namespace

std::optional<EmbeddingsForm> embeddings_form_of(const Endpoint& endpoint) {
    if (endpoint.path == "/v1/embeddings") return EmbeddingsForm::openai;
    if (endpoint.path == "/api/embed") return EmbeddingsForm::ollama;
    return std::nullopt;
}

// --- requests ---

std::optional<EmbeddingsInput> read_embeddings_input(EmbeddingsForm form, std::string_view body) {
    EmbeddingsHandler read(body, "input");
    if (!JsonWalker(body, read).walk() || read.bad || read.list.empty()) return std::nullopt;
    const bool takes_tokens = form == EmbeddingsForm::openai;
    const auto all = [&read](char kind) {
        return std::ranges::all_of(read.elements,
                                   [kind](const auto& each) { return each.kind == kind; });
    };
    const bool is_one = read.list_kind == '"' || (takes_tokens && !read.elements.empty() &&
                                                  read.list_kind == '[' && all('0'));
    if (is_one) return EmbeddingsInput{read.list, {read.list}};
    if (read.list_kind != '[' || read.elements.empty()) return std::nullopt;
    EmbeddingsInput input{read.list, {}};
    for (const auto& element : read.elements) {
        const bool is_text = element.kind == '"';
        const bool is_tokens = takes_tokens && element.kind == '[' && element.tokens;
        if (!is_text && !is_tokens) return std::nullopt;
        input.items.push_back(element.span);
    }
    return input;
}

Edit ask_for_items(std::string_view body, const EmbeddingsInput& input,
                   std::span<const std::uint32_t> wanted) {
    Edit edit{input.value.begin, input.value.end - input.value.begin, "["};
    for (const std::uint32_t item : wanted) {
        SLUICE_ASSERT(item < input.items.size());
        const Span span = input.items[item];
        if (edit.inserted.size() > 1) edit.inserted += ',';
        edit.inserted += body.substr(span.begin, span.end - span.begin);
    }
    edit.inserted += ']';
    return edit;
}

// --- answers ---

std::optional<EmbeddingsAnswer> split_embeddings(EmbeddingsForm form, std::string_view document,
                                                 std::size_t items) {
    EmbeddingsHandler read(document, list_key_of(form));
    if (!JsonWalker(document, read).walk() || read.bad || read.list_kind != '[')
        return std::nullopt;
    if (read.members.size() > members_max || names_twice(read.members)) return std::nullopt;
    if (read.elements.size() != items) return std::nullopt;
    auto elements = form == EmbeddingsForm::openai ? read_openai_elements(read)
                                                   : read_ollama_elements(document, read);
    if (!elements) return std::nullopt;
    EmbeddingsAnswer answer{.elements = std::move(*elements)};
    for (const EmbeddingsMember& member : read.members) {
        if (member.key == "error") return std::nullopt;
        if (member.key == list_key_of(form)) continue;
        if (member.key == usage_key_of(form)) {
            answer.tokens = form == EmbeddingsForm::openai ? tokens_in_usage(member.value)
                                                           : read_count(member.value);
            continue;
        }
        put_member(answer.frame, member);
        if (is_lasting(member.key)) put_member(answer.lasting_frame, member);
    }
    return answer;
}

VectorShape shape_of_vector(EmbeddingsForm form, std::string_view element) {
    // Of OpenAI's, the members behind the index are there without their opening brace.
    if (form == EmbeddingsForm::openai) {
        const std::string object = "{" + std::string(element);
        EmbeddingsHandler read(object, {});
        if (!JsonWalker(object, read).walk()) return {};
        const std::string_view vector = find_member(read.members, "embedding");
        if (vector.empty()) return {};
        if (vector.front() == '"') return {.packed = true, .length = vector.size()};
        return {.packed = false, .length = numbers_in(vector)};
    }
    return {.packed = false, .length = numbers_in(element)};
}

std::string join_embeddings(EmbeddingsForm form, std::string_view frame,
                            std::span<const std::string_view> elements,
                            std::optional<std::uint64_t> tokens) {
    std::size_t bytes = frame.size() + 128;
    for (const std::string_view element : elements)
        bytes += element.size() + 24;
    std::string out;
    out.reserve(bytes);
    out.append("{").append(frame).append(frame.empty() ? "" : ",");
    out.append("\"").append(list_key_of(form)).append("\":[");
    for (std::size_t i = 0; i < elements.size(); ++i) {
        if (i > 0) out += ',';
        if (form == EmbeddingsForm::openai)
            out.append("{\"index\":").append(std::to_string(i)).append(",");
        out += elements[i];
    }
    out += ']';
    if (tokens && form == EmbeddingsForm::openai) {
        const std::string count = std::to_string(*tokens);
        out.append(R"(,"usage":{"prompt_tokens":)").append(count);
        out.append(R"(,"total_tokens":)").append(count).append("}");
    } else if (tokens) {
        out.append(R"(,"prompt_eval_count":)").append(std::to_string(*tokens));
    }
    out += '}';
    return out;
}

std::vector<std::uint64_t> share_tokens(std::uint64_t tokens,
                                        std::span<const std::size_t> item_bytes) {
    unsigned __int128 all = 0;
    for (const std::size_t bytes : item_bytes)
        all += bytes;
    std::vector<std::uint64_t> shares;
    shares.reserve(item_bytes.size());
    unsigned __int128 so_far = 0;
    std::uint64_t given = 0;
    for (const std::size_t bytes : item_bytes) {
        so_far += bytes;
        const auto due = all == 0 ? 0 : static_cast<std::uint64_t>(so_far * tokens / all);
        shares.push_back(due - given);
        given = due;
    }
    return shares;
}

}  // namespace sluice::llm
