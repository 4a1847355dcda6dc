"""Requests that must be refused, by the row of the fault list (docs/faults.md).

Each entry is (row, what, bytes, statuses): the bytes go to the gateway as they are, with {host} put
in, and the answer must be one of the statuses, say that the connection closes, and close it; the
backend must not have seen a request.
"""

from harness import chat_body

BODY = chat_body()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: {host}\r\n"
TYPE = b"Content-Type: application/json\r\n"
START = LINE + HOST + TYPE
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
SMUGGLED = b"GET /v1/models/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"
SMUGGLED_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)

CASES = []


def case(row, what, data, *statuses):
    CASES.append((row, what, data, statuses or (400,)))


def with_fields(row, what, lines, *statuses, body=BODY):
    """A request whose head has these lines besides the usual ones."""
    case(row, what, START + lines + b"\r\n" + body, *statuses)


def with_chunks(row, what, body, *statuses):
    case(row, what, START + CHUNKED + b"\r\n" + body, *statuses)


with_fields(1, "length and chunked", LENGTH + CHUNKED, body=CHUNKS)
with_fields(1, "chunked and length", CHUNKED + LENGTH, body=CHUNKS)

with_fields(2, "CL.TE with a request behind the last chunk",
            b"Content-Length: %d\r\n" % (5 + len(SMUGGLED)) + CHUNKED,
            body=b"0\r\n\r\n" + SMUGGLED)
with_fields(2, "TE.CL with a request inside the chunk", b"Content-Length: 4\r\n" + CHUNKED,
            body=SMUGGLED_CHUNK)
with_fields(2, "TE.TE with a second coding that is disguised",
            CHUNKED + b"Transfer-encoding: x\r\n", body=b"0\r\n\r\n" + SMUGGLED)
with_fields(2, "CL.CL with a request behind the shorter",
            b"Content-Length: 0\r\n" + LENGTH, body=SMUGGLED)

with_fields(3, "two lengths that differ", LENGTH + b"Content-Length: 3\r\n")
with_fields(3, "two lengths in one field", b"Content-Length: 3, %d\r\n" % len(BODY))
with_fields(4, "the same length twice", LENGTH + LENGTH)
with_fields(4, "the same length twice in one field",
            b"Content-Length: %d, %d\r\n" % (len(BODY), len(BODY)))

for value in (b"+5", b"-1", b"-0", b"0x5", b"5 5", b"1_0", b"5.0", b"", b"5;", b"\xb2", b"5\x0b",
              b"18446744073709551616", b"18446744073709551621", b"9" * 20, b"9" * 500):
    with_fields(5, f"length {value[:24].decode('latin-1')!r}",
                b"Content-Length: " + value + b"\r\n", body=b"12345")

for value in (b"gzip", b"identity", b"chunked, gzip", b"chunked, identity"):
    with_fields(7, f"coding {value.decode()}", b"Transfer-Encoding: " + value + b"\r\n",
                body=CHUNKS)
for value in (b"gzip, chunked", b"deflate, gzip, chunked", b"unheard-of, chunked"):
    with_fields(8, f"coding {value.decode()}", b"Transfer-Encoding: " + value + b"\r\n", 501,
                body=CHUNKS)
with_fields(9, "chunked applied twice", b"Transfer-Encoding: chunked, chunked\r\n", body=CHUNKS)
with_fields(9, "the coding field twice", CHUNKED + CHUNKED, body=CHUNKS)
with_fields(9, "identity and then chunked in two fields",
            b"Transfer-Encoding: identity\r\n" + CHUNKED, body=CHUNKS)

for what, value in (("a vertical tab before", b"\x0bchunked"), ("a vertical tab", b"chunked\x0b"),
                    ("a form feed", b"\x0cchunked"), ("a NUL", b"chunked\x00"),
                    ("a tab inside", b"chun\tked"), ("quotes", b'"chunked"'),
                    ("single quotes", b"'chunked'"), ("a comma before", b",chunked"),
                    ("a comma behind", b"chunked,"), ("a parameter", b"chunked;q=1"),
                    ("an empty parameter", b"chunked;"), ("a fold before", b"\r\n chunked"),
                    ("a fold behind", b"chunked\r\n "), ("nothing", b""), ("a prefix", b"xchunked"),
                    ("a suffix", b"chunkedx"), ("a high byte", b"chunked\xff"),
                    ("a bare CR", b"chunked\r"), ("a bare LF", b"x\nTransfer-Encoding: chunked")):
    with_fields(10, f"coding with {what}", b"Transfer-Encoding: " + value + b"\r\n", body=CHUNKS)
with_fields(10, "coding field with a vertical tab before its name",
            b"\x0bTransfer-Encoding: chunked\r\n", body=CHUNKS)

case(11, "chunked in HTTP/1.0",
     b"POST /v1/chat/completions HTTP/1.0\r\n" + HOST + TYPE + CHUNKED + b"\r\n" + CHUNKS)
with_fields(12, "space before the colon of the length", LENGTH.replace(b":", b" :"))
with_fields(12, "tab before the colon", LENGTH + b"X-A\t: b\r\n")
with_fields(12, "space before the colon of the coding", CHUNKED.replace(b":", b" :"), body=CHUNKS)
with_fields(13, "a folded field", LENGTH + b"X-A: b\r\n c\r\n")
with_fields(13, "a field folded with a tab", LENGTH + b"X-A: b\r\n\tc\r\n")
with_fields(13, "a fold of nothing", LENGTH + b"X-A: b\r\n \r\n")
case(14, "a line of white space first", LINE + b" \r\n" + HOST + TYPE + LENGTH + b"\r\n" + BODY)
case(14, "white space before the first field", LINE + b" " + HOST + TYPE + LENGTH + b"\r\n" + BODY)

case(15, "bare LF ends the request line", LINE.replace(b"\r", b"") + HOST + b"\r\n")
case(15, "bare LF ends a field", LINE + HOST.replace(b"\r", b"") + TYPE + LENGTH + b"\r\n" + BODY)
case(15, "bare LF ends the head", START + LENGTH + b"\n" + BODY)
case(15, "bare LF everywhere", (START + LENGTH + b"\r\n").replace(b"\r", b"") + BODY)
with_chunks(15, "bare LF ends a chunk size", CHUNKS.replace(b"\r\n", b"\n", 1))
with_chunks(15, "bare LF ends a chunk", CHUNKS.replace(b"}\r\n", b"}\n"))
with_chunks(15, "bare LF ends the last chunk", CHUNKS[:-4] + b"\n\r\n")
with_chunks(15, "bare LF ends a trailer", CHUNKS[:-2] + b"X-A: b\n\r\n")

case(16, "bare CR in the request line", LINE.replace(b" HTTP", b"\r HTTP") + HOST + b"\r\n")
case(16, "bare CR ends the request line", LINE[:-1] + HOST + b"\r\n")
with_fields(16, "bare CR in a value", LENGTH + b"X-A: b\rc\r\n")
with_fields(16, "bare CR in a name", LENGTH + b"X\r-A: b\r\n")
with_fields(16, "bare CR ends a field", LENGTH + b"X-A: b\rX-B: c\r\n")
case(16, "bare CR where the head ends", START + LENGTH + b"\r" + BODY)

for what, byte in (("NUL", b"\0"), ("BEL", b"\x07"), ("DEL", b"\x7f"), ("ESC", b"\x1b")):
    case(17, f"{what} in the target", LINE.replace(b"chat", b"ch" + byte + b"at") + HOST + b"\r\n")
    with_fields(17, f"{what} in a name", LENGTH + b"X" + byte + b"A: b\r\n")
    with_fields(17, f"{what} in a value", LENGTH + b"X-A: b" + byte + b"c\r\n")

with_fields(18, "a field without a colon", LENGTH + b"X-A\r\n")
with_fields(18, "an empty name", LENGTH + b": b\r\n")
for name in (b"X(A)", b"X A", b"X/A", b'"X"', b"X@A", b"X\xc3\xa9", b"{X}"):
    with_fields(18, f"a field named {name.decode('latin-1')!r}", LENGTH + name + b": b\r\n")

case(19, "HTTP/1.1 without Host", LINE + TYPE + LENGTH + b"\r\n" + BODY)
with_fields(20, "the same Host twice", HOST + LENGTH)
with_fields(20, "two Hosts that differ", b"Host: localhost\r\n" + LENGTH)
for value in (b"user@{host}", b"{host}/path", b"{host}?q", b"{host}#f", b"{host},localhost",
              b"{host} localhost", b"", b"127.0.0.1:", b"127.0.0.1:x", b"127.0.0.1:99999",
              b"127.0.0.1:-1", b"127.0.0.1:08642x", b"[::1", b"::1", b"a\\b", b"%31", b"{host}:80"):
    case(21, f"Host {value.decode()!r}",
         LINE + b"Host: " + value + b"\r\n" + TYPE + LENGTH + b"\r\n" + BODY)
case(22, "a target in absolute form of another host",
     b"POST http://localhost/v1/chat/completions HTTP/1.1\r\n" + HOST + TYPE + LENGTH + b"\r\n" +
     BODY)
case(22, "a target in absolute form with userinfo",
     b"POST http://a@{host}/v1/chat/completions HTTP/1.1\r\n" + HOST + TYPE + LENGTH + b"\r\n" +
     BODY)
for target in (b"*", b"localhost:80", b"v1/models", b"ftp://{host}/v1/models", b"http:///v1/models",
               b"?", b"http:/v1/models"):
    case(23, f"GET {target.decode()}", b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
case(24, "CONNECT", b"CONNECT {host} HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED, 405, 501)
case(24, "CONNECT of a path", b"CONNECT /v1/models HTTP/1.1\r\n" + HOST + b"\r\n", 400, 405, 501)
case(25, "TRACE", b"TRACE /v1/models HTTP/1.1\r\n" + HOST + b"\r\n", 405, 501)
for version in (b"HTTP/1.10", b"http/1.1", b"HTTP/3.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/0.1",
                b"HTTP/1", b"HTTP/1.1x", b"HTTP /1.1", b"HTTPS/1.1", b"ICE/1.0"):
    case(26, f"version {version.decode()}",
         b"GET /v1/models " + version + b"\r\n" + HOST + b"\r\n", 400, 505)
case(26, "HTTP/0.9", b"GET /v1/models\r\n", 400, 505)
case(26, "the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 405, 501, 505)
case(26, "a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xa5" * 64)
case(27, "three empty lines first", b"\r\n" * 3 + START + LENGTH + b"\r\n" + BODY)
case(27, "empty lines without end", b"\r\n" * 5000)
for what, line in (("two spaces", b"GET  /v1/models HTTP/1.1"),
                   ("two spaces behind", b"GET /v1/models  HTTP/1.1"),
                   ("a tab", b"GET\t/v1/models HTTP/1.1"),
                   ("a space in the target", b"GET /v1/mo dels HTTP/1.1"),
                   ("a raw high byte", b"GET /v1/mod\xc3\xa9ls HTTP/1.1"),
                   ("a fragment", b"GET /v1/models#x HTTP/1.1"),
                   ("a space first", b" GET /v1/models HTTP/1.1"),
                   ("a space last", b"GET /v1/models HTTP/1.1 "),
                   ("no target", b"GET HTTP/1.1"), ("no method", b"/v1/models HTTP/1.1")):
    case(28, f"request line with {what}", line + b"\r\n" + HOST + b"\r\n")

for size in (b"10000000000000001", b"fffffffffffffffff", b"-1", b"0x1", b"1_0", b"+1", b" 1", b"1 ",
             b"\t1", b"", b"g", b"1\x00", b"1,1", b"\xb9", b"0" * 4097):
    with_chunks(29, f"chunk size {size[:20].decode('latin-1')!r}",
                size + b"\r\n{\r\n0\r\n\r\n")
for what, extension in (("an LF", b";a=b\nc"), ("a CR", b";a=b\rc"), ("a control", b";a=\x01"),
                        ("nothing", b";"), ("no name", b";=b"), ("a bad name", b";a{b=c"),
                        ("an open quote", b';a="b'), ("64 KiB", b";a=" + b"x" * 65536)):
    with_chunks(30, f"chunk extension with {what}",
                b"%x%s\r\n%s\r\n0\r\n\r\n" % (len(BODY), extension, BODY))
with_chunks(30, "6 KiB of extensions in many chunks",
            b"".join(b"1;a=%s\r\n%s\r\n" % (b"x" * 40, BODY[i:i + 1]) for i in range(len(BODY))) * 2
            + b"0\r\n\r\n")
with_chunks(31, "a chunk longer than its size", b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY) - 2, BODY))
with_chunks(31, "no CRLF behind a chunk", b"%x\r\n%s0\r\n\r\n" % (len(BODY), BODY))
with_chunks(31, "a chunk that ends in other bytes", b"%x\r\n%sXY0\r\n\r\n" % (len(BODY), BODY))
with_chunks(32, "trailers without a colon", CHUNKS[:-2] + b"trailer\r\n\r\n")
with_chunks(32, "16 KiB of trailers", CHUNKS[:-2] + b"X-A: bbbbbbbbb\r\n" * 1024 + b"\r\n",
            400, 431)
for name in (b"Content_Length", b"X_Api_Key", b"Transfer_Encoding"):
    with_fields(41, f"underscore twin {name.decode()}", LENGTH + name + b": 5\r\n")
case(43, "a request line of 70,000 bytes",
     b"GET /v1/models?" + b"a" * 70000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414)
with_fields(43, "a field of 64 KiB", LENGTH + b"X-A: " + b"b" * 65536 + b"\r\n", 431)
with_fields(43, "64 KiB of fields", LENGTH + b"X-A: bbbbbbbbb\r\n" * 4096, 431)
with_fields(43, "1,000 fields", LENGTH + b"a:b\r\n" * 1000, 431)
with_fields(43, "a name of 64 KiB", LENGTH + b"X" * 65536 + b": b\r\n", 400, 431)
