#!/usr/bin/env python3
"""Servers that say nothing for a while: who is waited for, who is given up, what clients hear
meanwhile; and servers that compute on for clients that have left.

The figures of a real life (minutes) are checked on virtual time, see tests/sim/silence_test.cc;
these are the same rules with short settings, through the program.
"""

import json
import signal
import threading
import time

from backend import (DONE, LAST_CHUNK, answer_chat, chat_answer, chunk, delta, finish, head,
                     sse_head)
from harness import chat_request, main
from pool_case import PoolCase, Told, backend, together
from test_relay import metrics
from wire import wait_until

QUICK = {"interval": "100ms", "timeout": "300ms"}
BLIND = {"probe": "off"}
BEAT = b": still there\n\n"
EVENT = b'event: keepalive\ndata: {"type":"keepalive"}\n\n'
SOON = 15.0


def rest(*events):
    return b"".join(map(chunk, (*events, finish(), DONE))) + LAST_CHUNK


class Silence(PoolCase):

    def serve(self, script, health=QUICK, slots=None, **timeouts):
        self.server = self.scripted(script)
        self.server.slots = slots
        return self.gateway({"m": {
            "backends": [backend(self.server)], "health": health, "heartbeat": "0",
            "queue": {"notice_first": "0"},
            "timeouts": {"silence": "700ms", **timeouts}}})

    def silent(self, seconds, mute=False):
        """Says a word, then nothing for so long, then the rest; or all of it behind that."""
        def script(peer, request):
            self.server.mute = mute
            if request.json.get("stream"):
                peer.send(sse_head() + chunk(delta("one")))
                peer.wait_gone(seconds)
                peer.send(rest(delta("two")))
            else:
                peer.wait_gone(seconds)
                peer.send(chat_answer())
        return script

    def test_R5_a_silent_server_that_answers_its_health_check_is_waited_for(self):
        gateway = self.serve(self.silent(3))
        for stream in (True, False):
            told = self.assert_served(self.ask(gateway, stream=stream))
            self.assertGreaterEqual(told.ended - told.began, 2.9)
        self.assertEqual(self.happened(gateway, "breaker"), [])

    def test_R5_without_any_sign_of_life_it_is_not(self):
        for stream in (True, False):
            gateway = self.serve(self.silent(60, mute=True))
            told = self.ask(gateway, stream=stream)
            self.assertIn("(silence)", self.error_of(told)["message"])
            self.assertGreaterEqual(told.ended - told.began, 0.5)
            self.assertLess(told.ended - told.began, SOON)
            self.assertFalse(told.served())
            self.assertEqual(self.line_of(gateway, told)["end"], "timeout")

    def test_R5_a_server_that_is_not_asked_is_not_given_up_for_that(self):
        gateway = self.serve(self.silent(2, mute=True), health=BLIND)
        for stream in (True, False):
            self.assert_served(self.ask(gateway, stream=stream))

    def test_R5_comments_and_parts_of_an_event_are_life(self):
        long = delta("x" * 20)

        def script(peer, request):
            self.server.mute = True
            peer.send(sse_head() + chunk(delta("one")))
            for part in [b":\n\n"] * 10 + [long[i:i + 6] for i in range(0, len(long), 6)]:
                peer.wait_gone(0.1)
                peer.send(chunk(part))
            peer.send(rest())
        for health in (QUICK, BLIND):
            gateway = self.serve(script, health=health, gap="700ms")
            told = self.assert_served(self.ask(gateway, stream=True))
            self.assertGreaterEqual(told.ended - told.began, 1.5)

    def test_R5_slots_at_work_are_the_life_of_a_llama_server(self):
        for busy in (True, False):
            gateway = self.serve(self.silent(3), slots=[{"id": 0, "is_processing": busy}])
            told = self.ask(gateway, stream=True)
            if busy:
                self.assert_served(told)
            else:  # its health check is answered, and nobody works on the request
                self.assertIn("(silence)", self.error_of(told)["message"])

    def test_R5a_timeouts_of_a_live_server_do_not_shut_it_out(self):
        gateway = self.serve(self.silent(60), first_byte="200ms", gap="200ms")
        wait_until(lambda: self.server.probes, "it has been asked for its health")
        for stream in (True, False):
            for _ in range(4):
                told = self.ask(gateway, stream=stream)
                self.assertIn("(gap)" if stream else "(first_byte)",
                              self.error_of(told)["message"])
        self.assertEqual(self.happened(gateway, "breaker"), [])
        self.server.script = answer_chat
        self.assert_served(self.ask(gateway))

    def test_R5a_timeouts_that_nothing_excuses_do(self):
        gateway = self.serve(self.silent(60), health=BLIND, first_byte="200ms", gap="200ms")
        for _ in range(4):
            self.ask(gateway, stream=True)
        self.assertEqual([line["state"] for line in self.happened(gateway, "breaker")], ["open"])


class Heartbeats(PoolCase):

    def serve(self, script, *flags, **model):
        self.server = self.scripted(script)
        return self.gateway({"m": {"backends": [backend(self.server)],
                                   "queue": {"notice_first": "50ms"}, **model}}, *flags)

    @staticmethod
    def halting(seconds):
        def script(peer, _):
            peer.wait_gone(seconds)
            peer.send(sse_head() + chunk(delta("one")))
            peer.wait_gone(seconds)
            peer.send(rest(delta("two")))
        return script

    def test_R5c_clients_hear_something_before_the_first_word_and_behind_it(self):
        for path in ("/v1/chat/completions", "/v1/messages"):
            for flags in ((), ("--relay", "splice")):
                gateway = self.serve(self.halting(1), *flags, heartbeat="100ms")
                told = self.ask(gateway, stream=True, path=path)
                self.assertEqual((told.status, told.complete), (200, True))
                before, behind = told.body.split(delta("one"))
                self.assertGreaterEqual(before.count(b": waiting\n\n"), 4)
                self.assertGreaterEqual(behind.count(BEAT), 4)
                self.assertEqual(told.body.replace(b": waiting\n\n", b"").replace(BEAT, b""),
                                 delta("one") + delta("two") + finish() + DONE)

    def test_R5c_heartbeats_are_a_models_own_and_can_be_switched_off(self):
        server = self.scripted(self.halting(0.6))
        gateway = self.gateway(
            {"m": {"backends": [backend(server)]},
             "off": {"backends": [backend(server, model="m")], "heartbeat": "0"}},
            defaults={"heartbeat": "100ms", "queue": {"notice_first": "0"}})
        self.assertIn(BEAT, self.ask(gateway, stream=True).body)
        told = self.assert_served(self.ask(gateway, stream=True, model="off"))
        self.assertEqual(told.body, delta("one") + delta("two") + finish() + DONE)

    def test_R5c_they_stand_between_events_only(self):
        word = delta("slowly")

        def script(peer, _):
            peer.send(sse_head() + chunk(delta("one")))
            for part in (word[:10], word[10:20], word[20:]):
                peer.wait_gone(0.3)
                peer.send(chunk(part))
            peer.send(rest())
        for flags in ((), ("--relay", "splice")):
            gateway = self.serve(script, *flags, heartbeat="50ms")
            told = self.assert_served(self.ask(gateway, stream=True))
            self.assertEqual(told.body.replace(BEAT, b"").replace(b": waiting\n\n", b""),
                             delta("one") + word + finish() + DONE)

    def test_R5c_they_count_for_nothing(self):
        gateway = self.serve(self.halting(0.5), heartbeat="50ms")
        told = self.assert_served(self.ask(gateway, stream=True))
        line = self.line_of(gateway, told)
        self.assertEqual((line["completion_tokens"], line["end"]), (2, "ok"))

    def test_R5c_who_counts_events_gets_events_and_nobody_else(self):
        created = b'event: response.created\ndata: {"type":"response.created"}\n\n'
        completed = b'event: response.completed\ndata: {"type":"response.completed"}\n\n'

        def script(peer, _):
            peer.wait_gone(0.5)
            peer.send(sse_head() + chunk(created))
            peer.wait_gone(0.5)
            peer.send(chunk(completed) + LAST_CHUNK)
        gateway = self.serve(script, heartbeat="50ms")
        codex = [["session-id: 1", "thread-id: 2"], ["Session_ID: 1", "thread_id: 2"],
                 ["session_id: 1", "conversation_id: 1"], ["originator: codex_exec"],
                 ["X-Codex-Window-Id: 1:0"], ["session_id: 1", "originator: Codex_VSCode"],
                 ["User-Agent: codex_cli_rs/0.38.0 (Ubuntu 24.4.0; x86_64) xterm"]]
        others = [[], ["session-id: 1"], ["session_id: 1"], ["thread-id: 2"],
                  ["conversation_id: 1"], ["originator: opencode"], ["X-Code: 1"],
                  ["User-Agent: OpenAI/JS 6.49.0 (not codex)"]]
        asked = [("/v1/responses", fields, True) for fields in codex]
        asked += [("/v1/responses", fields, False) for fields in others]
        asked += [("/v1/chat/completions", fields, False) for fields in codex]

        def check(path, fields, counts):
            told = self.ask(gateway, stream=True, path=path, fields=fields)
            before, behind = told.body.split(created)
            for part in (before, behind):
                self.assertGreaterEqual(part.count(EVENT if counts else b": "), 2, fields)
            for wrong in (b": waiting", BEAT) if counts else (b"keepalive",):
                self.assertNotIn(wrong, told.body, fields)
        together(len(asked), lambda number: check(*asked[number]))

    def test_R5c_lines_of_json_get_nothing(self):
        lines = [json.dumps({"message": {"content": text}, "done": text == "b"}).encode() + b"\n"
                 for text in "ab"]

        def script(peer, _):
            peer.wait_gone(0.3)
            peer.send(head(Content_Type="application/x-ndjson", Transfer_Encoding="chunked") +
                      chunk(lines[0]))
            peer.wait_gone(0.3)
            peer.send(chunk(lines[1]) + LAST_CHUNK)
        gateway = self.serve(script, heartbeat="50ms")
        told = self.ask(gateway, path="/api/chat")
        self.assertEqual(told.body, b"".join(lines))

    def test_R5c_a_client_that_does_not_read_finds_no_heap_of_them(self):
        read = threading.Event()

        def script(peer, _):
            peer.send(sse_head())
            peer.flood(chunk(delta("x" * 1000)), 64 * 1024 * 1024)
            read.wait(20)
            peer.send(rest())
        gateway = self.serve(script, heartbeat="1ms")
        with gateway.client() as client:
            client.send(chat_request(gateway.host, stream=True))
            self.server.wait_requests(1)
            time.sleep(1.5)
            read.set()
            answer = client.read()
            # A thousand of them would have been due.
            self.assertLess(answer.body.count(BEAT), 400)


class Left(PoolCase):
    """A client that does not stream leaves, and its server computes on."""

    def script(self, peer, request):
        if request.json["messages"][0]["content"] != "left":
            return answer_chat(peer, request)
        self.server.slots = [{"id": 0, "is_processing": True}]
        peer.wait_gone(30)  # it notices nothing, and goes on
        return None

    def begin(self, llama=True, **more):
        self.server = self.scripted(self.script)
        if llama:
            self.server.slots = [{"id": 0, "is_processing": False}]
        return self.gateway({"m": {"backends": [backend(self.server, slots=1)], "health": QUICK,
                                   **more}})

    def leave(self, gateway, **more):
        seen = len(self.server.requests)
        client = gateway.client()
        client.send(chat_request(gateway.host, content="left", **more))
        self.server.wait_requests(seen + 1)
        client.close()
        gateway.logged(end="client_gone")

    def next_one(self, gateway):
        """Asks in a thread; what became of it."""
        told = Told()
        told.thread = threading.Thread(target=lambda: told.ask(
            gateway.address, chat_request(gateway.host, content="next")))
        told.thread.start()
        return told

    def test_R12_the_slot_stays_taken_as_long_as_the_server_says(self):
        gateway = self.begin()
        self.leave(gateway)
        told = self.next_one(gateway)
        wait_until(lambda: metrics(gateway)["sluice_requests_waiting"] == 1, "it waits here")
        told.thread.join(3)
        self.assertEqual(len(self.server.requests), 1)
        self.server.slots = [{"id": 0, "is_processing": False}]
        told.thread.join(30)
        self.assert_served(told)
        self.assertEqual(self.happened(gateway, "breaker"), [])

    def test_R12_another_target_that_is_free_is_taken(self):
        self.server = self.scripted(self.script)
        other = self.scripted(self.script)
        gateway = self.gateway({"m": {"backends": [backend(server, slots=1)
                                                   for server in (self.server, other)]}})
        client = gateway.client()
        client.send(chat_request(gateway.host, content="left"))
        wait_until(lambda: self.server.requests or other.requests, "it is there")
        left, free = (self.server, other) if self.server.requests else (other, self.server)
        client.close()
        gateway.logged(end="client_gone")
        for _ in range(3):
            told = self.assert_served(self.ask(gateway, content="next"))
            self.assertEqual(told.answer.field("x-sluice-backend"), free.url)
        self.assertEqual(len(left.requests), 1)

    def test_R12_a_server_that_does_not_tell_is_likely_to_be_busy_for_a_while(self):
        gateway = self.begin(llama=False)
        self.leave(gateway, max_tokens=1)
        left_at = time.monotonic()
        told = self.next_one(gateway)
        told.thread.join(30)
        self.assert_served(told)
        self.assertGreaterEqual(told.ended - left_at, 0.5)

    def test_R12_a_stream_that_is_left_frees_its_slot_at_once(self):
        gateway = self.begin()
        self.leave(gateway, stream=True)
        # Though its server is slow to say so.
        told = self.assert_served(self.ask(gateway, content="next"))
        self.assertLess(told.ended - told.began, SOON)
        self.assertEqual(len(self.server.requests), 2)

    def test_R12_a_request_that_is_given_up_is_computed_on_as_well(self):
        gateway = self.begin(timeouts={"first_byte": "300ms"})
        told = self.ask(gateway, content="left")
        self.assertEqual(told.status, 504)
        told = self.next_one(gateway)
        told.thread.join(2)
        self.assertEqual(len(self.server.requests), 1)
        self.server.slots = [{"id": 0, "is_processing": False}]
        told.thread.join(30)
        self.assert_served(told)

    def test_R12_it_does_not_hold_up_the_end(self):
        gateway = self.begin()
        self.leave(gateway)
        began = time.monotonic()
        gateway.signal(signal.SIGTERM)
        self.assertEqual(gateway.wait(), 0)
        self.assertLess(time.monotonic() - began, SOON)


if __name__ == "__main__":
    main()
