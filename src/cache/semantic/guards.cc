#include "sluice/cache/semantic/guards.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <string>
#include <vector>

namespace sluice::cache::semantic {

namespace {

using Words = std::vector<std::string>;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
// Every byte of what is not ASCII is a letter's here; other_script sees to it which ones there are.
bool is_letter(char c) {
    return is_upper(c) || is_lower(c) || static_cast<std::uint8_t>(c) >= 0x80;
}
bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_in(std::span<const std::string_view> sorted, std::string_view word) {
    return std::ranges::binary_search(sorted, word);
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_blank(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back()))
        text.remove_suffix(1);
    return text;
}

// --- marks that are not ASCII ---

// As the ASCII ones: typographic quotation marks, apostrophes and dashes, and the wide blank.
std::string plain_marks(std::string_view text) {
    struct Mark {
        std::string_view mark;
        char plain;
    };
    static constexpr Mark marks[] = {
        {"\u2018", '\''}, {"\u2019", '\''}, {"\u201A", '\''}, {"\u201C", '"'}, {"\u201D", '"'},
        {"\u201E", '"'},  {"\u00AB", '"'},  {"\u00BB", '"'},  {"\u2013", '-'}, {"\u2014", '-'},
        {"\u00A0", ' '},  {"\u2026", '.'},  {"\u00BF", ' '},  {"\u00A1", ' '}, {"\u2212", '-'}};
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const auto* found = std::end(marks);
        if (static_cast<std::uint8_t>(text.front()) >= 0x80) {
            found = std::ranges::find_if(
                marks, [text](const Mark& each) { return text.starts_with(each.mark); });
        }
        out += found == std::end(marks) ? text.front() : found->plain;
        text.remove_prefix(found == std::end(marks) ? 1 : found->mark.size());
    }
    return out;
}

// Beyond U+024F, where the Latin letters of living languages end (RFC 3629: its bytes are C9 8F).
// So are signs, and whatever is no UTF-8.
bool has_other_script(std::string_view text) {
    return std::ranges::any_of(text, [](char c) { return static_cast<std::uint8_t>(c) > 0xC9; });
}

// --- words ---

struct Word {
    std::string_view text;  // letters, digits, and ' - . , between two of them
    bool begins_sentence;
};

std::vector<Word> words_of(std::string_view text) {
    std::vector<Word> words;
    bool begins = true;
    for (std::size_t at = 0; at < text.size();) {
        const char c = text[at];
        if (!is_letter(c) && !is_digit(c)) {
            begins |= c == '.' || c == '!' || c == '?' || c == ':' || c == '\n';
            ++at;
            continue;
        }
        std::size_t end = at + 1;
        const auto goes_on = [&](std::size_t i) { return is_letter(text[i]) || is_digit(text[i]); };
        for (; end < text.size(); ++end) {
            if (goes_on(end)) continue;
            const char mark = text[end];
            const bool joins = mark == '\'' || mark == '-' || mark == '.' || mark == ',';
            if (!joins || end + 1 >= text.size() || !goes_on(end + 1)) break;
            // A comma or a point joins numbers only.
            const bool in_number = is_digit(text[end - 1]) && is_digit(text[end + 1]);
            if ((mark == '.' || mark == ',') && !in_number) break;
        }
        words.push_back({text.substr(at, end - at), begins});
        begins = false;
        at = end;
    }
    return words;
}

std::string folded(std::string_view word) {
    std::string out(word);
    for (char& c : out)
        if (is_upper(c)) c = static_cast<char>(c - 'A' + 'a');
    return out;
}

// --- what is compared ---

constexpr std::string_view number_words[] = {
    "billion", "dozen",   "eight",   "eighteen",  "eighth",   "eighty",   "eleven",   "fifteen",
    "fifth",   "fifty",   "first",   "five",      "forty",    "four",     "fourteen", "fourth",
    "half",    "hundred", "million", "nine",      "nineteen", "ninety",   "ninth",    "one",
    "quarter", "second",  "seven",   "seventeen", "seventh",  "seventy",  "six",      "sixteen",
    "sixth",   "sixty",   "ten",     "tenth",     "third",    "thirteen", "thirty",   "thousand",
    "three",   "twelve",  "twenty",  "twice",     "two",      "zero"};
static_assert(std::ranges::is_sorted(number_words));

constexpr std::string_view denials[] = {
    "aucun",  "aucune",   "cannot", "except", "hardly",  "jamais",  "kein",    "keine",   "keinem",
    "keinen", "keiner",   "keines", "less",   "mai",     "nada",    "nadie",   "ne",      "neither",
    "never",  "ni",       "nicht",  "nichts", "nie",     "niemals", "niente",  "niet",    "no",
    "nobody", "non",      "none",   "nooit",  "nor",     "not",     "nothing", "nowhere", "nulla",
    "nunca",  "n\u00E3o", "ohne",   "pas",    "rarely",  "sans",    "seldom",  "sem",     "senza",
    "sin",    "unless",   "unlike", "weder",  "without", "zonder"};
static_assert(std::ranges::is_sorted(denials));

bool is_denial(std::string_view word) {
    return is_in(denials, word) || word.ends_with("n't");
}

// Words of which each says what the other does not.
struct Opposites {
    std::string_view a;
    std::string_view b;
};
constexpr Opposites opposites[] = {{"add", "remove"},
                                   {"after", "before"},
                                   {"allow", "deny"},
                                   {"all", "some"},
                                   {"always", "sometimes"},
                                   {"ascending", "descending"},
                                   {"begin", "end"},
                                   {"best", "worst"},
                                   {"bigger", "smaller"},
                                   {"buy", "sell"},
                                   {"cheap", "expensive"},
                                   {"close", "open"},
                                   {"cold", "hot"},
                                   {"decrease", "increase"},
                                   {"download", "upload"},
                                   {"encode", "decode"},
                                   {"encrypt", "decrypt"},
                                   {"fast", "slow"},
                                   {"first", "last"},
                                   {"good", "bad"},
                                   {"higher", "lower"},
                                   {"highest", "lowest"},
                                   {"import", "export"},
                                   {"in", "out"},
                                   {"largest", "smallest"},
                                   {"left", "right"},
                                   {"longest", "shortest"},
                                   {"max", "min"},
                                   {"maximum", "minimum"},
                                   {"more", "less"},
                                   {"most", "least"},
                                   {"newest", "oldest"},
                                   {"off", "on"},
                                   {"pros", "cons"},
                                   {"push", "pull"},
                                   {"start", "stop"},
                                   {"today", "tomorrow"},
                                   {"today", "yesterday"},
                                   {"up", "down"},
                                   {"win", "lose"},
                                   {"with", "without"},
                                   {"true", "false"},
                                   {"advantages", "disadvantages"}};

constexpr std::string_view prefixes[] = {"un",  "in",  "im",   "il",   "ir",    "dis", "de",
                                         "non", "mis", "anti", "non-", "anti-", "de-", "un-"};

// Words that begin a sentence and are no name for that. In English; in other languages a sentence
// that begins otherwise is a miss.
constexpr std::string_view beginnings[] = {
    "a",         "an",     "and",     "are",       "as",      "at",      "but",       "by",
    "calculate", "can",    "compare", "compute",   "could",   "create",  "define",    "describe",
    "did",       "do",     "does",    "don't",     "explain", "find",    "for",       "from",
    "generate",  "give",   "had",     "has",       "have",    "hello",   "help",      "hey",
    "hi",        "how",    "i",       "i'd",       "i'm",     "if",      "in",        "is",
    "it",        "its",    "let",     "list",      "make",    "may",     "my",        "name",
    "no",        "not",    "of",      "on",        "or",      "our",     "please",    "provide",
    "rewrite",   "say",    "should",  "show",      "so",      "suggest", "summarise", "summarize",
    "tell",      "thanks", "that",    "the",       "their",   "there",   "these",     "they",
    "this",      "those",  "to",      "translate", "use",     "was",     "we",        "were",
    "what",      "what's", "when",    "where",     "which",   "who",     "whose",     "why",
    "will",      "with",   "would"};
static_assert(std::ranges::is_sorted(beginnings));

bool has_any(std::string_view text, bool (*holds)(char)) {
    return std::ranges::any_of(text, holds);
}

bool is_number(const Word& word) {
    return is_digit(word.text.front()) || is_in(number_words, folded(word.text));
}

// With a capital letter at its begin where no sentence begins, or further on; of letters beyond
// ASCII it is not known. "I" is nobody's name.
bool is_name(const Word& word) {
    if (word.text == "I" || word.text.starts_with("I'")) return false;
    if (has_any(word.text, is_digit) && has_any(word.text, is_letter)) return true;
    if (has_any(word.text.substr(1), is_upper)) return true;
    if (!is_upper(word.text.front())) return false;
    return !word.begins_sentence || !is_in(beginnings, folded(word.text));
}

Words quotes_of(std::string_view text) {
    Words quotes;
    for (std::size_t at = text.find('"'); at != text.npos; at = text.find('"', at + 1)) {
        const std::size_t end = std::min(text.find('"', at + 1), text.size());
        quotes.emplace_back(trim(text.substr(at + 1, end - at - 1)));
        if (end == text.size()) break;
        at = end;
    }
    // Single ones are apostrophes, unless a word stands between two of them.
    for (std::size_t at = text.find('\''); at != text.npos; at = text.find('\'', at + 1)) {
        const bool opens = at == 0 || !is_letter(text[at - 1]);
        const std::size_t end = text.find('\'', at + 1);
        if (!opens || end == text.npos) continue;
        quotes.emplace_back(trim(text.substr(at + 1, end - at - 1)));
        at = end;
    }
    return quotes;
}

// What prose has none of.
bool has_code(std::string_view text) {
    static constexpr std::string_view signs[] = {
        "`",      "{",    "}",   "==", "=>", "->", "::", "()", "</", "/>", "://",
        "&&",     "||",   ";\n", "+=", "!=", "<=", ">=", "\\", "$",  "@",  "#",
        "\n    ", "\n\t", "[",   "]",  "_",  "<",  ">",  "=",  "~/", "*",  "|"};
    const bool has_sign = std::ranges::any_of(
        signs, [text](std::string_view sign) { return text.find(sign) != text.npos; });
    if (has_sign) return true;
    // A path or a file's name: a slash or a point with letters right behind it.
    for (std::size_t at = 0; at + 1 < text.size(); ++at) {
        if ((text[at] == '.' || text[at] == '/') && is_letter(text[at + 1])) return true;
    }
    return false;
}

// One question, as far as it is compared.
struct Signs {
    Words numbers;
    Words names;
    Words denials;
    Words quotes;
    Words words;  // sorted, each once
};

Signs signs_of(std::string_view text) {
    Signs signs;
    signs.quotes = quotes_of(text);
    for (const Word& word : words_of(text)) {
        std::string plain = folded(word.text);
        if (is_number(word)) signs.numbers.push_back(plain);
        if (is_name(word)) signs.names.emplace_back(word.text);
        if (is_denial(plain)) signs.denials.push_back(plain);
        signs.words.push_back(std::move(plain));
    }
    std::ranges::sort(signs.denials);
    std::ranges::sort(signs.words);
    const auto twins = std::ranges::unique(signs.words);
    signs.words.erase(twins.begin(), twins.end());
    return signs;
}

// Whether a word of the one stands against a word of the other.
bool turns_round(const Words& a, const Words& b) {
    Words only_a;
    Words only_b;
    std::ranges::set_difference(a, b, std::back_inserter(only_a));
    std::ranges::set_difference(b, a, std::back_inserter(only_b));
    const auto has = [](const Words& words, std::string_view word) {
        return std::ranges::binary_search(words, word, {},
                                          [](const auto& each) { return std::string_view(each); });
    };
    const auto against = [&has](const Words& some, const Words& others) {
        const bool by_table = std::ranges::any_of(opposites, [&](const Opposites& pair) {
            return has(some, pair.a) && has(others, pair.b);
        });
        return by_table || std::ranges::any_of(some, [&](const std::string& word) {
                   return std::ranges::any_of(prefixes, [&](std::string_view prefix) {
                       return has(others, std::string(prefix) + word);
                   });
               });
    };
    return against(only_a, only_b) || against(only_b, only_a);
}

}  // namespace

std::string_view name_of(Guard guard) {
    static constexpr std::array<std::string_view, guard_count> names{
        "none",    "too_short", "too_many_turns", "other_script", "code",
        "numbers", "quotes",    "names",          "negation"};
    return names[static_cast<std::size_t>(guard)];
}

Guard guard(std::string_view question, std::size_t turns, const GuardSettings& settings) {
    if (turns > settings.turns_max) return Guard::too_many_turns;
    const std::string_view text = trim(question);
    const auto characters = std::ranges::count_if(
        text, [](char c) { return (static_cast<std::uint8_t>(c) & 0xC0) != 0x80; });
    const bool is_short = static_cast<std::size_t>(characters) < settings.characters_min ||
                          words_of(text).size() < settings.words_min;
    return is_short ? Guard::too_short : Guard::none;
}

Guard guard(std::string_view a, std::string_view b) {
    const std::string plain_a = plain_marks(trim(a));
    const std::string plain_b = plain_marks(trim(b));
    if (plain_a == plain_b) return Guard::none;
    if (has_other_script(plain_a) || has_other_script(plain_b)) return Guard::other_script;
    if (has_code(plain_a) || has_code(plain_b)) return Guard::code;
    const Signs signs_a = signs_of(plain_a);
    const Signs signs_b = signs_of(plain_b);
    if (signs_a.numbers != signs_b.numbers) return Guard::numbers;
    if (signs_a.quotes != signs_b.quotes) return Guard::quotes;
    if (signs_a.names != signs_b.names) return Guard::names;
    if (signs_a.denials != signs_b.denials) return Guard::negation;
    return turns_round(signs_a.words, signs_b.words) ? Guard::negation : Guard::none;
}

}  // namespace sluice::cache::semantic
