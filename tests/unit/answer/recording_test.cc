// Recording: what readers on other threads get, whatever the pace of each, and what is let go.
#include "sluice/answer/recording.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using sluice::answer::Cursor;
using sluice::answer::End;
using sluice::answer::Recording;

namespace {

std::string text_of(std::size_t bytes) {
    std::string text;
    while (text.size() < bytes)
        text += std::to_string(text.size()) + ",";
    text.resize(bytes);
    return text;
}

std::string read_all(Cursor& cursor) {
    std::string read;
    for (auto run = cursor.next(); !run.empty(); run = cursor.next()) {
        read += run;
        cursor.consume(run.size());
    }
    return read;
}

void begin(Recording& recording) {
    recording.stage_status(200, "OK");
    recording.begin(true, sluice::sse::Form::event_stream);
}

}  // namespace

TEST_CASE("recording: who comes early and who comes late read the same") {
    const auto recording = std::make_shared<Recording>(1 << 20);
    Cursor early(recording, recording->door());
    CHECK(recording->state() == Recording::State::waiting);
    CHECK(early.next().empty());
    begin(*recording);
    const std::string text = text_of(200'000);
    std::string read;
    for (std::size_t at = 0; at < text.size(); at += 777) {
        recording->append(std::string_view(text).substr(at, 777));
        read += read_all(early);
    }
    Cursor late(recording, recording->door());
    CHECK(read == text);
    CHECK(read_all(late) == text);
    CHECK_FALSE(late.at_end());
    recording->end({.whole = true, .end = End::ok});
    CHECK(early.at_end());
    CHECK(late.at_end());
    CHECK(recording->kept_whole());
    CHECK(recording->whole_body() == text);
    CHECK(recording->behind() == 0);
}

TEST_CASE("recording: a head that nothing followed is none") {
    Recording recording(100);
    recording.stage_status(200, "OK");
    recording.end({.whole = false, .end = End::backend_error});
    CHECK_FALSE(recording.has_head());
    Recording empty(100);
    empty.stage_status(204, "No Content");
    empty.end({.whole = true, .end = End::ok});
    CHECK(empty.has_head());
    CHECK(empty.head().status == 204);
}

TEST_CASE("recording: what is too long is let go behind the slowest, and nobody joins") {
    constexpr std::size_t kept = 100'000;
    const auto recording = std::make_shared<Recording>(kept);
    const std::string text = text_of(10 * kept);
    Cursor fast(recording, recording->door());
    Cursor slow(recording, recording->door());
    begin(*recording);
    std::string read_fast;
    std::string read_slow;
    std::size_t most = 0;
    for (std::size_t at = 0; at < text.size(); at += 5000) {
        // The writer heeds what it is told of the slowest.
        if (recording->behind() > 0) read_slow += read_all(slow);
        CHECK(recording->behind() == 0);
        recording->append(std::string_view(text).substr(at, 5000));
        read_fast += read_all(fast);
        most = std::max(most, recording->behind());
    }
    CHECK(most > kept);
    CHECK(most < 3 * kept);
    CHECK_FALSE(recording->kept_whole());
    CHECK(recording->whole_body().empty());
    CHECK_FALSE(static_cast<bool>(recording->door()));
    read_slow += read_all(slow);
    CHECK(read_fast == text);
    CHECK(read_slow == text);
}

TEST_CASE("recording: readers on other threads") {
    const std::string text = text_of(2'000'000);
    const auto recording = std::make_shared<Recording>(1 << 20);
    std::atomic<int> whole{0};
    std::vector<std::unique_ptr<Cursor>> cursors;
    for (int i = 0; i < 4; ++i)
        cursors.push_back(std::make_unique<Cursor>(recording, recording->door()));
    std::vector<std::thread> readers;
    for (auto& cursor : cursors)
        readers.emplace_back([&text, &whole, mine = std::move(cursor)]() mutable {
            std::string read;
            while (!mine->at_end()) {
                read += read_all(*mine);
                std::this_thread::yield();
            }
            whole += read == text ? 1 : 0;
        });
    begin(*recording);
    for (std::size_t at = 0; at < text.size(); at += 1234)
        recording->append(std::string_view(text).substr(at, 1234));
    recording->end({.whole = true, .end = End::ok});
    for (auto& reader : readers)
        reader.join();
    CHECK(whole == 4);
}
