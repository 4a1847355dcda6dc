#!/usr/bin/env python3
"""Answers that are kept and given again: to whom, for how long, in which form, and what is counted.
"""

import json
import time

from backend import DONE, answer_chat, chat_answer, json_answer
from harness import chat_request, events, main, request
from pool_case import PoolCase, backend, consumers, key_field
from test_relay import metrics
from wire import Client

BLIND = {"probe": "off"}
KEPT = {"answers": "auto"}


class Cache(PoolCase):

    def begin(self, script=answer_chat, cache=None, shards=1, model=None, **top):
        self.asked = []

        def counted(peer, asked):
            self.asked.append(asked)
            script(peer, asked)
        self.server = self.scripted(counted)
        self.gate = self.gateway({"m": {"backends": [backend(self.server)],
                                        "health": BLIND, "queue": {"notice_first": "0"},
                                        "cache": {**KEPT, **(cache or {})}, **(model or {})}},
                                 shards=shards, **top)

    def chat(self, fields=(), **more):
        with Client(self.gate.address) as client:
            answer = client.ask(chat_request(self.gate.host, fields=fields,
                                             **{"temperature": 0, **more}))
        answer.mark = answer.field("x-sluice-cache")
        return answer

    def settled(self):
        """The flight's answer has come to its home."""
        time.sleep(0.05)

    def test_the_second_time_it_comes_from_the_cache(self):
        for shards in (1, 3):
            for stream in (False, True):
                with self.subTest(shards=shards, stream=stream):
                    self.begin(shards=shards)
                    first = self.chat(stream=stream)
                    self.settled()
                    second = self.chat(stream=stream)
                    self.assertEqual((first.mark, second.mark), ("miss", "hit"))
                    self.assertEqual(first.body, second.body)
                    self.assertEqual(second.field("content-type"), first.field("content-type"))
                    self.assertRegex(second.field("age"), r"^\d+$")
                    self.assertEqual(len(self.asked), 1)

    def test_a_stream_answers_for_a_document_and_the_other_way_round(self):
        for stream in (False, True):
            with self.subTest(first_streams=stream):
                self.begin()
                # So that the stream that is kept tells its usage.
                first = {"stream": stream}
                if stream:
                    first["stream_options"] = {"include_usage": True}
                self.chat(**first)
                self.settled()
                second = self.chat(stream=not stream)
                self.assertEqual(second.mark, "hit")
                self.assertEqual(len(self.asked), 1)
                if stream:
                    self.assertEqual(second.json["choices"][0]["message"]["content"], "hello")
                else:
                    said = [json.loads(text) for text in events(second.body) if text != "[DONE]"]
                    self.assertEqual("".join(choice["delta"].get("content") or ""
                                             for each in said for choice in each["choices"]),
                                     "hello")
                    self.assertTrue(second.body.endswith(DONE))

    def test_usage_is_shown_to_who_asks_for_it(self):
        self.begin()
        options = {"include_usage": True}
        self.assertIn(b'"usage"', self.chat(stream=True, stream_options=options).body)
        self.settled()
        plain = self.chat(stream=True)
        self.assertEqual(plain.mark, "hit")
        self.assertNotIn(b'"prompt_tokens"', plain.body)
        asked = self.chat(stream=True, stream_options=options)
        self.assertEqual(asked.mark, "hit")
        self.assertIn(b'"prompt_tokens":', asked.body.replace(b" ", b""))
        self.assertEqual(len(self.asked), 1)

    def test_cache_control(self):
        self.begin()
        self.assertEqual(self.chat(fields=["Cache-Control: only-if-cached"]).status, 504)
        self.assertEqual(len(self.asked), 0)
        self.assertEqual(self.chat(fields=["Cache-Control: no-store"]).mark, "bypass")
        self.settled()
        self.assertEqual(self.chat().mark, "miss")
        self.settled()
        self.assertEqual(self.chat(fields=["Cache-Control: only-if-cached"]).mark, "hit")
        self.assertEqual(self.chat(fields=["Cache-Control: max-age=0"]).mark, "miss")
        self.assertEqual(self.chat(fields=["Cache-Control: no-cache"]).mark, "miss")
        self.settled()
        # What was made anew is kept in its place.
        self.assertEqual(self.chat(fields=["Cache-Control: max-age=1"]).mark, "hit")
        self.assertEqual(self.chat(fields=["Cache-Control: max-age=100"]).mark, "hit")

    def test_its_time_is_over(self):
        self.begin(cache={"ttl": "1s"})
        self.chat()
        self.settled()
        self.assertEqual(self.chat().mark, "hit")
        time.sleep(1.1)
        self.assertEqual(self.chat().mark, "miss")

    def test_what_is_no_whole_answer_is_not_kept(self):
        def refuse(peer, _):
            peer.send(json_answer({"error": {"message": "no", "code": 400}}, 400, "Bad Request"))
        self.begin(refuse)
        for _ in range(2):
            self.assertEqual(self.chat().status, 400)
            self.settled()
        self.assertEqual(len(self.asked), 2)

    def test_consumers_share_only_what_a_group_says(self):
        known = consumers(ann="key-of-ann", bob="key-of-bob", eve="key-of-eve")
        for each in known[:2]:
            each["group"] = "team"
        for share, marks in (("consumer", ["miss", "miss", "miss"]),
                             ("group", ["miss", "hit", "miss"]),
                             ("everybody", ["miss", "hit", "hit"])):
            with self.subTest(share=share):
                self.begin(cache={"share": share}, consumers=known)
                found = []
                for name in ("ann", "bob", "eve"):
                    found.append(self.chat(fields=[key_field(f"key-of-{name}")]).mark)
                    self.settled()
                self.assertEqual(found, marks)

    def test_which_bodies_are_one(self):
        base = b'{"model":"m","temperature":0,"messages":[{"role":"user","content":"a"}]'
        same = [
            b'{"temperature":0.0,"messages":[{"content":"a","role":"user"}],"model":"m"}',
            base + b',"stream":false}', base + b',"n":1}', base + b' , "top_p" : null }',
            b'{"model":"m","temperature":-0,"messages":[{"role":"user","content":"\\u0061"}]}',
            b'{"model":"m","temperature":0e5,"messages":[{"role":"user","content":"a"}]}',
        ]
        other = [
            base + b',"max_tokens":1}', base + b',"user_id":"x"}', base + b',"top_p":1}',
            b'{"model":"m","temperature":0,"messages":[{"role":"user","content":"A"}]}',
            b'{"model":"m","temperature":0,"messages":[{"role":"user","content":"a "}]}',
            b'{"model":"m","temperature":0,"messages":[{"role":"system","content":"a"}]}',
            base + b',"seed":1}', base + b',"seed":1.5}', base + b',"logit_bias":{"1":1}}',
        ]
        self.begin()

        def mark(body):
            with Client(self.gate.address) as client:
                answer = client.ask(request("POST", "/v1/chat/completions", body,
                                            self.gate.host))
            self.assertEqual(answer.status, 200, answer.body)
            self.settled()
            return answer.field("x-sluice-cache")
        self.assertEqual(mark(base + b"}"), "miss")
        for body in same:
            self.assertEqual(mark(body), "hit", body)
        for body in other:
            self.assertEqual(mark(body), "miss", body)
            self.assertEqual(mark(body), "hit", body)
        for body in (base + b',"seed":1,"seed":2}', base + b',"x":{"a":1,"a":2}}'):
            self.assertEqual(mark(body), "bypass", body)

    def test_what_is_passed_by_says_why(self):
        self.begin()
        for more in ({"temperature": 1}, {"n": 2}, {"store": True}):
            answer = self.chat(**more)
            self.assertEqual(answer.mark, "bypass", more)
        self.assertTrue(self.gate.logged(cache="bypass", cache_cause="several_choices"))

    def test_embeddings(self):
        def embed(peer, asked):
            items = asked.json["input"]
            items = items if isinstance(items, list) else [items]
            peer.send(json_answer({
                "object": "list", "model": "m",
                "data": [{"object": "embedding", "index": i, "embedding": [len(item), 1]}
                         for i, item in enumerate(items)],
                "usage": {"prompt_tokens": len(items), "total_tokens": len(items)}}))
        self.begin(embed)

        def ask(items):
            with Client(self.gate.address) as client:
                return client.ask(request(
                    "POST", "/v1/embeddings",
                    json.dumps({"model": "m", "input": items}).encode(), self.gate.host))
        first = ask(["a", "bb"])
        self.settled()
        second = ask(["a", "bb"])
        self.assertEqual((first.field("x-sluice-cache"), second.field("x-sluice-cache")),
                         ("miss", "hit"))
        self.assertEqual(first.json, second.json)

    def test_it_is_counted(self):
        self.begin()
        self.chat()
        self.settled()
        self.chat()
        self.chat(temperature=1)
        line = self.gate.logged(cache="hit")
        self.assertEqual((line["prompt_tokens"], line["completion_tokens"]), (7, 3))
        self.assertNotIn("backend", line)
        value = self.counters(self.gate)
        self.assertEqual(value("sluice_cache_requests_total", result="hit"), 1)
        self.assertEqual(value("sluice_cache_requests_total", result="miss"), 1)
        self.assertEqual(value("sluice_cache_bypasses_total", reason="not_determined"), 1)
        self.assertEqual(value("sluice_cache_saved_tokens_total", type="input"), 7)
        self.assertEqual(value("sluice_cache_saved_tokens_total", type="output"), 3)
        # The backend's own count holds each token once.
        self.assertEqual(value("sluice_tokens_total", type="input"), 14)

    def test_the_memory_is_bounded(self):
        big = "x" * 20_000

        def script(peer, _):
            peer.send(chat_answer(big))
        self.begin(script, limits={"cache": "1MiB"})
        for number in range(100):
            self.chat(content=f"number {number}")
        found = metrics(self.gate)
        self.assertLessEqual(found["sluice_cache_bytes"], 1 << 20)
        self.assertGreater(found["sluice_cache_bytes"], 1 << 18)
        self.assertGreater(found["sluice_cache_evictions_total"], 0)


if __name__ == "__main__":
    main()
