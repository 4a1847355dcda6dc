// Driver: runs a fuzz target without libFuzzer, so that every compiler's tests replay the corpora.
//
//     NAME_fuzz [-runs=N] [-seed=N] FILE_OR_FOLDER...
//
// Runs the target on every input, then N times (default 20000) on a mutation of one. Same seed,
// same mutations. When the target aborts, the input is printed in hexadecimal: it belongs in the
// corpus.
#include "sluice/base/prng.h"

#include <dirent.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t input_bytes_max = 64 * 1024;

std::string current_input;  // for the handler

void print_current_input(int) {
    std::fprintf(stderr, "driver: the input was ");
    for (const char c : current_input)
        std::fprintf(stderr, "%02x", static_cast<unsigned char>(c));
    std::fprintf(stderr, "\n");
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
}

void run(const std::string& input) {
    current_input = input;
    // A copy of the exact size, so that a sanitizer sees any look behind its end.
    const std::vector<std::uint8_t> bytes(input.begin(), input.end());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

bool read_file(const std::string& path, std::vector<std::string>& inputs) {
    std::FILE* file = std::fopen(path.c_str(), "rb");
    if (file == nullptr) return false;
    std::string text(input_bytes_max, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file));
    std::fclose(file);
    inputs.push_back(std::move(text));
    return true;
}

// In the order of the names, so that a seed means the same on every file system.
bool read_inputs(const std::string& path, std::vector<std::string>& inputs) {
    DIR* folder = opendir(path.c_str());
    if (folder == nullptr) return read_file(path, inputs);
    std::vector<std::string> names;
    while (const dirent* entry = readdir(folder)) {
        if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    }
    closedir(folder);
    std::ranges::sort(names);
    return std::ranges::all_of(
        names, [&](const std::string& name) { return read_file(path + "/" + name, inputs); });
}

// One to four edits: flip, insert, erase, repeat a part, or take a part of another input.
std::string mutate(const std::vector<std::string>& inputs, sluice::Prng& prng) {
    std::string text = inputs[prng.below(inputs.size())];
    for (std::uint64_t edits = prng.between(1, 4); edits > 0; --edits) {
        const std::size_t at = prng.below(text.size() + 1);
        const std::size_t length = prng.below(std::min<std::size_t>(text.size() - at, 64) + 1);
        switch (prng.below(5)) {
            case 0:
                if (at < text.size()) text[at] = static_cast<char>(prng.below(256));
                break;
            case 1:
                text.insert(at, 1, "\r\n \t:;,=0\"\\{}[]\0\x80"[prng.below(17)]);
                break;
            case 2:
                text.erase(at, length);
                break;
            case 3:
                text.insert(at, text.substr(at, length));
                break;
            default: {
                const std::string& other = inputs[prng.below(inputs.size())];
                const std::size_t from = prng.below(other.size() + 1);
                text.replace(at, length, other, from, prng.below(64));
            }
        }
    }
    if (text.size() > input_bytes_max) text.resize(input_bytes_max);
    return text;
}

}  // namespace

int main(int argc, char** argv) {
    std::uint64_t runs = 20000;
    std::uint64_t seed = 1;
    std::vector<std::string> inputs = {""};
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word.starts_with("-runs=")) {
            runs = std::strtoull(argv[i] + 6, nullptr, 10);
        } else if (word.starts_with("-seed=")) {
            seed = std::strtoull(argv[i] + 6, nullptr, 10);
        } else if (!read_inputs(argv[i], inputs)) {
            std::fprintf(stderr, "driver: cannot read %s\n", argv[i]);
            return 2;
        }
    }
    std::signal(SIGABRT, print_current_input);
    for (const std::string& input : inputs)
        run(input);
    sluice::Prng prng(seed);
    for (std::uint64_t i = 0; i < runs; ++i)
        run(mutate(inputs, prng));
    std::printf("driver: %zu inputs and %llu mutations, seed %llu\n", inputs.size(),
                static_cast<unsigned long long>(runs), static_cast<unsigned long long>(seed));
    return 0;
}
