#!/usr/bin/env python3
"""Framing of requests and smuggling: section 2.2 of the fault list, on the wire."""

import itertools
import json
import re

from backend import chat_answer
from framing_cases import (BODY, CASES, CHUNKED, CHUNKS, HOST, LENGTH, LINE, SMUGGLED, START, TYPE)
from harness import GatewayCase, error_in, main, request
from wire import Closed


class FramingCase(GatewayCase):
    """What all classes here need."""

    def bytes(self, data):
        return data.replace(b"{host}", self.gateway.host.encode())

    def refused(self, data, statuses, client=None):
        """Sends the bytes; the answer must be a refusal that closes. Returns it."""
        client = client or self.client()
        client.send_some(self.bytes(data))
        answer = client.read()
        self.assertIn(answer.status, statuses, answer)
        self.assertTrue(answer.closes, answer)
        self.assertTrue(answer.complete, answer)
        self.assertTrue(error_in(answer)["message"])
        self.assertEqual(client.read_to_close(), (b"", "eof"))
        return answer

    def nothing_forwarded(self):
        """The backend saw no request but the next good one, which also shows that all is well."""
        with self.gateway.client() as client:
            answer = client.ask(self.chat(content="after the refusal"))
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual([r.json["messages"][0]["content"] for r in self.backend.requests],
                         ["after the refusal"])

    def answers(self, client, methods=()):
        """All answers until the gateway closes."""
        found = []
        for method in itertools.chain(methods, itertools.repeat("GET")):
            try:
                answer = client.read(method)
            except Closed:
                if client.source.buffer:
                    raise
                return found
            _ = answer.body
            found.append(answer)


class Refusals(FramingCase):
    """The table of framing_cases.py."""


def add_refusals():
    for number, (row, what, data, statuses) in enumerate(CASES):
        def test(self, data=data, statuses=statuses):
            self.refused(data, statuses)
            self.nothing_forwarded()
        name = re.sub(r"\W+", "_", what).strip("_")
        setattr(Refusals, f"test_row_{row:03}_{name}_{number}", test)


add_refusals()


class Accepted(FramingCase):
    """What looks odd and is fine, and what must come out of it."""

    def accepted(self, data, body=BODY):
        """The request is answered by the backend, which saw exactly this body; returns that."""
        client = self.client()
        answer = client.ask(self.bytes(data))
        self.assertEqual(answer.status, 200, answer)
        seen = self.backend.requests[-1]
        self.assertEqual(json.loads(seen.body), json.loads(body))
        self.assertEqual(len(self.backend.requests), 1)
        return seen

    def test_row_006_length_with_leading_zeros_is_decimal_or_refused(self):
        client = self.client()
        # Read as an octal number it would be shorter than the body, and the rest a request.
        client.send_some(self.bytes(START + b"Content-Length: 0%d\r\n\r\n" % len(BODY) + BODY))
        answer = client.read()
        self.assertIn(answer.status, (200, 400))
        if answer.status == 400:
            self.assertEqual(client.read_to_close()[1], "eof")
        else:
            self.assertEqual(self.backend.requests[-1].body, BODY)

    def test_row_010_a_tab_around_the_coding_is_white_space(self):
        # RFC 9110 section 5.6.3; the backend gets one plain framing.
        client = self.client()
        client.send_some(self.bytes(START + b"Transfer-Encoding:\tchunked\t\r\n\r\n" + CHUNKS))
        answer = client.read()
        self.assertEqual(answer.status, 200)
        for seen in self.backend.requests:
            self.assertEqual(seen.body, BODY)
            self.assertNotIn("\t", seen.field("transfer-encoding") or "")

    def test_row_018_an_unusual_token_is_a_name(self):
        self.accepted(START + LENGTH + b"!#$%&'*+.^`|~: b\r\n\r\n" + BODY)

    def test_row_019_http_1_0_needs_no_host(self):
        self.accepted(b"POST /v1/chat/completions HTTP/1.0\r\n" + TYPE + LENGTH + b"\r\n" + BODY)

    def test_row_022_a_target_in_absolute_form_reaches_the_backend_as_one_truth(self):
        seen = self.accepted(LINE.replace(b" /", b" http://{host}/", 1) + HOST + TYPE + LENGTH +
                             b"\r\n" + BODY)
        self.assertEqual(seen.target, "/v1/chat/completions")
        self.assertIsNotNone(seen.field("host"))

    def test_row_027_two_empty_lines_first_are_tolerated(self):
        self.accepted(b"\r\n\r\n" + START + LENGTH + b"\r\n" + BODY)

    def test_row_030_a_chunk_extension_is_read_and_not_forwarded(self):
        self.accepted(START + CHUNKED + b"\r\n" +
                      b'%x;name=value;quoted="a b"\r\n%s\r\n0;last\r\n\r\n' % (len(BODY), BODY))

    def test_row_032_trailers_are_dropped(self):
        trailers = (b"Content-Length: 5\r\nTransfer-Encoding: gzip\r\nHost: evil\r\n"
                    b"Authorization: Bearer evil\r\nContent-Type: text/plain\r\nX-Evil: 1\r\n")
        seen = self.accepted(START + CHUNKED + b"Trailer: X-Evil\r\n\r\n" + CHUNKS[:-2] + trailers +
                             b"\r\n")
        self.assertNotIn("evil", seen.head.decode().lower())
        self.assertEqual(seen.stream.trailers, [])
        self.assertEqual(seen.field("content-type"), "application/json")

    def test_row_037_an_upgrade_is_ignored_and_not_forwarded(self):
        for protocol in ("h2c", "websocket", "unheard-of/1"):
            with self.subTest(protocol):
                self.backend.forget()
                seen = self.accepted(
                    START + LENGTH + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " +
                    protocol.encode() + b"\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n" +
                    BODY)
                for name in ("upgrade", "http2-settings"):
                    self.assertIsNone(seen.field(name))

    def test_row_037_an_upgrade_without_a_body_is_ignored(self):
        client = self.client()
        answer = client.ask(request("GET", "/v1/models", host=self.gateway.host,
                                    fields=["Connection: Upgrade", "Upgrade: websocket"]))
        self.assertEqual((answer.status, answer.interim), (200, []))
        self.assertEqual(client.ask(request("GET", "/healthz", host=self.gateway.host)).status, 200)

    def test_row_038_http_1_0_with_keep_alive_is_framed_by_its_length(self):
        client = self.client()
        data = self.bytes(b"POST /v1/chat/completions HTTP/1.0\r\n" + HOST + TYPE + LENGTH +
                          b"Connection: keep-alive\r\n\r\n" + BODY)
        client.send(data + data)
        answer = client.read()
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.complete)
        if not answer.closes:
            self.assertEqual(client.read().status, 200)
        for seen in self.backend.requests:
            self.assertEqual(seen.body, BODY)

    def test_row_038_a_body_is_never_delimited_by_the_close(self):
        client = self.client()
        client.send_some(self.bytes(b"POST /v1/chat/completions HTTP/1.0\r\n" + HOST + TYPE +
                                    b"\r\n" + BODY))
        self.assertIn(client.read().status, (400, 411))
        self.nothing_forwarded()

    def test_row_039_fields_that_connection_names_are_removed(self):
        seen = self.accepted(
            START + LENGTH + b"Connection: content-length, authorization, x-secret, host, "
            b"x-request-id, x-forwarded-for\r\nAuthorization: Bearer abc\r\nX-Secret: 1\r\n"
            b"X-Kept: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nTE: trailers\r\n"
            b"Proxy-Authorization: Basic eA==\r\n\r\n" + BODY)
        for name in ("authorization", "x-secret", "keep-alive", "proxy-connection",
                     "proxy-authorization"):
            self.assertIsNone(seen.field(name), name)
        self.assertEqual(seen.field("x-kept"), "2")
        for name in ("host", "x-request-id", "x-forwarded-for"):
            self.assertIsNotNone(seen.field(name), f"{name} is the gateway's own")
        self.assertNotIn("x-secret", (seen.field("connection") or "").lower())

    def test_row_041_other_names_with_underscores_pass(self):
        seen = self.accepted(START + LENGTH + b"my_own_field: 1\r\n\r\n" + BODY)
        self.assertEqual(seen.field("my_own_field"), "1")

    def test_row_042_what_clients_say_about_themselves_is_overwritten_or_checked(self):
        seen = self.accepted(
            START + LENGTH + b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\n"
            b"X-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n"
            b"X-Consumer: evil\r\nX-Consumer-Username: evil\r\nX-Sluice-Consumer: evil\r\n"
            b"X-Request-Id: a b\"c<d>\r\n\r\n" + BODY)
        self.assertEqual(seen.field("x-forwarded-for").split(",")[-1].strip(), "127.0.0.1")
        self.assertEqual(seen.field("x-forwarded-proto"), "http")
        self.assertRegex(seen.field("x-request-id"), r"\A[A-Za-z0-9._:-]{1,128}\Z")
        self.assertNotIn(b"evil", seen.head)

    def test_row_043_a_request_line_of_8000_octets_is_accepted(self):
        target = "/v1/models?x="
        target += "a" * (8000 - len(f"GET {target} HTTP/1.1"))
        answer = self.client().ask(request("GET", target, host=self.gateway.host))
        self.assertEqual(answer.status, 200)

    def test_row_043_ninety_fields_are_accepted(self):
        self.accepted(START + LENGTH + b"a:b\r\n" * 90 + b"\r\n" + BODY)


class Sequences(FramingCase):
    """Several requests on one connection."""

    def test_row_033_a_body_on_a_method_without_one_is_never_a_request(self):
        smuggled = self.bytes(SMUGGLED)
        for method in ("GET", "HEAD", "OPTIONS", "DELETE"):
            with self.subTest(method):
                client = self.client()
                client.send_some(request(method, "/v1/models", smuggled, self.gateway.host) +
                                 request("GET", "/healthz", host=self.gateway.host,
                                         fields=["Connection: close"]))
                answers = self.answers(client, [method])
                self.assertIn(len(answers), (1, 2))
                self.assertNotIn(b"smuggled", b"".join(a.body for a in answers))
                if len(answers) == 2:
                    self.assertEqual(answers[1].status, 200)
                else:
                    self.assertTrue(answers[0].closes)

    def test_row_034_what_is_left_of_an_unread_body_is_never_a_request(self):
        filler = self.bytes(SMUGGLED) * 2000
        for path, kind, statuses in (("/nowhere", "application/json", (404,)),
                                     ("/v1/chat/completions", "text/plain", (415,)),
                                     ("/v1/models", "application/json", (405,))):
            with self.subTest(path):
                client = self.client()
                client.send_some(request("POST", path, filler, self.gateway.host,
                                         content_type=kind) +
                                 request("GET", "/healthz", host=self.gateway.host,
                                         fields=["Connection: close"]))
                answers = self.answers(client)
                self.assertIn(answers[0].status, statuses)
                self.assertIn(len(answers), (1, 2))
                self.assertNotIn(b"smuggled", b"".join(a.body for a in answers))
        self.nothing_forwarded()

    def test_row_035_pipelined_requests_are_answered_in_order(self):
        def script(peer, seen):
            peer.send(chat_answer(seen.json["messages"][0]["content"]))
        for count in (2, 30, 300):
            with self.subTest(count):
                self.backend.forget(script)
                client = self.client()
                client.send(b"".join(self.chat(content=f"number {i}") for i in range(count)))
                for i in range(count):
                    answer = client.read()
                    self.assertEqual(answer.json["choices"][0]["message"]["content"], f"number {i}")

    def test_row_035_a_thousand_pipelined_requests_in_one_segment(self):
        client = self.client()
        paths = [("/healthz", 200), ("/nowhere", 404), ("/v1/models/m", 200)]
        wanted = [paths[i % 3] for i in range(1000)]
        client.send(b"".join(request("GET", path, host=self.gateway.host) for path, _ in wanted))
        for number, (_, status) in enumerate(wanted):
            answer = client.read()
            self.assertEqual(answer.status, status, f"number {number}")

    def test_row_036_bytes_behind_a_request_that_closes_are_ignored(self):
        client = self.client()
        closing = self.chat(fields=["Connection: close"])
        client.send_some(closing + self.chat(content="too late") + b"\x00garbage")
        answers = self.answers(client)
        self.assertEqual([a.status for a in answers], [200])
        self.assertTrue(answers[0].closes)
        self.backend.requests.pop(0)
        self.nothing_forwarded()


if __name__ == "__main__":
    main()
