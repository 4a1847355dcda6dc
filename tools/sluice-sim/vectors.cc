// Embeddings, ranks and tokens, made of nothing but the words of a text.
#include "append.h"
#include "documents.h"
#include "json.h"
#include "sluice/base/prng.h"
#include "sluice/llm/errors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>
#include <vector>

namespace sluice::model_sim {
namespace {

constexpr std::uint64_t vocabulary_size = 32'000;

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           static_cast<unsigned char>(c) >= 0x80;
}

// FNV-1a: the same on every machine, which std::hash is not.
std::uint64_t hash_of(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text)
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t begin = at;
        while (at < text.size() && is_letter(text[at]))
            ++at;
        if (at > begin)
            words.push_back(text.substr(begin, at - begin));
        else
            ++at;
    }
    return words;
}

std::vector<std::string_view> tokens_of(std::string_view text) {
    std::vector<std::string_view> tokens;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t begin = at++;
        if (text[begin] == ' ' || is_letter(text[begin]))
            while (at < text.size() && is_letter(text[at]))
                ++at;
        tokens.push_back(text.substr(begin, at - begin));
    }
    return tokens;
}

// Every word has a direction of its own; a text is the sum of its words, of length one.
std::vector<float> vector_of(std::string_view text, std::size_t size) {
    std::vector<double> sum(size);
    auto words = words_of(text);
    if (words.empty()) words.push_back({});
    for (const auto word : words) {
        Prng direction(hash_of(word));
        for (auto& number : sum)
            number += static_cast<double>(direction.next() >> 11) * 0x1p-52 - 1;
    }
    double squares = 0;
    for (const double number : sum)
        squares += number * number;
    std::vector<float> vector;
    for (const double number : sum)
        vector.push_back(static_cast<float>(number / std::sqrt(squares)));
    return vector;
}

std::string numbers(const std::vector<float>& vector) {
    std::string out = "[";
    for (const float number : vector)
        append(out, out.size() == 1 ? "" : ",", number);
    return out + "]";
}

// Little-endian 32-bit floats, as OpenAI's clients ask for them.
std::string base64(const std::vector<float>& vector) {
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::vector<std::uint32_t> bytes;
    for (const float number : vector)
        for (int shift = 0; shift < 32; shift += 8)
            bytes.push_back((std::bit_cast<std::uint32_t>(number) >> shift) & 0xff);
    std::string out = "\"";
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const std::size_t left = std::min<std::size_t>(3, bytes.size() - at);
        std::uint32_t group = bytes[at] << 16;
        if (left > 1) group |= bytes[at + 1] << 8;
        if (left > 2) group |= bytes[at + 2];
        for (std::size_t i = 0; i < 4; ++i)
            out += i <= left ? digits[(group >> (18 - 6 * i)) & 63] : '=';
    }
    return out + "\"";
}

// The texts of an input; a list of numbers is one text of tokens.
std::vector<std::string> inputs_of(std::string_view input) {
    std::vector<std::string> inputs;
    if (json::is_string(input)) {
        inputs.push_back(json::decoded(input));
        return inputs;
    }
    const auto list = json::elements(input);
    if (!list.empty() && json::whole_number(list.front())) {
        inputs.emplace_back(input);
        return inputs;
    }
    for (const auto item : list)
        inputs.push_back(json::is_string(item) ? json::decoded(item) : std::string(item));
    return inputs;
}

std::string escaped(std::string_view text) {
    std::string out;
    llm::append_json_escaped(out, text);
    return out;
}

// As llama-server does, these answer under the name that was asked for.
std::string answering_name(const Options& options, const JsonBody& body) {
    return escaped(body.facts.model.empty() ? options.models.front() : body.facts.model);
}

std::string list_head(const Options& options, const JsonBody& body, std::uint64_t tokens) {
    return joined(R"({"model":")", answering_name(options, body),
                  R"(","object":"list","usage":{"prompt_tokens":)", tokens, R"(,"total_tokens":)",
                  tokens, "},");
}

double score_of(std::string_view query, std::string_view document) {
    const auto asked = words_of(query);
    const auto there = words_of(document);
    const std::set<std::string_view> known(there.begin(), there.end());
    double shared = 0;
    for (const auto word : asked)
        shared += known.contains(word) ? 1 : 0;
    // Documents that share equally much keep an order of their own.
    const double rest = static_cast<double>(hash_of(document) % 1000) / 1e4;
    return 8 * shared / static_cast<double>(std::max<std::size_t>(1, asked.size())) + rest;
}

}  // namespace

std::variant<Work, Fault> embeddings(const Options& options, const JsonBody& body) {
    auto model = served_model(options, body.facts.model);
    if (auto* fault = std::get_if<Fault>(&model)) return std::move(*fault);
    auto input = json::member(body.text, "input");
    if (input.empty()) input = json::member(body.text, "content");
    const auto inputs = inputs_of(input);
    if (inputs.empty()) return bad_request("\"input\" or \"content\" must be provided");
    const bool encoded = json::member(body.text, "encoding_format") == "\"base64\"";
    std::string data;
    std::uint64_t tokens = 0;
    std::size_t index = 0;
    for (const auto& text : inputs) {
        tokens += tokens_in_bytes(text.size());
        const auto vector = vector_of(text, options.embedding_size);
        append(data, index == 0 ? "" : ",", R"({"embedding":)",
               encoded ? base64(vector) : numbers(vector), R"(,"index":)", index,
               R"(,"object":"embedding")", encoded ? R"(,"encoding_format":"base64"})" : "}");
        ++index;
    }
    Work work{.document = {}, .prompt_tokens = tokens};
    work.document.body = joined(list_head(options, body, tokens), R"("data":[)", data, "]}");
    return work;
}

std::variant<Work, Fault> rerank(const Options& options, const JsonBody& body) {
    auto model = served_model(options, body.facts.model);
    if (auto* fault = std::get_if<Fault>(&model)) return std::move(*fault);
    const auto query = json::member(body.text, "query");
    if (query.empty()) return bad_request("\"query\" must be provided");
    const auto documents = json::elements(json::member(body.text, "documents"));
    if (documents.empty()) return bad_request("\"documents\" must be a non-empty string array");
    const auto question = json::decoded(query);
    std::uint64_t tokens = 0;
    std::vector<std::pair<double, std::size_t>> ranks;
    for (const auto document : documents) {
        const auto text = json::is_string(document) ? document : json::member(document, "text");
        tokens += tokens_in_bytes(question.size() + text.size());
        ranks.emplace_back(-score_of(question, json::decoded(text)), ranks.size());
    }
    std::sort(ranks.begin(), ranks.end());
    const auto most = json::whole_number(json::member(body.text, "top_n")).value_or(ranks.size());
    ranks.resize(std::min<std::size_t>(most, ranks.size()));
    std::string results;
    for (const auto& [negative, index] : ranks)
        append(results, results.empty() ? "" : ",", R"({"index":)", index, R"(,"relevance_score":)",
               -negative, '}');
    Work work{.document = {}, .prompt_tokens = tokens};
    work.document.body = joined(list_head(options, body, tokens), R"("results":[)", results, "]}");
    return work;
}

std::variant<Work, Fault> tokenize(const JsonBody& body) {
    const auto content = json::decoded(json::member(body.text, "content"));
    const bool pieces = json::member(body.text, "with_pieces") == "true";
    std::string tokens;
    for (const auto token : tokens_of(content)) {
        const std::uint64_t id = hash_of(token) % vocabulary_size;
        if (!tokens.empty()) tokens += ',';
        if (pieces)
            append(tokens, R"({"id":)", id, R"(,"piece":")", escaped(token), R"("})");
        else
            append(tokens, id);
    }
    Work work{.document = {}, .prompt_tokens = 0};
    work.document.body = joined(R"({"tokens":[)", tokens, "]}");
    return work;
}

}  // namespace sluice::model_sim
