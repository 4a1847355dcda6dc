#include "gateway_client.h"

#include "driver.h"

#include <algorithm>
#include <array>
#include <string>

namespace sluice::sim {
namespace {

// Without a descriptor or a place for the connection the gateway says 503 before it has read
// anything.
bool is_turned_away(const AnswerReader& answer) {
    return answer.status() == 503 && answer.field("x-request-id").empty();
}

// The gateway's own errors are told from a backend's.
bool is_own_error(const AnswerReader& answer) {
    return answer.status() >= 400 && (answer.field("server") == "sluice" || is_turned_away(answer));
}

[[noreturn]] void accuse(const Case& asked, const std::string& what) {
    fail("case-" + std::to_string(asked.number) + ": " + what +
         "\nrequest: " + asked.wire.substr(0, 300) + "\nlog: " + asked.logged_line);
}

// Where the two differ, for people.
std::string difference(std::string_view got, std::string_view wanted) {
    const auto [at, other] = std::ranges::mismatch(got, wanted);
    const auto offset = static_cast<std::size_t>(at - got.begin());
    return std::to_string(got.size()) + " bytes for " + std::to_string(wanted.size()) +
           ", different from byte " + std::to_string(offset) + ": got '" +
           std::string(got.substr(offset, 60)) + "', wanted '" +
           std::string(wanted.substr(std::min(offset, wanted.size()), 60)) + "'";
}

// The same text with LF for every line end and no more than one empty line in a row.
std::string plain_lines(std::string_view body) {
    std::string text;
    for (std::size_t i = 0; i < body.size(); ++i) {
        if (body[i] == '\r' && i + 1 < body.size() && body[i + 1] == '\n') continue;
        if (body[i] != '\r' && body[i] != '\n')
            text += body[i];
        else if (!text.ends_with("\n\n"))
            text += '\n';
    }
    return text;
}

// Whether its last event is an error: a stream that broke may end properly behind that.
bool tells_of_a_break(std::string_view body) {
    if (!body.ends_with("\n\n")) return false;
    body.remove_suffix(2);
    // What stands before it ends as the backend ends its events.
    const auto end = body.find_last_of("\r\n");
    return body.substr(end == body.npos ? 0 : end + 1).starts_with("data: {\"error\"");
}

// Whether it begins with a notice, or with what was cut off in the middle of one.
bool begins_with_notice(std::string_view body) {
    if (body.starts_with(": queued ")) return true;
    return std::ranges::any_of(std::array<std::string_view, 2>{": waiting\n\n", ": loading\n\n"},
                               [body](std::string_view notice) {
                                   return body.starts_with(notice) ||
                                          (body.size() > 2 && notice.starts_with(body));
                               });
}

// Without what the gateway said while it waited: comments in front of the first event, and a
// heartbeat between two that were long in coming.
std::string without_notices(std::string_view told) {
    constexpr std::string_view beat = "\n: still there\n\n";
    std::string without_beats(told);
    for (auto at = without_beats.find(beat); at != std::string::npos;
         at = without_beats.find(beat, at))
        without_beats.erase(at + 1, beat.size() - 1);
    std::string_view body = without_beats;
    std::string kept;  // comments of the backend's own
    for (;;) {
        const bool ours = begins_with_notice(body);
        const std::string_view mark =
            ours || body.find("\r\n\r\n") > body.find("\n\n") ? "\n\n" : "\r\n\r\n";
        const auto end = body.starts_with(':') ? body.find(mark) : body.npos;
        if (end == body.npos) return ours ? kept : kept + std::string(body);
        if (!ours) kept += body.substr(0, end + mark.size());
        body.remove_prefix(end + mark.size());
    }
}

// The answer was begun before the backend said anything: what it says then, other than a stream of
// status 200, can only end it.
bool is_committed(const AnswerReader& answer) {
    return without_notices(answer.body()) != answer.body();
}

// With the usage event taken out of a stream of CRLF lines, the LF of its last CRLF may stay (or
// that of the line before it go): an empty line between events says nothing.
std::string comparable(const Case& asked, std::string_view body) {
    const bool may_differ =
        asked.plan.events() && !asked.asks_usage && asked.plan.usage_event.ends_with("\r\n");
    return may_differ ? plain_lines(without_notices(body)) : without_notices(body);
}

}  // namespace

ClientHabits ClientHabits::random(Prng& prng) {
    ClientHabits habits;
    habits.pipelines = prng.chance(1, 5);
    habits.byte_by_byte = prng.chance(1, 10);
    if (prng.chance(1, 5)) {
        habits.read_max = prng.between(1, 3000);
        habits.read_pause = Duration::micros(static_cast<std::int64_t>(prng.between(1, 2000)));
    }
    habits.think_max =
        Duration::micros(static_cast<std::int64_t>(prng.below(1U << prng.below(24))));
    if (prng.chance(1, 5)) {
        const auto most = std::uint64_t{1} << prng.between(5, 20);
        habits.leaves_after = Duration::micros(static_cast<std::int64_t>(prng.between(1, most)));
        habits.leaves_by_reset = prng.chance(1, 2);
    }
    habits.half_closes = prng.chance(1, 10);
    habits.stalls = prng.chance(1, 20);
    if (prng.chance(1, 30)) {
        habits.deaf = true;
        habits.leaves_after = Duration::seconds(200);
    }
    return habits;
}

ClientHabits ClientHabits::of_asker(Prng& prng, const Plan& plan) {
    ClientHabits habits = random(prng);
    habits.pipelines = false;
    if (prng.chance(1, 2)) return habits;
    const std::size_t size = plan.body(true).size();
    const auto some_time = [&prng](Duration most) {
        return Duration::micros(1 + static_cast<std::int64_t>(prng.below(
                                        static_cast<std::uint64_t>(most.as_micros()) + 1)));
    };
    habits.leaves_by_reset = prng.chance(1, 2);
    switch (prng.below(4)) {
        case 0:  // before the head
            habits.leaves_after = some_time(plan.first_byte + Duration::millis(3));
            return habits;
        case 1:  // before the first event
            habits.leaves_at = 0;
            return habits;
        case 2:  // in the middle
            habits.leaves_at = prng.between(1, size);
            return habits;
        default:  // at the end
            habits.leaves_at = size - std::min<std::size_t>(size, prng.below(20));
            return habits;
    }
}

// --- sending --------------------------------------------------------------------------------

void GatewayClient::on_connected() {
    if (habits_.deaf)
        read_slowly(0, {});
    else if (habits_.read_pause.ns > 0)
        read_slowly(habits_.read_max, habits_.read_pause);
    if (habits_.leaves_after.ns > 0) after(habits_.leaves_after, [this] { leave(); });
    if (ledger_.events_spliced) reader_.expect_broken_chunks();
    reader_.begin(current().head);
    send_next();
}

void GatewayClient::send_next() {
    if (sent_ == cases_.size()) return;
    const bool idle = unwritten_.empty();
    do {
        unwritten_ += cases_[sent_]->wire;
        cases_[sent_]->begun = true;
        ++sent_;
    } while (habits_.pipelines && sent_ < cases_.size());
    if (idle) write_some();
}

void GatewayClient::write_some() {
    Prng& prng = simulation().prng();
    if (habits_.half_closes && unwritten_.empty() && sent_ == cases_.size()) {
        if (!ledger_.half_close_tolerated) mark_left();
        return finish();
    }
    if (unwritten_.empty() || (habits_.stalls && prng.chance(1, 4))) return;
    const bool small = habits_.byte_by_byte && unwritten_.size() < 3000;
    const std::size_t size = small ? 1 : prng.between(1, unwritten_.size());
    send(std::string_view(unwritten_).substr(0, size));
    unwritten_.erase(0, size);
    if (unwritten_.empty()) cases_[sent_ - 1]->sent_at = simulation().now();
    after(simulation().random_delay(Duration::micros(small ? 500 : 3000)),
          [this] { write_some(); });
}

// From here on nothing is owed to it.
void GatewayClient::mark_left() {
    for (std::size_t i = answered_; i < cases_.size(); ++i) {
        cases_[i]->client_left = true;
        cases_[i]->left_at = simulation().now();
        // Where half-closed clients are tolerated only a reset tells that one is gone; and a FIN
        // does not come through behind requests ahead of time that nobody reads.
        const bool fin_shows = !ledger_.half_close_tolerated && !is_backed_up();
        const bool shows = fin_shows || habits_.leaves_by_reset;
        cases_[i]->leaving_shows = shows;
        cases_[i]->over_at = simulation().now();
        cases_[i]->backend_was_busy = shows && cases_[i]->backend_busy;
        cases_[i]->outcome = Case::Outcome::unanswered;
    }
}

void GatewayClient::leave() {
    mark_left();
    if (habits_.leaves_by_reset)
        reset();
    else
        close();
    stop();
}

void GatewayClient::stop() {
    if (!over()) close();
    if (done_) std::exchange(done_, nullptr)();
}

// --- hearing --------------------------------------------------------------------------------

void GatewayClient::on_data(std::string_view bytes) {
    reader_.feed(bytes);
    while (!over() && answered_ < cases_.size() && reader_.begun() && reader_.read())
        answer_complete();
    if (!over() && habits_.leaves_at && reader_.head_done() &&
        reader_.body().size() >= *habits_.leaves_at)
        leave();
}

void GatewayClient::answer_complete() {
    Case& asked = current();
    if (answered_ == sent_) {
        // It was turned away before it had said a word.
        expect(ledger_.lenient && is_turned_away(reader_),
               "a client got an answer to a request that it has not sent");
        return stop();
    }
    judge(asked, false);
    gateway_closes_ = reader_.closes();
    ++answered_;
    if (answered_ == cases_.size() || gateway_closes_) {
        // A HEAD that did not come whole in time is not known as one: its 408 has a body.
        const bool known = reader_.status() != 408 || !cases_[answered_ - 1]->head;
        if (known && !reader_.nothing_left())
            accuse(*cases_[answered_ - 1], "bytes behind the last answer: " + reader_.left());
        for (std::size_t i = answered_; i < cases_.size(); ++i)
            cases_[i]->outcome = Case::Outcome::unanswered;
        return stop();
    }
    reader_.begin(current().head);
    if (sent_ == answered_)
        after(simulation().random_delay(habits_.think_max), [this] { send_next(); });
}

void GatewayClient::on_end() {
    if (answered_ < cases_.size() && reader_.end()) {
        judge(current(), true);
        ++answered_;
        for (std::size_t i = answered_; i < cases_.size(); ++i)
            cases_[i]->outcome = Case::Outcome::unanswered;
        return stop();
    }
    connection_lost(false);
}

void GatewayClient::on_reset() {
    connection_lost(true);
}

void GatewayClient::on_refused() {
    connection_lost(true);
}

void GatewayClient::connection_lost(bool reset) {
    if (answered_ < cases_.size()) {
        Case& asked = current();
        asked.over_at = simulation().now();
        if (reader_.head_done()) {
            judge_broken(asked, reset);
        } else {
            asked.outcome = Case::Outcome::unanswered;
            // Idle connections end; the request that was not begun, or crossed with the end, is
            // for the client to send again.
            if (sent_ > answered_ && answered_ == 0 && !killed())
                excuse(asked, reset ? "reset without an answer" : "closed without an answer");
        }
        for (std::size_t i = answered_ + 1; i < cases_.size(); ++i)
            cases_[i]->outcome = Case::Outcome::unanswered;
    }
    stop();
}

// --- judging --------------------------------------------------------------------------------

// A later answer on the connection broke and only a reset could tell (to HTTP/1.0), which takes
// what was on its way before it as well.
bool GatewayClient::reset_by_later() const {
    for (std::size_t i = answered_ + 1; i < sent_; ++i)
        if (cases_[i]->http_1_0 && cases_[i]->server_may_fail()) return true;
    return false;
}

// Fails unless something was arranged that may hit an innocent request.
void GatewayClient::excuse(const Case& asked, const char* what) const {
    if (ledger_.lenient || asked.may_fail || asked.client_left) return;
    if (habits_.stalls || habits_.deaf || reset_by_later()) return;
    if (asked.server_may_fail()) return;
    if (is_committed(reader_) && !asked.plan.events()) return;
    accuse(asked, what);
}

void GatewayClient::judge(Case& asked, bool by_end) {
    asked.over_at = simulation().now();
    if (asked.kind == Case::Kind::forwarded && !is_own_error(reader_)) {
        const std::string wanted = comparable(asked, asked.plan.body(asked.asks_usage));
        const bool may_be_broken = by_end || tells_of_a_break(reader_.body());
        if (may_be_broken && comparable(asked, reader_.body()) != wanted)
            return judge_broken(asked, false);
        return judge_forwarded(asked);
    }
    if (asked.kind == Case::Kind::own && reader_.status() == 200) {
        if (!asked.expected_body.empty() && reader_.body() != asked.expected_body)
            accuse(asked, "the gateway's own answer is wrong");
        asked.outcome = Case::Outcome::right;
        return;
    }
    judge_error(asked);
}

void GatewayClient::judge_forwarded(Case& asked) {
    if (reader_.status() != asked.plan.status)
        accuse(asked, "status " + std::to_string(reader_.status()) + " instead of " +
                          std::to_string(asked.plan.status));
    const std::string wanted = comparable(asked, asked.plan.body(asked.asks_usage));
    const std::string got = comparable(asked, reader_.body());
    // An empty line that ends with CR ends the last event, though the backend broke before its LF;
    // and one line end is enough for the mark of the end (R10).
    const bool may_break = asked.server_may_fail() || ledger_.lenient;
    const bool done =
        got.find("[DONE]", got.size() - std::min<std::size_t>(got.size(), 8)) != std::string::npos;
    const bool ended = may_break && ((wanted.ends_with("\r\n") && got + '\n' == wanted) ||
                                     (done && wanted.starts_with(got)));
    if (got != wanted && !ended)
        accuse(asked, "an answer looks whole and is not: " + difference(got, wanted));
    const auto id = "case-" + std::to_string(asked.number);
    if (reader_.field("x-request-id") != id) accuse(asked, "the answer is to another request");
    asked.outcome = Case::Outcome::right;
}

void GatewayClient::judge_error(Case& asked) {
    if (!is_own_error(reader_))
        accuse(asked, "an unexpected answer: " + std::to_string(reader_.status()));
    if (!asked.head && reader_.body().find("\"error\"") == std::string::npos &&
        !reader_.body().empty())
        accuse(asked, "an error without a text");
    asked.outcome = Case::Outcome::error;
    switch (asked.kind) {
        case Case::Kind::refused:
            if (reader_.status() != asked.expected_status)
                excuse(asked, "refused with another status");
            return;
        case Case::Kind::malformed:
            if (reader_.status() >= 500) excuse(asked, "a malformed request made a 5xx");
            if (!reader_.closes()) accuse(asked, "a malformed request left the connection open");
            return;
        case Case::Kind::forwarded:
            // What others did to the backends of a route opens a breaker, as it would to them.
            if (asked.generic && reader_.body().find("are left alone") != std::string::npos) return;
            // Nor is one sent again that met a kept connection as its server closed it (R4): then
            // no server has seen it.
            if (asked.generic && asked.seen_by_backends == 0 &&
                reader_.body().find("it is not sent again") != std::string::npos)
                return;
            // Who began what this one was to share left, on another shard, before it was sent.
            if (asked.question != nullptr &&
                reader_.body().find("was given up before a backend was asked") != std::string::npos)
                return;
            [[fallthrough]];
        case Case::Kind::own:
            return excuse(asked, "an innocent request failed");
    }
}

// The connection ended in the middle of an answer.
void GatewayClient::judge_broken(Case& asked, bool reset) {
    asked.outcome = Case::Outcome::broken;
    if (killed()) return;
    excuse(asked, "an answer broke off");
    if (asked.kind != Case::Kind::forwarded || is_own_error(reader_) || asked.client_left) return;
    const std::string wanted = asked.plan.body(asked.asks_usage);
    const std::string got = without_notices(reader_.body());
    // Who asked for a stream hears in an event that a document broke before any of it was passed
    // on.
    const bool told =
        asked.wire.find("\"stream\"") != std::string::npos && got.starts_with("data: {\"error\"");
    if (asked.plan.events() || is_committed(reader_) || told)
        return judge_broken_stream(asked, got, wanted, reset);
    if (!wanted.starts_with(got))
        accuse(asked, "wrong bytes before the break: " + difference(got, wanted));
    // To HTTP/1.0 only a reset could tell.
    if (reader_.framing() == AnswerReader::Framing::until_close && !reset && !asked.http_1_0)
        accuse(asked, "a broken answer ended like a whole one");
}

// A stream says itself that it broke: its bytes up to some place, then an error event.
void GatewayClient::judge_broken_stream(const Case& asked, std::string_view body,
                                        std::string_view whole, bool reset) const {
    constexpr std::string_view marker = "data: {\"error\"";
    const std::string got = plain_lines(body);
    const std::string wanted = plain_lines(whole);
    const bool visible = reader_.framing() == AnswerReader::Framing::chunked;
    const bool cut_off = reset || ledger_.lenient || (ledger_.events_spliced && visible);
    const auto same =
        static_cast<std::size_t>(std::ranges::mismatch(got, wanted).in1 - got.begin());
    if (same == got.size()) {
        if (!cut_off && reader_.framing() != AnswerReader::Framing::length)
            accuse(asked, "a stream broke without a word");
        return;
    }
    const auto line = got.rfind("\n\n", same);
    const std::string_view last =
        std::string_view(got).substr(line == std::string::npos ? 0 : line + 2);
    if (!last.starts_with(marker) && !marker.starts_with(last))
        accuse(asked, "wrong bytes before the break: " + difference(got, wanted));
    if (!last.ends_with("\n\n") && !cut_off) accuse(asked, "an error event is not whole");
}

}  // namespace sluice::sim
