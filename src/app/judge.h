// What is wrong with settings as a whole: what `sluice check` tells, and what keeps a gateway from
// starting.
#pragma once

#include "sluice/config/load.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::app {

// What the modules above config know of single values.
config::Checks checks();

// To look a name up may take long: a start does not wait for that.
enum class Names : std::uint8_t { looked_up, skipped };

struct Judgement {
    std::vector<config::Problem> wrong;
    std::vector<config::Problem> doubtful;  // backends whose names lead nowhere now
};

// Of settings that could be read.
Judgement judge(const config::LoadOutcome& outcome, Names names);

// What requests to each model server go to: "URL: asked at URL".
std::vector<std::string> asked_urls(const config::Settings& settings);

}  // namespace sluice::app
