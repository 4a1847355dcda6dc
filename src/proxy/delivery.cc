#include "delivery.h"

#include "sluice/llm/errors.h"
#include "sluice/llm/responses_end.h"
#include "sluice/proxy/doors.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace sluice::proxy {
namespace {

// The head of a stream that has not said anything is kept that long where nothing else is due: the
// usual time between two heartbeats. Clients wait for it for minutes (Node: 300 s).
constexpr Duration head_withheld_max = Duration::seconds(15);

}  // namespace

Delivery::Delivery(Service& service, Exchange& exchange, net::Stream* client,
                   answer::Recording* recording)
    : service_(service),
      exchange_(exchange),
      client_(client),
      recording_(recording),
      relay_(service.loop.nodes()),
      withheld_head_(service.loop.nodes()),
      withheld_(service.loop.nodes()),
      sent_at_(exchange.begun) {}

// --- the head -------------------------------------------------------------------------------

void Delivery::begin_head(http::HeadWriter& writer, int status, std::string_view reason) {
    if (is_recorded())
        recording_->stage_status(status, reason);
    else
        writer.status_line(status, reason);
}

void Delivery::frame_head(http::HeadWriter& writer, http::Framing out, std::uint64_t length) {
    if (is_recorded()) return;
    if (out == http::Framing::length) writer.field("Content-Length", length);
    if (out == http::Framing::chunked) writer.field("Transfer-Encoding", "chunked");
}

bool Delivery::send_head(http::HeadWriter& writer) {
    if (is_recorded()) {
        if (writer.overflowed()) return false;
        recording_->stage_fields(writer.text());
        if (exchange_.target != nullptr)
            recording_->stage_place({.server = exchange_.target->endpoint,
                                     .model = exchange_.model->name,
                                     .retries = exchange_.retries,
                                     .asked_anew = exchange_.asks_anew});
        return true;
    }
    writer.field("x-request-id", exchange_.id);
    if (!exchange_.opened_to.empty()) open_to(exchange_.opened_to, writer);
    if (exchange_.target != nullptr)
        writer.field("x-sluice-backend", exchange_.target->endpoint->url);
    if (exchange_.cache) writer.field("x-sluice-cache", cache::name_of(*exchange_.cache));
    if (exchange_.retries > 0) writer.field("x-sluice-retries", exchange_.retries);
    if (must_close_ || !exchange_.keep_alive)
        writer.field("Connection", "close");
    else if (exchange_.client_minor == 0)
        writer.field("Connection", "keep-alive");
    writer.end();
    if (writer.overflowed()) return false;
    mem::Chain bytes(service_.loop.nodes());
    if (!bytes.append_copy(service_.loop.buffers(), writer.text())) return false;
    if (withholding_) {
        withheld_head_.append(std::move(bytes));
    } else {
        exchange_.bytes_out += bytes.size();
        client_->send(std::move(bytes));
    }
    return true;
}

// Of a recording each listener has its own.
void Delivery::name_request(http::HeadWriter& writer) {
    if (!is_recorded()) writer.field("request-id", exchange_.id);
}

std::string_view Delivery::request_id() const {
    if (exchange_.dialect() != llm::Dialect::anthropic) return {};
    return backends_id_ != nullptr ? std::string_view(*backends_id_)
                                   : std::string_view(exchange_.id);
}

bool Delivery::commit(std::size_t position) {
    SLUICE_ASSERT(!committed_ && !is_recorded());
    const auto out = minor() == 0 ? http::Framing::until_close : http::Framing::chunked;
    if (!withheld_head_.empty()) {
        promised_ = !relay_.plan().guessed;
        exchange_.bytes_out += withheld_head_.size();
        client_->send(std::move(withheld_head_));
        withheld_head_.clear();
    } else {
        http::HeadWriter writer(service_.head_space());
        begin_head(writer, 200, "OK");
        writer.field("Content-Type", "text/event-stream; charset=utf-8");
        writer.field("Cache-Control", "no-cache");
        writer.field("X-Accel-Buffering", "no");
        if (exchange_.dialect() == llm::Dialect::anthropic) name_request(writer);
        frame_head(writer, out, 0);
        if (position > 0) writer.field("x-sluice-queue-position", position);
        must_close_ |= out == http::Framing::until_close;
        const bool withholding = std::exchange(withholding_, false);
        const bool sent = send_head(writer);
        withholding_ = withholding;
        if (!sent) return false;
        relay_.begin({.in = out, .out = out, .event_stream = true});
        promised_ = true;
    }
    committed_ = true;
    exchange_.status = 200;
    exchange_.answer_begun = true;
    return true;
}

// --- the body -------------------------------------------------------------------------------

void Delivery::send(mem::Chain&& bytes) {
    // What comes in small pieces must not hold a buffer for each of them.
    if (withholding_ && !withheld_.empty())
        return withheld_.append_compact(service_.loop.buffers(), std::move(bytes));
    if (withholding_) return withheld_.append(std::move(bytes));
    // From here on a client is behind, and what waits for it is packed into few buffers.
    constexpr std::size_t unsent_slices_behind = 4;
    if (bytes.empty()) return;
    note_sent(bytes.size());
    if (is_recorded()) {
        recording_->begin(relay_.plan().event_stream, relay_.plan().form);
        recording_->append(bytes, service_.loop.now());
        bytes.clear();
    } else if (client_->unsent_slices() < unsent_slices_behind) {
        client_->send(std::move(bytes));
    } else {
        client_->send_compact(std::move(bytes));
    }
}

void Delivery::note_sent(std::uint64_t bytes) {
    exchange_.bytes_out += bytes;
    sent_at_ = service_.loop.now();
}

void Delivery::withhold(Instant now) {
    withholding_ = true;
    withheld_at_ = now;
}

void Delivery::drop_withheld() {
    withholding_ = false;
    withheld_head_.clear();
    withheld_.clear();
}

void Delivery::release_withheld() {
    SLUICE_ASSERT(withholding_);
    withholding_ = false;
    // A head of ours may be out already.
    if (!committed_ && !withheld_head_.empty()) {
        exchange_.bytes_out += withheld_head_.size();
        client_->send(std::move(withheld_head_));
    }
    withheld_head_.clear();
    send(std::move(withheld_));
}

// --- what the client is told ----------------------------------------------------------------

// When the head of a stream that is withheld goes out though the client is told nothing else.
Instant Delivery::head_due() const {
    const bool waits = withholding_ && !committed_ && relay_.plan().event_stream;
    if (!waits || is_recorded()) return io::TimerWheel::never;
    return std::max(withheld_at_, told_) + head_withheld_max;
}

Instant Delivery::next_notice(const Hearing& hearing) const {
    if (!hearing.open) return head_due();
    const auto& setting = exchange_.model->setting;
    if (told_ == Instant{} && first_notice().ns != 0 && !hearing.has_spoken)
        return exchange_.begun + first_notice();
    Duration every = setting.heartbeat;
    const Duration in_line = setting.queue.notice_every;
    if (!hearing.has_spoken && in_line.ns != 0)
        every = every.ns == 0 ? in_line : std::min(every, in_line);
    return every.ns == 0 ? io::TimerWheel::never : std::max(told_, sent_at_) + every;
}

std::string_view Delivery::notice(bool has_spoken, answer::Recording::Wait wait) {
    using enum answer::Recording::Stage;
    if (exchange_.counts_events) return "event: keepalive\ndata: {\"type\":\"keepalive\"}\n\n";
    if (has_spoken) return ": still there\n\n";
    if (wait.stage == server) return ": waiting\n\n";
    if (wait.stage == load) return ": loading\n\n";
    service_.text = ": queued ";
    service_.text += std::to_string(wait.position);
    service_.text += "\n\n";
    return service_.text;
}

void Delivery::insert_notice(bool has_spoken, answer::Recording::Wait wait) {
    SLUICE_ASSERT(!is_recorded());
    mem::Chain out(service_.loop.nodes());
    if (!relay_.insert(notice(has_spoken, wait), service_.loop.buffers(), out)) return;
    exchange_.bytes_out += out.size();
    sent_at_ = told_;
    client_->send(std::move(out));
}

// --- the end --------------------------------------------------------------------------------

// Whether a client that was told why in band gets a proper end of the body behind that: see
// docs/decisions/0008-how-broken-streams-end.md.
bool Delivery::may_end_properly() const {
    if (exchange_.dialect() == llm::Dialect::responses ||
        relay_.plan().form == sse::Form::json_lines)
        return true;
    return exchange_.model->setting.broken_stream == config::BrokenStream::end;
}

// What tells the client of it in band; empty where a backend's own error event has.
std::string Delivery::last_event(const Error& error, const llm::Refusal* refusal,
                                 std::string_view code, const answer::InBand& in_band) const {
    const bool told = in_band.passed_error;
    const bool responses = exchange_.dialect() == llm::Dialect::responses;
    const sse::Form form = relay_.plan().form;
    if (told && (!responses || in_band.saw_done)) return {};
    const std::string text = llm::message_of(error.message);
    std::optional<llm::Refusal> passed;
    if (told) passed = llm::read_refusal(in_band.error_text, text);
    const llm::ErrorText event{.status = error.status,
                               .message = text,
                               .code = code,
                               .request_id = request_id(),
                               .refusal = passed ? &*passed : refusal};
    if (!responses || form == sse::Form::json_lines)
        return llm::error_event(exchange_.dialect(), form, event);
    llm::ResponsesPlace place = in_band.place;
    if (place.id.empty()) place.id = "resp_" + exchange_.id;
    if (place.model.empty()) place.model = exchange_.model->name;
    if (place.created_at == 0)
        place.created_at = static_cast<std::uint64_t>(exchange_.begun_wall.us / 1'000'000);
    return llm::responses_end(place, event, told);
}

void Delivery::break_off(const Error& error, const llm::Refusal* refusal, std::string_view code,
                         const answer::InBand& in_band) {
    if (is_recorded()) return;  // each that listens is told by its own
    const bool properly = may_end_properly();
    mem::Chain out(service_.loop.nodes());
    const bool told = relay_.break_off(last_event(error, refusal, code, in_band), properly,
                                       service_.loop.buffers(), out);
    ended_properly_ = told && properly;
    must_close_ |= !ended_properly_;
    exchange_.bytes_out += out.size();
    client_->send(std::move(out));
}

}  // namespace sluice::proxy
