#include "try_client.h"

#include "driver.h"

namespace sluice::sim {
namespace {

// The pieces of text of an answer, put together.
std::string content_of(std::string_view body) {
    constexpr std::string_view key = R"("content":")";
    std::string text;
    for (auto at = body.find(key); at != std::string_view::npos; at = body.find(key, at)) {
        at += key.size();
        const auto end = body.find('"', at);
        text += body.substr(at, end == std::string_view::npos ? end : end - at);
    }
    return text;
}

}  // namespace

void TryClient::on_connected() {
    asked_.sent = true;
    reader_.begin(false);
    send(asked_.wire());
    if (leaves_.ns > 0)
        after(leaves_, [this] {
            simulation().prng().chance(1, 2) ? reset() : close();
            end(Try::Outcome::left);
        });
}

void TryClient::on_data(std::string_view bytes) {
    reader_.feed(bytes);
    if (reader_.begun() && reader_.read()) judge(true);
}

void TryClient::judge(bool complete) {
    const auto wrong = [this](const char* what) {
        fail(std::string(what) + " in try-" + std::to_string(asked_.number) + ": " +
             std::to_string(reader_.status()) + "\n" + reader_.body() + "\nlog: " + asked_.line);
    };
    if (!reader_.head_done()) {
        if (!lenient_) wrong("a connection ended without an answer");
        return end(Try::Outcome::cut);
    }
    const std::string body = reader_.body();
    const std::string said = content_of(body);
    const bool error = body.find(R"({"error")") != std::string::npos;
    asked_.touched = !said.empty();
    const std::string whole = said.empty() ? std::string() : asked_.text(said.front());
    if (!whole.starts_with(said)) wrong("the bytes of two backends, or wrong ones");
    if (reader_.status() >= 400) {
        // One that is turned away for want of a descriptor or a buffer is told in no words.
        if (!said.empty() || (!error && !lenient_)) wrong("an error that is none");
        if (complete) return end(Try::Outcome::failed);
    } else if (error) {
        if (body.ends_with("data: [DONE]\n\n")) wrong("a broken stream that ends like a whole one");
        return end(Try::Outcome::failed);
    } else if (complete) {
        if (said.empty() || said != whole) wrong("an answer that is not whole");
        if (asked_.stream && !body.ends_with("data: [DONE]\n\n")) wrong("a stream without its end");
        return end(Try::Outcome::right);
    }
    // Only what is not streamed cannot say that it broke.
    if (asked_.stream && !lenient_) wrong("a stream that ended without a word");
    end(Try::Outcome::cut);
}

void TryClient::end(Try::Outcome outcome) {
    if (!done_) return;
    asked_.outcome = outcome;
    asked_.over_at = simulation().now();
    if (!over()) close();
    std::exchange(done_, nullptr)();
}

}  // namespace sluice::sim
