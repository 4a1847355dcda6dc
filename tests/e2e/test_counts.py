#!/usr/bin/env python3
"""Tokens that a backend tells, does not tell, or tells in part: row R14 of the fault list."""

import json

from backend import DONE, LAST_CHUNK, chunk, delta, event, finish, head, json_answer, sse_head
from harness import main
from pool_case import PoolCase, backend


class Counts(PoolCase):
    """Tokens that a backend tells, does not tell, or tells in part."""

    def case(self, script):
        return self.gateway({"m": {"backends": [backend(self.scripted(script))],
                                   "health": {"probe": "off"}}})

    def line(self, gateway, path="/v1/chat/completions", **more):
        told = self.ask(gateway, path=path, **more)
        self.assertEqual(told.status, 200, told)
        return gateway.logged(id=told.answer.field("x-request-id"))

    def test_R14_what_is_missing_from_a_document_is_estimated_and_flagged(self):
        text = "word " * 80
        zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        chat = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                             "finish_reason": "stop"}]}
        cases = {
            "nothing": ("/v1/chat/completions", chat),
            "null": ("/v1/chat/completions", {**chat, "usage": None}),
            "zero": ("/v1/chat/completions", {**chat, "usage": zero}),
            "a text completion": ("/v1/completions", {"choices": [{"text": text}]}),
            "Anthropic": ("/v1/messages", {"type": "message", "content": [
                {"type": "text", "text": text}], "usage": {"input_tokens": 0, "output_tokens": 0}}),
            "Responses": ("/v1/responses", {"object": "response", "output": [
                {"type": "message", "content": [{"type": "output_text", "text": text}]}]}),
            "Ollama": ("/api/chat", {"message": {"content": text}, "done": True}),
            "llama-server": ("/completion", {"content": text}),
        }
        for what, (path, body) in cases.items():
            raw = json.dumps(body).encode()
            chunked = (head(Content_Type="application/json", Transfer_Encoding="chunked") +
                       chunk(raw[:100]) + chunk(raw[100:]) + LAST_CHUNK)
            for data in (json_answer(raw), chunked):
                with self.subTest(what, chunked=data is chunked):
                    line = self.line(self.case(lambda peer, _, data=data: peer.send(data)), path,
                                     stream=False, prompt="x", input="x", content="y" * 400)
                    self.assertTrue(line["tokens_estimated"])
                    self.assertNotIn("cached_tokens", line)
                    self.assertTrue(80 <= line["completion_tokens"] <= 120, line)
                    self.assertTrue(80 <= line["prompt_tokens"] <= 200, line)

    def test_R14_embeddings_have_a_prompt_only(self):
        data = json_answer({"data": [{"embedding": [0.5] * 100}]})
        line = self.line(self.case(lambda peer, _: peer.send(data)), "/v1/embeddings", input="x")
        self.assertEqual((line["completion_tokens"], line["tokens_estimated"]), (0, True))
        self.assertGreater(line["prompt_tokens"], 0)
        line = self.line(self.case(lambda peer, _: peer.send(json_answer({"tokens": [1]}))),
                         "/tokenize", content="x")
        self.assertNotIn("prompt_tokens", line)

    def test_R14_unknown_cached_tokens_are_left_out(self):
        told = {"prompt_tokens": 11, "completion_tokens": 5}
        cases = ((told, None), ({**told, "prompt_tokens_details": None}, None),
                 ({**told, "prompt_tokens_details": {}}, None),
                 ({**told, "prompt_tokens_details": {"cached_tokens": None}}, None),
                 ({**told, "prompt_tokens_details": {"cached_tokens": 0}}, 0),
                 ({**told, "prompt_tokens_details": {"cached_tokens": 4}}, 4))
        for usage, cached in cases:
            for stream in (False, True):
                with self.subTest(usage, stream=stream):
                    def script(peer, _, usage=usage, stream=stream):
                        if stream:
                            peer.send(sse_head() + chunk(delta("a") + finish() + event(
                                {"choices": [], "usage": usage}) + DONE) + LAST_CHUNK)
                        else:
                            peer.send(json_answer({"choices": [], "usage": usage}))
                    line = self.line(self.case(script), stream=stream)
                    self.assertEqual(line.get("cached_tokens"), cached)
                    self.assertEqual((line["prompt_tokens"], line["completion_tokens"]), (11, 5))

    def test_R14_ollama_s_counts(self):
        cases = (({"prompt_eval_count": 11, "eval_count": 5}, 11, None, False),
                 ({"prompt_eval_count": 11, "prompt_eval_cached_count": 4, "eval_count": 5}, 11, 4,
                  False),
                 ({"eval_count": 5}, None, None, True))
        for counts, prompt, cached, estimated in cases:
            for stream in (False, True):
                with self.subTest(counts, stream=stream):
                    last = {"message": {"content": "a"}, "done": True, **counts}
                    lines = json.dumps({"message": {"content": "a"}, "done": False}).encode() + \
                        b"\n" + json.dumps(last).encode() + b"\n"

                    def script(peer, _, stream=stream, last=last, lines=lines):
                        peer.send(head(Content_Type="application/x-ndjson",
                                       Transfer_Encoding="chunked") + chunk(lines) + LAST_CHUNK
                                  if stream else json_answer(last))
                    line = self.line(self.case(script), "/api/chat", stream=stream)
                    self.assertEqual(line["completion_tokens"], 5)
                    self.assertEqual(line.get("cached_tokens"), cached)
                    self.assertEqual(line.get("tokens_estimated", False), estimated)
                    if prompt:
                        self.assertEqual(line["prompt_tokens"], prompt)
                    else:
                        self.assertGreater(line["prompt_tokens"], 0)

    def test_R14_what_message_start_told_is_kept(self):
        for usage, completion in (({"input_tokens": None, "output_tokens": 5}, 5),
                                  ({"input_tokens": None, "output_tokens": None}, None),
                                  ({"input_tokens": 7, "output_tokens": None}, None),
                                  ({"input_tokens": 7, "cache_read_input_tokens": 4}, None),
                                  ({"input_tokens": 7, "output_tokens": 0}, None),
                                  ({}, None),
                                  ({"output_tokens": 5, "cache_read_input_tokens": None}, 5),
                                  (None, None)):
            with self.subTest(usage):
                body = b"".join([
                    event({"type": "message_start", "message": {"usage": {
                        "input_tokens": 7, "cache_read_input_tokens": 4, "output_tokens": 1}}},
                          "message_start"),
                    event({"type": "content_block_delta", "index": 0, "delta": {
                        "type": "text_delta", "text": "word " * 8}}, "content_block_delta"),
                    event({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                           "usage": usage}, "message_delta"),
                    event({"type": "message_stop"}, "message_stop")])
                line = self.line(self.case(lambda peer, _, body=body: peer.send(
                    sse_head() + chunk(body) + LAST_CHUNK)), "/v1/messages", stream=True)
                self.assertEqual((line["prompt_tokens"], line["cached_tokens"]), (11, 4))
                if completion:
                    self.assertEqual(line["completion_tokens"], completion)
                    self.assertNotIn("tokens_estimated", line)
                else:
                    # Not the 1 that message_start began with.
                    self.assertEqual(line["completion_tokens"], 10)
                    self.assertTrue(line["tokens_estimated"])

    def test_R14_what_message_start_told_is_not_learned_from(self):
        def script(peer, _):
            peer.send(sse_head() + chunk(b"".join([
                event({"type": "message_start", "message": {"usage": {
                    "input_tokens": 7, "output_tokens": 1}}}, "message_start"),
                event({"type": "content_block_delta", "index": 0, "delta": {
                    "type": "text_delta", "text": "word " * 80}}, "content_block_delta"),
                event({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                       "usage": {"input_tokens": 7, "output_tokens": None}}, "message_delta"),
                event({"type": "message_stop"}, "message_stop")])) + LAST_CHUNK)
        gateway = self.case(script)
        for _ in range(3):
            line = self.line(gateway, "/v1/messages", stream=True)
            self.assertEqual((line["completion_tokens"], line["tokens_estimated"]), (100, True))

    def test_R14_the_estimate_learns_what_a_token_takes(self):
        # A model with a token for every two bytes of a prompt, and of five of what it writes.
        def script(peer, seen):
            text, silent = "word " * 100, b"silent" in seen.body
            told = {"prompt_tokens": len(seen.body) // 2, "completion_tokens": 100}
            if seen.json.get("stream"):
                tail = b"" if silent else event({"choices": [], "usage": told})
                peer.send(sse_head() + chunk(b"".join(delta("word " * 10) for _ in range(10)) +
                                             finish() + tail + DONE) + LAST_CHUNK)
            else:
                answer = {"choices": [{"index": 0, "message": {"content": text}}]}
                peer.send(json_answer(answer if silent else {**answer, "usage": told}))
        gateway = self.case(script)
        for stream in (False, True):
            for size in (500, 1000, 2000):
                self.line(gateway, stream=stream, content="x" * size)
        for stream in (False, True):
            with self.subTest(stream=stream):
                line = self.line(gateway, stream=stream, content="silent" + "x" * 3000)
                self.assertTrue(line["tokens_estimated"])
                self.assertAlmostEqual(line["prompt_tokens"], 1550, delta=100)
                self.assertAlmostEqual(line["completion_tokens"], 100, delta=10)


if __name__ == "__main__":
    main()
