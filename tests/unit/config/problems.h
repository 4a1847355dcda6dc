// What a file of settings is told, as one text; and tables of that.
#pragma once

#include "sluice/config/load.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace sluice::config::test {

inline std::string problems_of(std::string_view text, const Checks& checks = {}) {
    std::string all;
    for (const Problem& problem : load_text(text, checks).problems)
        all += problem.to_text("") + "\n";
    return all;
}

struct Row {
    std::string text;
    std::string problems;  // each with a line end
};

inline void check(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
        CAPTURE(row.text);
        CHECK(problems_of(row.text) == row.problems);
    }
}

}  // namespace sluice::config::test
