// Heads of which llhttp does not see every byte: which those are, and which fields are known.
#include "cases.h"
#include "sluice/base/prng.h"
#include "sluice/http/field_id.h"

#include <cctype>

namespace sluice::http::test {

TEST_CASE("usual heads are read plainly, and only those") {
    const std::string start = "POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: localhost\r\n";
    struct Row {
        std::string fields;
        bool plainly;
    };
    const std::string padding(40, 'x');
    for (const Row& row : std::vector<Row>{
             {"", true},
             {"Accept: */*\r\nContent-Length: 5\r\n", true},
             {"Transfer-Encoding: chunked\r\n", true},
             {"Connection: keep-alive, te\r\nTE: trailers\r\nUpgrade: h2c\r\n", true},
             {"A:b\r\nB: \t c \t\r\nEmpty:\r\nX: \xc3\xa9\tz\r\n", true},
             {"a_b!#$%&'*+-.^`|~: c\r\n", true},
             {"X-" + padding + ": " + padding + "\t" + padding + "\r\n", true},
             // What is wrong with these is llhttp's to say, or that they are right.
             {"A : b\r\n", false},
             {"A: b\r\n c\r\n", false},
             {"A: b\n", false},
             {"A: b\rc\r\n", false},
             {"A: " + padding + raw("\0") + "\r\n", false},
             {"A: " + padding + "\x7f" + padding + "\r\n", false},
             {"A" + padding + "\xc3\xa9: b\r\n", false},
             {": b\r\n", false},
             {"A\r\n", false},
             {"Content-Length: 5\r\nContent-Length: 5\r\n", false},
             {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", false},
             {"Transfer-Encoding: gzip, chunked\r\n", false},
         }) {
        CAPTURE(printable(row.fields));
        const std::string text = start + row.fields + "\r\n";
        CHECK(ParserPeer::reads_plainly(Parser::Side::request, text) == row.plainly);
        CHECK(run_thoroughly({Parser::Side::request, text}) ==
              run_whole({Parser::Side::request, text}));
        // Nothing of it may be missing.
        for (std::size_t size = 0; size < text.size(); ++size)
            CHECK_FALSE(ParserPeer::reads_plainly(Parser::Side::request, text.substr(0, size)));
    }
    CHECK(ParserPeer::reads_plainly(Parser::Side::response, "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"));
}

TEST_CASE("every byte in a name and in a value, at every place, comes to what llhttp says") {
    std::size_t refused = 0;
    for (int byte = 0; byte < 256; ++byte) {
        for (const std::size_t at : {0, 1, 14, 15, 16, 17, 32}) {
            for (const bool in_name : {true, false}) {
                std::string name(33, 'n');
                std::string value(33, 'v');
                (in_name ? name : value)[at] = static_cast<char>(byte);
                std::string fields = name;
                fields += ": " + value + "\r\n";
                const Input input{Parser::Side::request, post(fields)};
                const Outcome whole = run_whole(input);
                CAPTURE(byte);
                CAPTURE(at);
                CHECK(run_thoroughly(input) == whole);
                refused += whole.failed ? 1 : 0;
            }
        }
    }
    // 77 bytes are tokens and 224 may stand in a value; a ':' ends a name, with something before.
    CHECK(refused == 7 * (256 - 77) - 6 + 7 * (256 - 224));
}

TEST_CASE("known fields are told in any case, and from all others") {
    struct Row {
        std::string_view name;
        FieldId id;
    };
    for (const Row& row : std::initializer_list<Row>{
             {"Host", FieldId::host},
             {"Content-Length", FieldId::content_length},
             {"Transfer-Encoding", FieldId::transfer_encoding},
             {"Connection", FieldId::connection},
             {"Server", FieldId::server},
             {"Sec-Fetch-Site", FieldId::sec_fetch_site},
             {"X-Request-Id", FieldId::x_request_id},
             {"X-Sluice-Backend", FieldId::x_sluice_backend},
             {"X-Sluice-Anything", FieldId::x_sluice},
             {"X-Sluice-", FieldId::x_sluice},
             {"X-Consumer", FieldId::x_consumer},
             {"X-Consumer-Name", FieldId::x_consumer},
             {"TE", FieldId::hop_by_hop},
             {"Upgrade", FieldId::hop_by_hop},
             {"Keep-Alive", FieldId::hop_by_hop},
             {"Trailer", FieldId::hop_by_hop},
             {"HTTP2-Settings", FieldId::hop_by_hop},
             {"Proxy-Connection", FieldId::hop_by_hop},
             {"Proxy-Authenticate", FieldId::hop_by_hop},
             {"Proxy-Authorization", FieldId::hop_by_hop},
             {"Proxy-Authentication-Info", FieldId::hop_by_hop},
             {"Access-Control-Allow-Origin", FieldId::cross_origin_grant},
             {"Access-Control-Allow-Headers", FieldId::cross_origin_grant},
             {"Access-Control-Allow-Methods", FieldId::cross_origin_grant},
             {"Access-Control-Max-Age", FieldId::other},
             {"X-Sluice", FieldId::other},
             {"X-Custom", FieldId::other},
             {"X_Request_Id", FieldId::other},
             {"Hos", FieldId::other},
             {"Hosts", FieldId::other},
             {"Accept", FieldId::other},
             {"~", FieldId::other},
         }) {
        std::string upper(row.name);
        std::string lower(row.name);
        for (char& c : upper)
            c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        for (char& c : lower)
            c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        CAPTURE(row.name);
        CHECK(field_id(row.name) == row.id);
        CHECK(field_id(upper) == row.id);
        CHECK(field_id(lower) == row.id);
        // One other byte anywhere makes it another name, but behind what a family has in common.
        const std::size_t decides = row.id == FieldId::x_sluice || row.id == FieldId::x_consumer
                                        ? std::size_t{9}
                                        : row.name.size();
        for (std::size_t i = 0; i < decides; ++i) {
            std::string other = lower;
            other[i] = '!';
            FieldId family = FieldId::other;
            if (row.id == FieldId::x_sluice_backend && i >= 9) family = FieldId::x_sluice;
            if (row.id == FieldId::sec_fetch_site && i >= 10) family = FieldId::sec_fetch;
            CHECK(field_id(other) == family);
        }
    }
}

TEST_CASE("a set of fields has what was put in, and never `other`") {
    constexpr FieldSet some = {FieldId::host, FieldId::x_sluice, FieldId::other};
    CHECK(some.contains(FieldId::host));
    CHECK(some.contains(FieldId::x_sluice));
    CHECK_FALSE(some.contains(FieldId::other));
    CHECK_FALSE(some.contains(FieldId::cookie));
    const FieldSet more = some | FieldSet{FieldId::cookie};
    CHECK(more.contains(FieldId::cookie));
    CHECK(more.contains(FieldId::host));
}

}  // namespace sluice::http::test
