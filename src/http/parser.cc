#include "sluice/http/parser.h"

#include "fields.h"
#include "grammar.h"
#include "sluice/base/assert.h"
#include "start_line.h"

#include <llhttp.h>

#include <algorithm>
#include <limits>
#include <new>
#include <string>

// The releases before 9.1 take a bare LF for a line end also where no flag asks for it.
static_assert(LLHTTP_VERSION_MAJOR == 9 && LLHTTP_VERSION_MINOR >= 1, "llhttp 9.1 or newer");

namespace sluice::http {

namespace {

constexpr std::size_t size_digits_max = 16;  // of a chunk: 64 bits in hexadecimal
constexpr std::uint64_t chunk_bytes_max = std::numeric_limits<std::int64_t>::max();

static_assert(sizeof(llhttp_t) <= 104 && alignof(llhttp_t) <= 8);
static_assert(std::is_trivially_copyable_v<llhttp_t>, "a Parser may be moved");

llhttp_t& new_machine(std::array<std::byte, 104>& bytes, llhttp_type_t type,
                      const llhttp_settings_t& settings) {
    llhttp_t& machine = *new (bytes.data()) llhttp_t;
    llhttp_init(&machine, type, &settings);
    return machine;
}

llhttp_t& as_machine(std::array<std::byte, 104>& bytes) {
    return *std::launder(reinterpret_cast<llhttp_t*>(bytes.data()));
}

// Whatever parse_head() does not fill must not stay from the message before.
void forget_fields(Head& head) {
    head.count = 0;
    head.present = {};
    head.content_length = 0;
    head.has_content_length = false;
}

void reset(Head& head) {
    forget_fields(head);
    head.method = Method::other;
    head.method_text = head.target = head.path = head.query = head.host = head.reason = {};
    head.status = 0;
    head.minor = 1;
    head.framing = Framing::none;
    head.keep_alive = head.expect_continue = false;
    head.bytes = 0;
}

llhttp_type_t to_type(Parser::Side side) {
    return side == Parser::Side::request ? HTTP_REQUEST : HTTP_RESPONSE;
}

Method to_method(std::uint8_t code) {
    switch (code) {
        case HTTP_GET:
            return Method::get;
        case HTTP_HEAD:
            return Method::head;
        case HTTP_POST:
            return Method::post;
        case HTTP_PUT:
            return Method::put;
        case HTTP_DELETE:
            return Method::del;
        case HTTP_OPTIONS:
            return Method::options;
        case HTTP_PATCH:
            return Method::patch;
        default:
            return Method::other;
    }
}

// A copy of the head for llhttp where it must read another spelling, else empty. Behind a framing
// it takes no tab for white space, which RFC 9110 section 5.6.3 does, and it knows no minor version
// above 1. The values themselves are read from the text, by us.
std::string respelled(std::string_view text, std::size_t fields_begin, bool request) {
    const std::size_t minor_at = request ? fields_begin - 3 : std::string_view("HTTP/1.").size();
    SLUICE_ASSERT(minor_at < fields_begin && text[minor_at] >= '0' && text[minor_at] <= '9');
    const bool tabs = text.find('\t', fields_begin) != text.npos;
    if (text[minor_at] <= '1' && !tabs) return {};
    std::string copy(text);
    copy[minor_at] = std::min(copy[minor_at], '1');
    std::replace(copy.begin() + static_cast<std::ptrdiff_t>(fields_begin), copy.end(), '\t', ' ');
    return copy;
}

}  // namespace

struct Parser::HeadPass {
    Head& head;
    FieldReader fields;
    std::string_view name;   // of the field being read, as llhttp has it
    std::string_view value;  // likewise; not trimmed at its end
    const char* line;        // where the next field line must begin
    const char* end;         // of the text
    const char* text;        // its begin
    const char* read;        // where llhttp reads it: there, or a copy of it
    Verdict verdict{};

    const char* in_text(const char* at) const { return text + (at - read); }
};

struct Parser::BodyPass {
    Body& body;
    std::vector<BodyPiece>& pieces;
    const char* begin;  // of this run of bytes
    const char* end;
    const char* line = nullptr;      // the size line's begin, if it lies in this run
    const char* data_end = nullptr;  // the chunk data's end, if it lies in this run
    bool whole = false;              // the last piece is a whole chunk, its CRLF still to come
    Verdict verdict{};

    bool end_size_line(const char* line_end);
};

// Notes what llhttp finds. A refusal is put into the pass; HPE_USER stops llhttp.
struct Parser::Hooks {
    static HeadPass& head(llhttp_t* m) { return *static_cast<HeadPass*>(m->data); }
    static BodyPass& body(llhttp_t* m) { return *static_cast<BodyPass*>(m->data); }

    template <class Pass>
    static int refuse(Pass& pass, Verdict verdict) {
        pass.verdict = verdict;
        return HPE_USER;
    }

    static int on_name(llhttp_t* m, const char* at, std::size_t length) {
        head(m).name = {head(m).in_text(at), length};
        return HPE_OK;
    }

    static int on_value(llhttp_t* m, const char* at, std::size_t length) {
        head(m).value = {head(m).in_text(at), length};
        return HPE_OK;
    }

    // The field line must be name ':' OWS value OWS CRLF and follow the line before without a gap.
    // Whatever llhttp would let pass between those pieces (a fold, a bare LF, a space before the
    // colon) shows here as a piece that is not where it must be.
    static int on_field_complete(llhttp_t* m) {
        HeadPass& pass = head(m);
        const std::string_view name = pass.name;
        const char* at = name.data() + name.size();
        if (name.data() != pass.line || *at != ':') {
            return refuse(pass, bad_request("A field line does not begin with 'name:'."));
        }
        do {
            ++at;
        } while (at != pass.end && is_space(*at));
        const std::string_view value = pass.value.empty() ? std::string_view(at, 0) : pass.value;
        const char* value_end = value.data() + value.size();
        if (value.data() != at || pass.end - value_end < 2 || value_end[0] != '\r' ||
            value_end[1] != '\n') {
            return refuse(pass, bad_request("A field line does not end in CRLF, or is folded."));
        }
        pass.line = value_end + 2;
        pass.name = pass.value = {};
        const FieldLine line{name, trim(value), name.find('_') != name.npos, false};
        const Verdict verdict = pass.fields.add(pass.head, line);
        return verdict.refused() ? refuse(pass, verdict) : HPE_OK;
    }

    static int on_head_complete(llhttp_t*) { return HPE_PAUSED; }

    static int on_extension(llhttp_t* m, const char*, std::size_t length) {
        Body& body = Hooks::body(m).body;
        const std::size_t room = limits::chunk_extension_bytes_max - body.extension_bytes;
        if (length >= room) {
            return refuse(Hooks::body(m), bad_request("The chunk extensions are too long."));
        }
        body.extension_part += static_cast<std::uint32_t>(length);
        body.extension_bytes += static_cast<std::uint32_t>(length);
        return HPE_OK;
    }

    // llhttp takes an empty name or value; RFC 9112 section 7.1.1 does not.
    static int on_extension_complete(llhttp_t* m) {
        Body& body = Hooks::body(m).body;
        if (body.extension_part == 0) {
            return refuse(Hooks::body(m), bad_request("A chunk extension is empty."));
        }
        body.line_extension += body.extension_part + 1;  // with its ';' or '='
        body.extension_bytes += 1;
        body.extension_part = 0;
        return HPE_OK;
    }

    static int on_chunk_header(llhttp_t* m) {
        BodyPass& pass = body(m);
        if (m->content_length > chunk_bytes_max) {
            return refuse(pass, bad_request("The chunk size is not below 2^63."));
        }
        pass.body.left = m->content_length;
        // The last chunk: what follows are trailers, and those are not llhttp's.
        return pass.body.left == 0 ? HPE_PAUSED : HPE_OK;
    }

    static int on_data(llhttp_t* m, const char* at, std::size_t length) {
        BodyPass& pass = body(m);
        Body& body = pass.body;
        if (length == 0) return HPE_OK;
        SLUICE_ASSERT(length <= body.left && body.chunk_part != ChunkPart::closing);
        pass.whole = false;
        BodyPiece piece;
        if (body.chunk_part == ChunkPart::size_line) {
            if (!pass.end_size_line(at)) return HPE_USER;
            pass.whole = pass.line != nullptr && body.line_extension == 0 && length == body.left;
            if (pass.whole) piece.raw_begin = static_cast<std::uint32_t>(pass.line - pass.begin);
            body.chunk_part = ChunkPart::data;
        }
        piece.begin = static_cast<std::uint32_t>(at - pass.begin);
        piece.end = piece.begin + static_cast<std::uint32_t>(length);
        pass.pieces.push_back(piece);
        body.left -= length;
        if (body.left == 0) {
            body.chunk_part = ChunkPart::closing;
            body.line_bytes = 0;
            pass.data_end = at + length;
        }
        return HPE_OK;
    }

    static int on_chunk_complete(llhttp_t* m) {
        BodyPass& pass = body(m);
        SLUICE_ASSERT(pass.body.chunk_part == ChunkPart::closing && pass.body.line_bytes < 2);
        // The CR may have been the last byte of the run before.
        const char* next =
            pass.data_end != nullptr ? pass.data_end + 2 : pass.begin + (2 - pass.body.line_bytes);
        if (next > pass.end || next[-1] != '\n') {
            return refuse(pass, bad_request("A chunk does not end in CRLF."));
        }
        if (pass.whole) {
            pass.pieces.back().intact = true;
            pass.pieces.back().raw_end = static_cast<std::uint32_t>(next - pass.begin);
        }
        pass.whole = false;
        pass.line = next;
        pass.data_end = nullptr;
        pass.body.chunk_part = ChunkPart::size_line;
        pass.body.line_bytes = pass.body.line_extension = 0;
        return HPE_OK;
    }

    // `lines`: whether llhttp reads the field lines for us, too.
    static constexpr llhttp_settings_t settings(bool lines) {
        llhttp_settings_t all{};
        if (lines) {
            all.on_header_field = on_name;
            all.on_header_value = on_value;
            all.on_header_value_complete = on_field_complete;
        }
        all.on_headers_complete = on_head_complete;
        all.on_chunk_extension_name = on_extension;
        all.on_chunk_extension_value = on_extension;
        all.on_chunk_extension_name_complete = on_extension_complete;
        all.on_chunk_extension_value_complete = on_extension_complete;
        all.on_chunk_header = on_chunk_header;
        all.on_body = on_data;
        all.on_chunk_complete = on_chunk_complete;
        return all;
    }
};

// The size line is CRLF, digits and the extension; llhttp takes leading zeros without end.
bool Parser::BodyPass::end_size_line(const char* line_end) {
    const std::size_t here = static_cast<std::size_t>(line_end - (line != nullptr ? line : begin));
    const std::size_t digits = body.line_bytes + here - 2 - body.line_extension;
    if (digits <= size_digits_max) return true;
    verdict = bad_request("A chunk size has more than 16 digits.");
    return false;
}

Parser::Parser(Side side) : side_(side) {}

Progress Parser::parse_head(std::string_view text, Head& head, bool to_head_request) {
    if (phase_ == Phase::failed) return Progress::failed;
    SLUICE_ASSERT(phase_ == Phase::head || phase_ == Phase::complete);
    SLUICE_ASSERT(side_ == Side::response || !to_head_request);
    phase_ = Phase::head;
    body_ = {};
    reset(head);
    std::size_t fields_begin = 0;
    const Progress first = read_first_line(text, fields_begin, head);
    if (first != Progress::complete) return first;
    const std::string_view part = text.substr(0, limits::head_bytes_max);
    if (read_plain_fields(part, fields_begin, head, to_head_request)) return begin_body(head);
    forget_fields(head);
    return read_fields(part, fields_begin, head, to_head_request);
}

// Nearly every head: its lines are plainly well formed, and only those that frame the body go
// through llhttp, between the first line and the empty one. False: llhttp has to see every byte, to
// take the head or to say what is wrong with it.
bool Parser::read_plain_fields(std::string_view text, std::size_t fields_begin, Head& head,
                               bool to_head_request) {
    static constexpr llhttp_settings_t settings = Hooks::settings(false);
    static constexpr FieldSet judged = {FieldId::content_length, FieldId::transfer_encoding};
    llhttp_t& machine = new_machine(machine_, to_type(side_), settings);
    FieldReader fields(side_ == Side::request);
    const char* const end = text.data() + text.size();
    const char* at = text.data() + fields_begin;
    // For llhttp, what stands together in one piece.
    std::string_view run = text.substr(0, fields_begin);
    const auto judge = [&](const char* from, const char* to) {
        if (run.data() + run.size() != from) {
            if (llhttp_execute(&machine, run.data(), run.size()) != HPE_OK) return false;
            run = {from, 0};
        }
        run = {run.data(), static_cast<std::size_t>(to - run.data())};
        return true;
    };

    FieldLine line;
    while (at != end && *at != '\r') {
        const char* const next = read_field_line(at, end, line);
        if (next == nullptr || fields.add(head, line).refused()) return false;
        if (judged.contains(head.storage[head.count - 1].id)) {
            const bool tab = std::find(at, next, '\t') != next;  // to be read in another spelling
            if (tab || !judge(at, next)) return false;
        }
        at = next;
    }
    if (end - at < 2 || at[1] != '\n' || !judge(at, at + 2)) return false;
    at += 2;
    if (llhttp_execute(&machine, run.data(), run.size()) != HPE_PAUSED) return false;
    if (llhttp_get_error_pos(&machine) != at) return false;
    head.bytes = static_cast<std::size_t>(at - text.data());
    return !conclude(fields, head, to_head_request).refused();
}

// Every byte through llhttp.
Progress Parser::read_fields(std::string_view text, std::size_t fields_begin, Head& head,
                             bool to_head_request) {
    static constexpr llhttp_settings_t settings = Hooks::settings(true);
    const char* const first = text.data() + fields_begin;
    const bool request = side_ == Side::request;
    const std::string copy = respelled(text, fields_begin, request);
    const char* const read = copy.empty() ? text.data() : copy.data();
    HeadPass pass{head,  FieldReader(request),      {},          {},
                  first, text.data() + text.size(), text.data(), read};
    llhttp_t& machine = new_machine(machine_, to_type(side_), settings);
    machine.data = &pass;
    const llhttp_errno_t code = llhttp_execute(&machine, read, text.size());
    machine.data = nullptr;

    if (pass.verdict.refused()) return fail(pass.verdict.status, pass.verdict.words);
    if (code == HPE_PAUSED) return conclude_head(pass, text, to_head_request);
    if (code != HPE_OK) return refused_by_machine(code, read + fields_begin);
    if (text.size() == limits::head_bytes_max) {
        return fail(431, "The head is longer than the 32 KiB that are accepted.");
    }
    return Progress::incomplete;
}

Progress Parser::conclude_head(HeadPass& pass, std::string_view text, bool to_head_request) {
    llhttp_t& machine = as_machine(machine_);
    const char* end = pass.in_text(llhttp_get_error_pos(&machine));
    if (end != pass.line + 2 || pass.line[0] != '\r' || pass.line[1] != '\n') {
        return fail(400, "The head does not end in an empty line.");
    }
    Head& head = pass.head;
    head.bytes = static_cast<std::size_t>(end - text.data());
    const Verdict verdict = conclude(pass.fields, head, to_head_request);
    return verdict.refused() ? fail(verdict.status, verdict.words) : begin_body(head);
}

// Draws the conclusions from all fields together.
Verdict Parser::conclude(FieldReader& fields, Head& head, bool to_head_request) {
    if (side_ == Side::response) return fields.conclude_response(head, to_head_request);
    head.method = to_method(as_machine(machine_).method);
    return fields.conclude_request(head);
}

Progress Parser::refused_by_machine(int code, const char* fields_begin) {
    llhttp_t& machine = as_machine(machine_);
    // Our own reading of the first line came first, so only the method can be left to refuse.
    const bool in_first_line = llhttp_get_error_pos(&machine) < fields_begin;
    if (in_first_line && code != HPE_INVALID_URL) return fail(501, "The method is not known here.");
    return fail(400, llhttp_get_error_reason(&machine));
}

Progress Parser::begin_body(const Head& head) {
    llhttp_t& machine = as_machine(machine_);
    phase_ = Phase::complete;
    switch (head.framing) {
        case Framing::none:
            break;
        case Framing::length:
            if (machine.content_length != head.content_length) {
                return fail(400, "The length of the body is not clear.");
            }
            body_.left = head.content_length;
            if (body_.left > 0) phase_ = Phase::length;
            break;
        case Framing::chunked:
            if ((machine.flags & F_CHUNKED) == 0) {
                return fail(400, "The framing of the body is not clear.");
            }
            llhttp_resume(&machine);
            phase_ = Phase::chunks;
            break;
        case Framing::until_close:
            phase_ = Phase::until_close;
            break;
    }
    return Progress::complete;
}

Progress Parser::parse_chunks(std::string_view bytes, std::vector<BodyPiece>& pieces,
                              std::size_t& consumed) {
    llhttp_t& machine = as_machine(machine_);
    const char* begin = bytes.data();
    BodyPass pass{.body = body_, .pieces = pieces, .begin = begin, .end = begin + bytes.size()};
    const bool line_begins = body_.chunk_part == ChunkPart::size_line && body_.line_bytes == 0;
    if (line_begins) pass.line = begin;
    machine.data = &pass;
    const llhttp_errno_t code = llhttp_execute(&machine, begin, bytes.size());
    machine.data = nullptr;

    if (pass.verdict.refused()) return fail(pass.verdict.status, pass.verdict.words);
    if (code == HPE_OK) {
        consumed = bytes.size();
        return end_chunk_run(pass);
    }
    if (code != HPE_PAUSED) return fail(400, llhttp_get_error_reason(&machine));

    const char* line_end = llhttp_get_error_pos(&machine);
    if (!pass.end_size_line(line_end)) return fail(pass.verdict.status, pass.verdict.words);
    phase_ = Phase::trailers;
    const auto chunks = static_cast<std::size_t>(line_end - begin);
    const Progress progress = parse_trailers(bytes.substr(chunks), consumed);
    consumed += chunks;
    return progress;
}

// Carries over what the next run must know about a part that this one leaves unfinished.
Progress Parser::end_chunk_run(const BodyPass& pass) {
    if (body_.chunk_part == ChunkPart::closing) {
        const char* from = pass.data_end != nullptr ? pass.data_end : pass.begin;
        body_.line_bytes += static_cast<std::uint32_t>(pass.end - from);
    }
    if (body_.chunk_part != ChunkPart::size_line) return Progress::incomplete;
    const char* from = pass.line != nullptr ? pass.line : pass.begin;
    body_.line_bytes += static_cast<std::uint32_t>(pass.end - from);
    // A line without end: the digits, CRLF, and a ';' and '=' that are not counted yet.
    const std::size_t line_max = size_digits_max + 4 + body_.line_extension + body_.extension_part;
    if (body_.line_bytes > line_max) return fail(400, "A chunk size has more than 16 digits.");
    return Progress::incomplete;
}

Progress Parser::skip(std::uint64_t bytes) {
    SLUICE_ASSERT(bytes <= opaque_bytes());
    if (phase_ == Phase::until_close) return Progress::incomplete;
    body_.left -= bytes;
    if (phase_ == Phase::chunks) {
        // llhttp counts the data of a chunk down in the same way.
        SLUICE_ASSERT(body_.left > 0);
        as_machine(machine_).content_length -= bytes;
        SLUICE_ASSERT(as_machine(machine_).content_length == body_.left);
        return Progress::incomplete;
    }
    if (body_.left > 0) return Progress::incomplete;
    phase_ = Phase::complete;
    return Progress::complete;
}

}  // namespace sluice::http
