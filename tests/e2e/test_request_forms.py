#!/usr/bin/env python3
"""Bodies of requests as clients send them: without a type, compressed, with half a character in
them, and large ones.
"""

import gzip
import shutil
import struct
import subprocess
import zlib

from backend import chat_answer, json_answer
from harness import SANITIZED, Gateway, GatewayCase, chat_body, error_in, main, request
from test_ways_in import KEY
from pool_case import PoolCase, backend, consumers

KIB = 1 << 10
MIB = 1 << 20
CHAT = "/v1/chat/completions"
OLLAMA = ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings")
LLAMA_SERVER = ("/completion", "/completions", "/infill", "/embedding", "/embeddings", "/tokenize",
                "/detokenize", "/apply-template", "/chat/completions", "/rerank")
TYPES = (None, "application/x-www-form-urlencoded", "text/plain", "text/plain;charset=UTF-8",
         "application/octet-stream", "text/json", "x")


def zstd(*blocks, window_log=20):
    """A frame (RFC 8878) of blocks: bytes as they are, or (byte, times)."""
    out = struct.pack("<I", 0xFD2FB528) + bytes([0, (window_log - 10) << 3])
    for number, block in enumerate(blocks):
        last = number == len(blocks) - 1
        repeated = isinstance(block, tuple)
        size = block[1] if repeated else len(block)
        header = size << 3 | (1 if repeated else 0) << 1 | last
        out += struct.pack("<I", header)[:3] + (block[0] if repeated else block)
    return out


def chunked(body, size):
    parts = [body[at:at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


class FormCase(GatewayCase):

    def ask(self, path, body, *fields, content_type="application/json", gateway=None):
        gateway = gateway or self.gateway
        with gateway.client() as client:
            return client.ask(request("POST", path, body, gateway.host, fields, content_type))

    def taken(self, answer, body):
        """The backend got that body, as it is and with its length."""
        self.assertEqual(answer.status, 200, answer)
        seen = self.backend.requests[-1]
        self.assertEqual(seen.body, body)
        self.assertEqual(seen.field("content-length"), str(len(body)))
        self.assertIsNone(seen.field("content-encoding"))
        self.assertIsNone(seen.field("transfer-encoding"))
        return seen


class Types(FormCase):

    def setUp(self):
        super().setUp()
        self.backend.script = lambda peer, _: peer.send(json_answer({"done": True}))

    def test_C6_a_body_without_a_json_type_is_served_on_the_servers_own_endpoints(self):
        body = b'{"model":"m","prompt":"hi","stream":false}'
        for path in (*OLLAMA, *LLAMA_SERVER):
            for content_type in TYPES:
                answer = self.ask(path, body, content_type=content_type)
                seen = self.taken(answer, body)
                # cpp-httplib reads a form itself, and no more than 8 KiB of it.
                self.assertEqual(seen.field("content-type"), "application/json")

    def test_C6_a_program_that_names_a_fetch_mode_is_no_browser(self):
        for path in ("/api/chat", "/completion"):
            answer = self.ask(path, b'{"model":"m"}', "Sec-Fetch-Mode: cors",
                              "Sec-Fetch-Dest: empty", "User-Agent: node", content_type=None)
            self.assertEqual(answer.status, 200)

    def test_C6_no_page_gets_through_with_a_type_that_needs_no_preflight(self):
        for path in (*OLLAMA, *LLAMA_SERVER):
            for content_type in TYPES:
                for field in ("Origin: http://localhost:3000",
                              f"Origin: http://{self.gateway.host}", "Sec-Fetch-Site: same-origin",
                              "Sec-Fetch-Site: same-site",
                              "Sec-Fetch-Site: none"):
                    answer = self.ask(path, b'{"model":"m"}', field, content_type=content_type)
                    self.assertEqual(answer.status, 415, (path, content_type, field))
        self.assertEqual(self.backend.requests, [])

    def test_C6_other_endpoints_and_forms_keep_their_type(self):
        for path in (CHAT, "/v1/completions", "/v1/embeddings", "/v1/messages", "/v1/responses"):
            for content_type in TYPES:
                self.assertEqual(self.ask(path, b'{"model":"m"}', content_type=content_type).status,
                                 415)
        for path in ("/api/chat", "/completion"):
            answer = self.ask(path, b"x", content_type="multipart/form-data; boundary=B")
            self.assertEqual(answer.status, 415)
        self.assertEqual(self.backend.requests, [])

    def test_C6_what_is_no_json_is_refused_whatever_its_type(self):
        self.assertEqual(self.ask("/api/chat", b"model=m", content_type=None).status, 400)
        self.assertEqual(self.backend.requests, [])


class Coded(FormCase):
    flags = ("--body-max", "1MiB")

    BODY = chat_body(content="a longer text, " * 400)
    BIG = chat_body(content="x" * 900 * KIB)

    def codings(self, body):
        split = len(body) // 2
        yield "gzip", gzip.compress(body)
        yield "x-gzip", gzip.compress(body, 1)
        yield "GZip", gzip.compress(body[:split]) + gzip.compress(body[split:])
        yield "zstd", zstd(*(body[at:at + 1000] for at in range(0, len(body), 1000)))
        yield "ZSTD", zstd(body[:100], body[100:300]) + zstd(body[300:split], body[split:])
        if shutil.which("zstd"):
            for level in ("-1", "-19"):
                yield "zstd", subprocess.run(["zstd", "-c", level], input=body, check=True,
                                             stdout=subprocess.PIPE).stdout

    def test_C6_a_compressed_body_reaches_the_backend_as_it_was(self):
        for coding, coded in self.codings(self.BODY):
            answer = self.ask(CHAT, coded, f"Content-Encoding: {coding}")
            self.taken(answer, self.BODY)
            line = self.gateway.logged(id=answer.field("x-request-id"))
            self.assertLess(line["bytes_in"], len(coded) + KIB)

    def test_C6_also_chunked_and_in_any_pieces(self):
        for coding, coded in self.codings(self.BODY):
            head = (f"POST {CHAT} HTTP/1.1\r\nHost: {self.gateway.host}\r\n"
                    f"Content-Type: application/json\r\nContent-Encoding: {coding}\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n").encode()
            for size in (7, 1000):
                data = head + chunked(coded, size)
                for cuts in ([], range(0, len(data), 97), [len(head) + 5, len(data) - 1]):
                    client = self.client()
                    client.send_in_pieces(data, cuts)
                    self.taken(client.read(), self.BODY)

    def test_C6_the_next_request_on_the_connection_is_read_as_ever(self):
        client = self.client()
        for coding, coded in self.codings(self.BODY):
            one = request("POST", CHAT, coded, self.gateway.host, [f"Content-Encoding: {coding}"])
            client.send(one + self.chat() + one)
            self.assertEqual([client.read().status for _ in range(3)], [200] * 3)
            self.assertEqual([seen.body for seen in self.backend.requests[-3:]],
                             [self.BODY, chat_body(), self.BODY])

    def test_C6_identity_is_no_coding_and_codings_may_stand_in_several_fields(self):
        for fields in (("Content-Encoding: identity",), ("Content-Encoding:",),
                       ("Content-Encoding: identity", "Content-Encoding: Identity, identity")):
            answer = self.ask(CHAT, self.BODY, *fields)
            self.assertEqual(answer.status, 200)
        coded = gzip.compress(self.BODY)
        for fields in (("Content-Encoding: identity", "Content-Encoding: gzip"),
                       ("Content-Encoding: identity,gzip",), ("Content-Encoding: gzip, ",)):
            self.taken(self.ask(CHAT, coded, *fields), self.BODY)
        answer = self.ask(CHAT, coded, "Content-Encoding: gzip", "Content-Encoding: zstd")
        self.assertEqual(answer.status, 415)

    def test_C6_what_is_broken_is_400_and_goes_no_further(self):
        coded = gzip.compress(self.BODY)
        frame = zstd(self.BODY[:3000], self.BODY[3000:])
        for coding, body in (
                ("gzip", b""), ("zstd", b""), ("gzip", self.BODY), ("zstd", self.BODY),
                ("gzip", coded[:-1]), ("gzip", coded[:20]), ("zstd", frame[:-1]),
                ("zstd", frame[:6]), ("gzip", coded + b"more"), ("zstd", frame + b"more!"),
                ("zstd", coded), ("gzip", frame), ("gzip", zlib.compress(self.BODY)),
                ("gzip", coded[:-5] + b"\0" * 5), ("gzip", gzip.compress(b"no JSON")),
                ("gzip", gzip.compress(coded))):
            answer = self.ask(CHAT, body, f"Content-Encoding: {coding}")
            self.assertEqual(answer.status, 400, (coding, body[:20]))
            error_in(answer)
        self.assertEqual(self.backend.requests, [])

    def test_C6_multipart_and_other_dialects_are_decoded_too(self):
        form = (b"--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n"
                b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"
                b"\r\n" + bytes(range(256)) * 40 + b"\r\n--B--\r\n")
        for path, body, content_type in (
                ("/v1/audio/transcriptions", form, "multipart/form-data; boundary=B"),
                ("/v1/messages", self.BODY, "application/json"),
                ("/v1/responses", b'{"model":"m","input":"hi"}', "application/json"),
                ("/api/chat", self.BODY, None),
                ("/completion", b'{"model":"m","prompt":"hi"}', "text/plain")):
            self.backend.script = lambda peer, _: peer.send(json_answer({"text": "hi"}))
            answer = self.ask(path, gzip.compress(body), "Content-Encoding: gzip",
                              content_type=content_type)
            self.taken(answer, body)

    def test_C6_a_body_is_measured_as_it_is_decoded(self):
        self.taken(self.ask(CHAT, gzip.compress(self.BIG), "Content-Encoding: gzip"), self.BIG)
        for times in (1.1, 3, 40):
            body = chat_body(content="x" * int(MIB * times))
            for coding, coded in (("gzip", gzip.compress(body)),
                                  ("zstd", zstd(*[(b" ", 128 * KIB)] * int(8 * times + 1)))):
                answer = self.ask(CHAT, coded, f"Content-Encoding: {coding}")
                self.assertEqual(answer.status, 413, (coding, times))
                self.assertIn("--body-max", error_in(answer)["message"])

    def test_C6_a_bomb_is_refused_where_it_crosses_the_limit_and_others_go_on(self):
        # 4 bytes that stand for 128 KiB, ten thousand times: 1.2 GiB.
        bomb = zstd(*[(b" ", 128 * KIB)] * 10_000)
        self.assertLess(len(bomb), 64 * KIB)
        bombs = [self.client() for _ in range(8)]
        for client in bombs:
            client.send(request("POST", CHAT, bomb, self.gateway.host, ["Content-Encoding: zstd"]))
        self.assertEqual(self.client().ask(self.chat()).status, 200)
        self.assertEqual([client.read().status for client in bombs], [413] * 8)
        if not SANITIZED:
            self.assertLess(self.gateway.rss(), 200 * MIB)

    def test_C6_a_frame_that_wants_a_large_window_is_refused_with_what_to_do(self):
        self.taken(self.ask(CHAT, zstd(self.BODY, window_log=23), "Content-Encoding: zstd"),
                   self.BODY)
        answer = self.ask(CHAT, zstd(self.BODY, window_log=27), "Content-Encoding: zstd")
        self.assertEqual(answer.status, 413)
        self.assertIn("8 MiB", error_in(answer)["message"])

    def test_C6_a_route_gets_what_came(self):
        gateway = PoolCase.gateway(self, {}, routes=[
            {"path": "/a", "backends": [backend(self.backend)]}])
        coded = gzip.compress(self.BODY)
        answer = self.ask("/a", coded, "Content-Encoding: gzip", gateway=gateway)
        self.assertEqual(answer.status, 200)
        self.assertEqual((self.backend.requests[-1].body,
                          self.backend.requests[-1].field("content-encoding")), (coded, "gzip"))

    def test_C6_a_stranger_has_nothing_decoded(self):
        gateway = PoolCase.gateway(self, {"m": {"backends": [backend(self.backend)]}},
                                   consumers=consumers(a=KEY))
        answer = self.ask(CHAT, b"no gzip", "Content-Encoding: gzip", gateway=gateway)
        self.assertEqual(answer.status, 401)
        answer = self.ask(CHAT, gzip.compress(self.BODY), "Content-Encoding: gzip",
                          f"Authorization: Bearer {KEY}", gateway=gateway)
        self.taken(answer, self.BODY)

    def test_C6_an_edit_is_made_in_the_decoded_body(self):
        gateway = Gateway("--model", f"alias={self.backend.url}#m", *self.flags)
        self.addCleanup(gateway.stop)
        answer = self.ask(CHAT, gzip.compress(chat_body(model="alias")), "Content-Encoding: gzip",
                          gateway=gateway)
        self.taken(answer, chat_body())


class Memory(FormCase):
    flags = ("--buffers", "8MiB", "--body-max", "4MiB", "--shards", "1")

    def test_C6_decoded_bodies_count_with_all_others(self):
        # Half of each is sent: they wait, decoded, for the rest.
        whole = chat_body(content="x" * 1800 * KIB)
        coded = gzip.compress(whole, 0)  # as long as it is
        waiting = []
        for _ in range(4):
            client = self.client()
            data = request("POST", CHAT, coded, self.gateway.host, ["Content-Encoding: gzip"])
            client.send_some(data[:-1000])
            waiting.append((client, data[-1000:]))
        statuses = []
        for client, rest in waiting:
            client.send_some(rest)
            statuses.append(client.read().status)
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertIn(200, statuses)
        self.assertIn(503, statuses)
        self.taken(self.ask(CHAT, coded, "Content-Encoding: gzip"), whole)  # all was given back


class Halves(FormCase):

    def test_C6_half_a_character_is_the_backends_to_judge(self):
        for text in (r"a \ud83d b", r"\udc00", r"\ud83d", r"\ud83d\ud83d\udc4d", r"\ud83d\\",
                     r"\ud83d\n"):
            for body in (b'{"model":"m","messages":[{"role":"user","content":"%s"}]}',
                         b'{"messages":[{"role":"%s"}],"model":"m"}',
                         b'{"model":"m","system":"%s","tools":[{"x":"%s"}],"messages":[]}',
                         b'{"metadata":{"%s":"1"},"model":"m","messages":[]}',
                         b'{"model":"m","logit_bias":{"a%s":1},"stream_options":{"%s":true},'
                         b'"tools":[{"function":{"parameters":{"properties":{"%s":{}}}}}],'
                         b'"messages":[{"role":"user","content":"x","%s":[{"%s":null}]}]}'):
                body = body.replace(b"%s", text.encode())
                self.taken(self.ask(CHAT, body), body)

    def test_C6_what_the_backend_says_of_it_is_passed_on(self):
        self.backend.script = lambda peer, _: peer.send(json_answer(
            {"error": {"message": "surrogate", "type": "invalid_request_error"}}, 400, "Bad"))
        answer = self.ask(CHAT, rb'{"model":"m","messages":[{"role":"user","content":"\ud83d"}]}')
        self.assertEqual((answer.status, answer.json["error"]["message"]), (400, "surrogate"))

    def test_C6_in_an_outermost_key_or_in_the_model_it_is_refused(self):
        for body in (rb'{"model":"m\ud83d"}', rb'{"model":"\udc00"}', rb'{"model":"m","\ud83d":1}',
                     rb'{"\ud83d":{},"model":"m"}', rb'{"mo\ud83ddel":"m"}'):
            answer = self.ask(CHAT, body)
            self.assertEqual(answer.status, 400)
            self.assertIn("surrogate", error_in(answer)["message"])
        self.assertEqual(self.backend.requests, [])


class Large(FormCase):

    def test_C6_a_body_of_60_mebibytes_is_taken_by_default(self):
        body = chat_body(content="x" * 60 * MIB)
        self.backend.script = lambda peer, _: peer.send(chat_answer())
        answer = self.ask(CHAT, body)
        self.assertEqual(answer.status, 200)
        self.assertEqual(len(self.backend.requests[-1].body), len(body))
        with self.gateway.client() as client:
            client.send(request("POST", CHAT, b"", self.gateway.host).replace(
                b"Content-Length: 0", b"Content-Length: %d" % (64 * MIB + 1)))
            self.assertEqual(client.read().status, 413)


if __name__ == "__main__":
    main()
