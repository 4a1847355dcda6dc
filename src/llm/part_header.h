// Reading of the header fields that multipart/form-data needs: parameters and part headers.
//
// Internal. Strict: what parsers read differently is refused (see multipart.h).
#pragma once

#include <string_view>

namespace sluice::llm {

// Walks over the parameters behind a type: *( ";" name "=" value ), RFC 9110 section 5.6.6, except
// that a quoted value may not hold a backslash before a quote, which servers read in two ways.
class Parameters {
public:
    explicit Parameters(std::string_view text) : rest_(text) {}

    // False at the end, and where the text is not well formed.
    bool next(std::string_view& name, std::string_view& value);
    bool malformed() const { return malformed_; }

private:
    bool fail();
    bool take_quoted(std::string_view& value);
    void skip_spaces();

    std::string_view rest_;
    bool malformed_ = false;
};

// Compares a field or parameter name or a type without case; `lower` is in lower case.
bool same_word(std::string_view word, std::string_view lower);

// What the header of a part says.
struct PartHeader {
    std::string_view name;
    bool is_file = false;  // it has a file name
};

// Reads the header lines of a part, the empty line that ends them included. Returns what is wrong,
// or null.
const char* read_part_header(std::string_view lines, PartHeader& header);

}  // namespace sluice::llm
