#!/usr/bin/env python3
"""Request bodies: expectations, limits, codings, JSON and splits (rows 31, 40 and 44 to 48)."""

import gzip

from backend import chat_answer
from framing_cases import BODY, CHUNKED, HOST, LENGTH, LINE, SMUGGLED, START
from harness import GatewayCase, chat_body, error_in, main, request

BODY_MAX = 64 * 1024


class BodyCase(GatewayCase):
    flags = ("--body-max", "64KiB", "--timeout-head", "2s", "--timeout-body", "1s")

    def bytes(self, data):
        return data.replace(b"{host}", self.gateway.host.encode())

    def post(self, body, *fields, path="/v1/chat/completions", content_type="application/json"):
        return request("POST", path, body, self.gateway.host, fields, content_type)

    def expect(self, fields, version=b"HTTP/1.1"):
        """The head of a request that waits for 100 (Continue)."""
        return self.bytes(START.replace(b"HTTP/1.1", version) + fields +
                          b"Expect: 100-continue\r\n\r\n")

    def nothing_forwarded(self):
        with self.gateway.client() as client:
            self.assertEqual(client.ask(self.chat(content="after the refusal")).status, 200)
        self.assertEqual([r.json["messages"][0]["content"] for r in self.backend.requests],
                         ["after the refusal"])


class Unfinished(BodyCase):

    def test_row_031_a_body_without_its_last_chunk_gets_408(self):
        client = self.client()
        client.send(self.bytes(START + CHUNKED + b"\r\n%x\r\n%s\r\n" % (len(BODY), BODY)))
        answer = client.read()
        self.assertEqual(answer.status, 408, answer)
        self.assertTrue(answer.closes and answer.complete)
        self.assertEqual(client.read_to_close(), (b"", "eof"))
        self.nothing_forwarded()

    def test_row_031_an_end_of_the_connection_does_not_end_a_body(self):
        for framing in (CHUNKED, b"Content-Length: %d\r\n" % (len(BODY) + 1)):
            client = self.client()
            data = BODY if framing != CHUNKED else b"%x\r\n%s\r\n" % (len(BODY), BODY)
            client.send(self.bytes(START + framing + b"\r\n") + data)
            client.shut_write()
            left, _ = client.read_to_close()
            self.assertNotIn(b" 200 ", left)
        self.nothing_forwarded()


class Expectations(BodyCase):

    def test_row_040_the_body_is_asked_for(self):
        for framing, body in ((LENGTH, BODY),
                              (CHUNKED, b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))):
            with self.subTest(framing):
                self.backend.forget()
                client = self.client()
                client.send(self.expect(framing))
                self.assertEqual(client.source.line("the interim answer"),
                                 b"HTTP/1.1 100 Continue")
                client.source.until(b"\r\n", "the interim answer's end")
                self.assertEqual(self.backend.requests, [])
                client.send(body)
                answer = client.read()
                self.assertEqual((answer.status, answer.interim), (200, []))
                self.assertIsNone(self.backend.requests[0].field("expect"))

    def test_row_040_a_client_that_does_not_wait_is_fine(self):
        answer = self.client().ask(self.expect(LENGTH) + BODY)
        self.assertEqual(answer.status, 200)
        self.assertLessEqual(len(answer.interim), 1)

    def test_row_040_a_refusal_comes_instead_of_100(self):
        too_long = b"Content-Length: %d\r\n" % (BODY_MAX + 1)
        cases = [(self.expect(too_long), 413),
                 (self.expect(LENGTH).replace(b"/v1/chat/completions", b"/nowhere"), 404),
                 (self.expect(LENGTH).replace(b"application/json", b"text/plain"), 415)]
        for data, status in cases:
            with self.subTest(status):
                answer = self.client().ask(data)
                self.assertEqual((answer.status, answer.interim), (status, []))
        self.nothing_forwarded()

    def test_row_040_another_expectation_gets_417(self):
        answer = self.client().ask(self.post(BODY, "Expect: 200-ok"))
        self.assertEqual(answer.status, 417)
        self.nothing_forwarded()

    def test_row_040_http_1_0_cannot_expect(self):
        answer = self.client().ask(self.expect(LENGTH, b"HTTP/1.0") + BODY)
        self.assertEqual((answer.status, answer.interim), (200, []))


class Limits(BodyCase):

    def test_row_044_a_declared_length_over_the_limit_gets_413_before_the_body(self):
        client = self.client()
        client.send(self.bytes(START + b"Content-Length: %d\r\n\r\n" % (BODY_MAX + 1)))
        answer = client.read()
        self.assertEqual(answer.status, 413)
        error_in(answer)
        self.nothing_forwarded()

    def test_row_044_an_absurd_length_gets_413(self):
        answer = self.client().ask(self.bytes(
            START + b"Content-Length: 9223372036854775807\r\n\r\n"))
        self.assertEqual(answer.status, 413)

    def test_row_044_a_chunked_body_gets_413_where_it_crosses_the_limit(self):
        client = self.client()
        piece = b"1000\r\n" + b" " * 4096 + b"\r\n"
        client.send_some(self.bytes(START + CHUNKED + b"\r\n") + piece * (BODY_MAX // 4096 + 1))
        answer = client.read()
        self.assertEqual(answer.status, 413)
        error_in(answer)
        # The rest never comes: then the connection does not stay.
        self.assertEqual(client.read_to_close(), (b"", "eof"))
        self.nothing_forwarded()

    def test_row_044_a_chunk_that_announces_too_much_gets_413(self):
        client = self.client()
        client.send_some(self.bytes(START + CHUNKED + b"\r\n7fffffffffffffff\r\n") +
                         b" " * (BODY_MAX + 1))
        self.assertEqual(client.read().status, 413)
        self.nothing_forwarded()

    def test_row_044_a_body_of_exactly_the_limit_is_taken(self):
        body = chat_body(content="x" * (BODY_MAX - len(chat_body(content=""))))
        self.assertEqual(len(body), BODY_MAX)
        for data in (self.post(body), self.bytes(START + CHUNKED + b"\r\n") +
                     b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)):
            self.backend.forget()
            self.assertEqual(self.client().ask(data).status, 200)
            self.assertEqual(self.backend.requests[0].body, body)

    def test_row_045_a_coding_that_is_not_decoded_gets_415(self):
        for coding in ("deflate", "br", "compress", "gzip, gzip", "gzip, zstd", "identity, br"):
            with self.subTest(coding):
                answer = self.client().ask(
                    self.post(gzip.compress(BODY), f"Content-Encoding: {coding}"))
                self.assertEqual(answer.status, 415)
                self.assertEqual(answer.field("accept-encoding"), "gzip, zstd")
                self.assertIn("gzip, zstd", error_in(answer)["message"])
        self.nothing_forwarded()


JSON_FAULTS = {
    "nesting of 100,000": b'{"model":"m","x":' + b"[" * 100000 + b"]" * 100000 + b"}",
    "nesting without end": b"[" * 500000,
    "the model twice": b'{"model":"m","messages":[],"model":"other"}',
    "the same model twice": b'{"model":"m","messages":[],"model":"m"}',
    "the model twice, once escaped": b'{"model":"m","mod\\u0065l":"other"}',
    # Go's parser, and Ollama with it, takes these two for the same.
    "the model in another case": b'{"model":"m","Model":"other"}',
    "stream twice": b'{"model":"m","stream":true,"stream":false}',
    "invalid UTF-8": b'{"model":"m","x":"\xff"}',
    "overlong UTF-8": b'{"model":"m","x":"\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"model":"m","x":"\xed\xa0\x80"}',
    "a lone surrogate in a key": b'{"model":"m","\\ud800":1}',
    "a lone surrogate in the model": b'{"model":"m\\ud800"}',
    "a NUL between": b'{"model":"m",\x00"x":1}',
    "a NUL in a string": b'{"model":"m","x":"\x00"}',
    "a raw line end in a string": b'{"model":"m","x":"\n"}',
    "bytes behind the value": b'{"model":"m"} x',
    "a second value": b'{"model":"m"}{"model":"other"}',
    "a comma at the end": b'{"model":"m",}',
    "a comment": b'{"model":"m" /* x */}',
    "single quotes": b"{'model':'m'}",
    "a number that is none": b'{"model":"m","x":01}',
    "NaN": b'{"model":"m","x":NaN}',
    "a bad escape": b'{"model":"m","x":"\\x41"}',
    "an array": b'["model","m"]',
    "a string": b'"m"',
    "nothing": b"",
    "white space": b"  \r\n",
    "half an object": b'{"model":"m"',
    "a BOM": b'\xef\xbb\xbf{"model":"m"}',
    "UTF-16": '{"model":"m"}'.encode("utf-16"),
    "a model that is a number": b'{"model":1}',
    "a model that is an object": b'{"model":{"model":"m"}}',
}


class Json(BodyCase):
    flags = ()

    def test_row_046_a_huge_number_is_no_fault_of_ours(self):
        # 1e999 is well-formed JSON; it is not ours to read, and no other byte changes.
        body = b'{"model":"m","x":1e999,"messages":[{"content":"hi"}]}'
        answer = self.client().ask(self.post(body))
        self.assertIn(answer.status, (200, 400))
        if answer.status == 200:
            self.assertEqual(self.backend.requests[0].body, body)

    def test_row_046_what_is_odd_and_right_is_taken_byte_for_byte(self):
        for body in (b' \t\r\n{ "x" : "\\ud83c\\udf0a\xf0\x9f\x8c\x8a" , "model" : "\\u006d" } ',
                     b'{"X":{"model":"other"},"y":["model","other"],"model":"m","models":1}',
                     # Keys of the outermost object are read here, others are the backend's (C6).
                     b'{"model":"m","x":[{"a\\udc00":1}]}',
                     b'{"model":"m","messages":[{"role":"user","content":"\\"model\\":\\"x\\""}]}'):
            self.backend.forget()
            self.assertEqual(self.client().ask(self.post(body)).status, 200, body)
            self.assertEqual(self.backend.requests[0].body, body)

    def test_row_047_only_json_and_multipart_are_taken(self):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "text/json; x=application/"
                     "json", "application/jsonx", "image/png", "x"):
            with self.subTest(kind):
                answer = self.client().ask(self.post(BODY, content_type=kind))
                self.assertEqual(answer.status, 415)
                error_in(answer)
        self.nothing_forwarded()

    def test_row_047_parameters_and_case_of_the_type_do_not_matter(self):
        for kind in ("application/json; charset=utf-8", "Application/JSON", "application/json;x=y"):
            with self.subTest(kind):
                self.assertEqual(self.client().ask(self.post(BODY, content_type=kind)).status, 200)


def add_json_faults():
    for what, body in JSON_FAULTS.items():
        def test(self, body=body):
            client = self.client()
            answer = client.ask(self.post(body))
            self.assertEqual(answer.status, 400, answer)
            error_in(answer)
            self.nothing_forwarded()
        setattr(Json, "test_row_046_" + what.replace(" ", "_").replace(",", ""), test)


add_json_faults()


class Splits(BodyCase):
    """Row 48: however a request is cut, the outcome is the same."""

    flags = ()

    DATA = START + LENGTH + b"X-A: b\r\n\r\n" + BODY
    CHUNKED_DATA = START + CHUNKED + b"\r\n3;x=y\r\n%s\r\n%x\r\n%s\r\n0\r\nX-T: 1\r\n\r\n" % (
        BODY[:3], len(BODY) - 3, BODY[3:])

    def outcome(self, data, cuts):
        """Status and what the backend saw."""
        self.backend.forget(lambda peer, seen: peer.send(chat_answer()))
        with self.gateway.client() as client:
            try:
                client.send_in_pieces(data, cuts)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before all of it was sent
            answer = client.read()
            _ = answer.body
        return answer.status, [(r.target, r.body) for r in self.backend.requests]

    def same_at_every_offset(self, data):
        data = self.bytes(data)
        whole = self.outcome(data, [])
        for cut in range(1, len(data)):
            self.assertEqual(self.outcome(data, [cut]), whole, f"cut at {cut}")
        self.assertEqual(self.outcome(data, range(len(data))), whole, "byte by byte")
        return whole

    def test_row_048_a_request_with_a_length(self):
        status, seen = self.same_at_every_offset(self.DATA)
        self.assertEqual((status, seen), (200, [("/v1/chat/completions", BODY)]))

    def test_row_048_a_chunked_request(self):
        status, seen = self.same_at_every_offset(self.CHUNKED_DATA)
        self.assertEqual((status, seen), (200, [("/v1/chat/completions", BODY)]))

    def test_row_048_refusals(self):
        for data in (LINE + HOST + LENGTH + CHUNKED + b"\r\n", LINE + HOST + b"X-A : b\r\n\r\n",
                     LINE + HOST + HOST + b"\r\n", LINE.replace(b"1.1", b"2.1") + HOST + b"\r\n"):
            with self.subTest(data):
                status, seen = self.same_at_every_offset(data)
                self.assertIn(status, (400, 505))
                self.assertEqual(seen, [])

    def test_row_048_two_requests_in_one_segment_cut_anywhere(self):
        one = self.bytes(self.DATA)
        data = one + one
        for cut in range(1, len(data), 7):
            with self.gateway.client() as client:
                client.send_in_pieces(data, [cut])
                self.assertEqual([client.read().status for _ in range(2)], [200, 200])


if __name__ == "__main__":
    main()
