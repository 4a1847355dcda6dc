// ModelEntry: what is known of a model, in one form, whatever words its server has for it.
//
// Readers fill it from a server's lists (llm/model_list.h), writers say it in the form that a
// client asks for (llm/model_forms.h). What is empty, 0 or without a value is not known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::llm {

inline constexpr std::size_t model_aliases_max = 64;
inline constexpr std::size_t model_members_max = 64;
inline constexpr std::size_t model_words_max = 16;  // modalities and capabilities, each

struct ModelEntry {
    // A member of the entry in OpenAI's form as its server sent it; JSON both, `key` in its quotes.
    struct Member {
        std::string name;  // decoded
        std::string key;
        std::string value;
        bool operator==(const Member&) const = default;
    };

    std::string id;
    std::vector<std::string> aliases;  // the server's other names for it, the id left out
    std::string display_name;
    std::string owned_by;
    std::int64_t created = 0;   // seconds since 1970
    std::uint64_t context = 0;  // tokens: the longest prompt with its answer
    // "text", "image", "audio" ...
    std::vector<std::string> input_modalities;
    std::vector<std::string> output_modalities;
    // In Ollama's words: completion, tools, insert, vision, embedding, thinking, audio.
    std::vector<std::string> capabilities;
    std::string family;          // of its architecture: "llama"
    std::string format;          // of its file: "gguf"
    std::string parameter_size;  // "1.5B"
    std::string quantization;    // "Q4_K_M"
    std::uint64_t parameters = 0;
    std::uint64_t size = 0;          // bytes, of its file
    std::uint64_t size_running = 0;  // bytes that it takes up in memory where it is loaded
    std::uint64_t size_vram = 0;     // of them in a GPU's
    std::string digest;
    std::string modified_at;     // RFC 3339
    std::string expires_at;      // when it is unloaded; RFC 3339
    std::optional<bool> loaded;  // whether it can answer without being loaded first
    std::vector<Member> members;

    bool operator==(const ModelEntry&) const = default;
};

// Fills in what `entry` does not say itself.
void describe(ModelEntry& entry, const ModelEntry& more);

// Whether both say the same; servers that say the time of the question as `created` say the same
// each time.
bool says_the_same(const ModelEntry& one, const ModelEntry& other);

}  // namespace sluice::llm
