#!/usr/bin/env python3
"""sluice-sim: its flags, the shapes of its answers, its text, and its timing."""

import base64
import json
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

import sdk_calls
from sim_case import SimCase, content_of, main, texts_of
from harness import SLUICE_SIM, Sim, chat_body, chat_request, events, request
from wire import Client, wait_until


class Shapes(SimCase):
    """What the answers look like, with the default API (llama-server's)."""

    flags = ("--ttft", "0", "--itl", "0", "--model", "one", "--model", "two")

    def test_a_chat_stream_has_llama_servers_chunks(self):
        answer = self.stream(max_tokens=3, stream_options={"include_usage": True})
        chunks = self.chunks_of(answer)
        self.assertEqual(len(chunks), 5)  # role and token, token, token, finish and usage, [DONE]
        first = [json.loads(event) for event in events(chunks[0])]
        self.assertEqual(first[0]["choices"][0]["delta"], {"role": "assistant", "content": None})
        self.assertEqual(list(first[1]["choices"][0]["delta"]), ["content"])
        last = [json.loads(event) for event in events(chunks[3])]
        self.assertEqual(last[0]["choices"], [{"finish_reason": "length", "index": 0, "delta": {}}])
        self.assertEqual(last[1]["choices"], [])
        self.assertEqual(last[1]["usage"]["completion_tokens"], 3)
        self.assertEqual(last[1]["timings"]["predicted_n"], 3)
        self.assertEqual(chunks[4], b"data: [DONE]\n\n")
        self.assertEqual(answer.field("content-type"), "text/event-stream")
        self.assertEqual(answer.field("server"), "llama.cpp")
        self.assertEqual(answer.field("keep-alive"), "timeout=5, max=100")

    def test_without_include_usage_the_last_delta_has_timings_and_there_is_no_usage(self):
        read = [json.loads(e) for e in events(self.stream(max_tokens=2).body)[:-1]]
        self.assertFalse(any("usage" in event for event in read))
        self.assertEqual(read[-1]["timings"]["predicted_n"], 2)

    def test_llama_server_closes_after_a_stream_whatever_its_head_says(self):
        with self.client() as client:
            answer = client.ask(chat_request(stream=True, max_tokens=1))
            self.assertTrue(answer.complete)
            self.assertEqual(client.read_to_close(), (b"", "eof"))

    def test_a_whole_chat_has_text_usage_and_timings(self):
        whole = self.ask(chat_request(max_tokens=4)).json
        self.assertEqual(whole["object"], "chat.completion")
        self.assertEqual(whole["choices"][0]["finish_reason"], "length")
        self.assertEqual(whole["usage"]["completion_tokens"], 4)
        self.assertEqual(whole["usage"]["total_tokens"], whole["usage"]["prompt_tokens"] + 4)
        self.assertEqual(whole["timings"]["cache_n"] + whole["timings"]["prompt_n"],
                         whole["usage"]["prompt_tokens"])
        self.assertEqual(whole["model"], "one")

    def test_without_max_tokens_the_text_ends_by_itself(self):
        whole = self.ask(chat_request()).json
        self.assertEqual(whole["choices"][0]["finish_reason"], "stop")
        self.assertEqual(whole["usage"]["completion_tokens"], 32)

    def test_no_token_at_all_is_an_answer_too(self):
        self.assertEqual(content_of(self.stream(max_tokens=0).body), "")
        read = events(self.stream(max_tokens=0).body)
        self.assertEqual(json.loads(read[0])["choices"][0]["delta"]["role"], "assistant")

    def test_two_choices_interleave_and_differ(self):
        read = [json.loads(e) for e in events(self.stream(n=2, max_tokens=4).body)[:-1]]
        self.assertEqual({e["choices"][0]["index"] for e in read}, {0, 1})
        whole = self.ask(chat_request(n=2, max_tokens=4)).json
        texts = [choice["message"]["content"] for choice in whole["choices"]]
        self.assertNotEqual(texts[0], texts[1])
        for index, text in enumerate(texts):
            self.assertEqual("".join(texts_of(read, index)), text)

    def test_text_completions_have_usage_on_the_last_event(self):
        answer = self.post("/v1/completions", {"prompt": "x", "stream": True, "max_tokens": 2})
        read = [json.loads(e) for e in events(answer.body)[:-1]]
        self.assertEqual(len(read), 3)
        self.assertEqual(read[-1]["choices"][0]["finish_reason"], "length")
        self.assertEqual(read[-1]["usage"]["completion_tokens"], 2)
        both = self.post("/v1/completions", {"prompt": ["x", "y"], "max_tokens": 2}).json
        self.assertEqual(len(both["choices"]), 2)

    def test_the_native_completion_ends_without_done(self):
        for path in ("/completion", "/infill"):
            answer = self.post(path, {"prompt": "x", "n_predict": 3, "stream": True})
            read = [json.loads(e) for e in events(answer.body)]
            self.assertEqual([e["stop"] for e in read], [False] * 3 + [True])
            self.assertEqual([e["tokens_predicted"] for e in read], [1, 2, 3, 3])
            self.assertEqual(read[-1]["stop_type"], "limit")

    def test_responses_are_named_events(self):
        body = {"input": "x", "max_output_tokens": 2}
        answer = self.post("/v1/responses", {**body, "stream": True})
        names = [line[7:] for line in answer.body.decode().split("\n") if line[:7] == "event: "]
        self.assertEqual(names[0], "response.created")
        self.assertEqual(names.count("response.output_text.delta"), 2)
        self.assertEqual(names[-1], "response.completed")
        done = json.loads(events(answer.body)[-1])["response"]
        whole = self.post("/v1/responses", body).json
        for response in (done, whole):
            self.assertEqual(response["usage"]["output_tokens"], 2)
        self.assertEqual(done["output"][0]["content"], whole["output"][0]["content"])

    def test_messages_are_anthropics(self):
        body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 2}
        answer = self.post("/v1/messages", {**body, "stream": True})
        types = [json.loads(event)["type"] for event in events(answer.body)]
        self.assertEqual(types, ["message_start", "content_block_start", "content_block_delta",
                                 "content_block_delta", "content_block_stop", "message_delta",
                                 "message_stop"])
        whole = self.post("/v1/messages", body).json
        self.assertEqual(whole["stop_reason"], "max_tokens")
        self.assertEqual(whole["usage"]["output_tokens"], 2)
        count = self.post("/v1/messages/count_tokens", body).json
        self.assertEqual(count, {"input_tokens": whole["usage"]["input_tokens"]})

    def test_ollamas_own_api_streams_lines_unless_told_not_to(self):
        body = {"model": "one", "messages": [{"role": "user", "content": "x"}],
                "options": {"num_predict": 2}}
        answer = self.post("/api/chat", body)
        self.assertEqual(answer.field("content-type"), "application/x-ndjson")
        read = [json.loads(line) for line in answer.body.decode().split("\n")[:-1]]
        self.assertEqual([e["done"] for e in read], [False, False, True])
        self.assertEqual(read[-1]["eval_count"], 2)
        whole = self.post("/api/chat", {**body, "stream": False}).json
        self.assertEqual("".join(e["message"]["content"] for e in read),
                         whole["message"]["content"])
        whole = self.post("/api/generate", {"prompt": "x", "stream": False}).json
        self.assertEqual(whole["eval_count"], 32)
        self.assertTrue(whole["response"])

    def test_embeddings_as_numbers_and_as_base64(self):
        numbers = self.post("/v1/embeddings", {"input": ["hello world", "rain"]}).json
        packed = self.post("/v1/embeddings", {"input": "hello world",
                                              "encoding_format": "base64"}).json
        vector = numbers["data"][0]["embedding"]
        self.assertEqual(len(vector), 64)
        self.assertAlmostEqual(sum(x * x for x in vector), 1, places=4)
        raw = base64.b64decode(packed["data"][0]["embedding"])
        for one, other in zip(struct.unpack("<64f", raw), vector):
            self.assertAlmostEqual(one, other, places=6)
        self.assertEqual([entry["index"] for entry in numbers["data"]], [0, 1])
        self.assertEqual(len(self.post("/v1/embeddings", {"input": [1, 2, 3]}).json["data"]), 1)

    def test_texts_that_share_words_are_close(self):
        data = self.post("/v1/embeddings",
                         {"input": ["hello world", "hello big world", "snow"]}).json["data"]
        a, b, c = (entry["embedding"] for entry in data)
        close, far = (sum(x * y for x, y in zip(a, other)) for other in (b, c))
        self.assertGreater(close, far + 0.3)
        ranks = self.post("/v1/rerank", {"query": "hello world", "top_n": 2, "documents": [
            "snow", "hello big world", "hello"]}).json["results"]
        self.assertEqual([rank["index"] for rank in ranks], [1, 2])

    def test_tokenize(self):
        pieces = self.post("/tokenize", {"content": "hello world, hello", "with_pieces": True})
        self.assertEqual([t["piece"] for t in pieces.json["tokens"]],
                         ["hello", " world", ",", " hello"])
        ids = self.post("/tokenize", {"content": " a a"}).json["tokens"]
        self.assertEqual(ids[0], ids[1])

    def test_audio_and_images(self):
        form = b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\none\r\n--b--\r\n"
        answer = self.ask(request("POST", "/v1/audio/transcriptions", form,
                                  content_type="multipart/form-data; boundary=b"))
        self.assertTrue(answer.json["text"])
        self.assertEqual(self.post("/v1/audio/speech", {"input": "x"}).field("content-type"),
                         "audio/mpeg")
        image = self.post("/v1/images/generations", {"prompt": "x"}).json["data"][0]
        self.assertEqual(base64.b64decode(image["b64_json"])[1:4], b"PNG")

    def test_what_the_server_tells_about_itself(self):
        self.assertEqual(self.get("/health").json, {"status": "ok"})
        models = self.get("/v1/models").json
        self.assertEqual([entry["id"] for entry in models["data"]], ["one", "two"])
        self.assertEqual(models["data"][0]["owned_by"], "llamacpp")
        self.assertEqual([entry["name"] for entry in models["models"]], ["one", "two"])
        self.assertEqual(self.get("/v1/models/two").json["id"], "two")
        self.assertEqual(self.get("/v1/models/three").status, 404)
        self.assertEqual(self.get("/props").json["model_alias"], "one")
        self.assertEqual(len(self.get("/api/tags").json["models"]), 2)
        self.assertIn("version", self.get("/api/version").json)

    def test_errors_are_llama_servers(self):
        cases = ((request("POST", "/v1/chat/completions", b'{"messages": ['), 400,
                  "invalid_request_error"),
                 (request("POST", "/v1/chat/completions", b"{}"), 400, "invalid_request_error"),
                 (request("POST", "/v1/embeddings", b"{}"), 400, "invalid_request_error"),
                 (request("POST", "/v1/rerank", b'{"query":"x"}'), 400, "invalid_request_error"),
                 (chat_request(n=1000), 400, "invalid_request_error"),
                 (chat_request(fields=["x-sim: fail=nonsense"]), 400, "invalid_request_error"),
                 (chat_request(fields=["x-sim: speed=1"]), 400, "invalid_request_error"),
                 (request("GET", "/v1/nothing"), 404, "not_found_error"),
                 (request("GET", "/v1/chat/completions"), 404, "not_found_error"))
        for data, status, kind in cases:
            with self.subTest(data):
                answer = self.ask(data)
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.json["error"]["type"], kind)
                self.assertEqual(answer.json["error"]["code"], status)

    def test_a_model_nobody_knows_is_answered_by_the_first(self):
        self.assertEqual(self.ask(chat_request(model="nobody")).json["model"], "one")
        self.assertEqual(self.ask(chat_request(model="two")).json["model"], "two")


class OtherApis(unittest.TestCase):

    def sim(self, api, *flags):
        sim = Sim("--api", api, "--ttft", "0", "--itl", "0", *flags)
        self.addCleanup(sim.stop)
        return sim

    def ask(self, sim, data):
        with Client(sim.address) as client:
            return client.ask(data)

    def test_openai_streams_a_role_then_tokens_then_usage_and_keeps_the_connection(self):
        sim = self.sim("openai")
        with Client(sim.address) as client:
            for _ in range(2):
                answer = client.ask(chat_request(model="sim", stream=True, max_tokens=2,
                                                 stream_options={"include_usage": True}))
                read = [json.loads(e) for e in events(answer.body)[:-1]]
                self.assertEqual(len(read), 5)
                self.assertEqual(read[0]["choices"][0]["delta"]["role"], "assistant")
                self.assertTrue(all(e["usage"] is None for e in read[:-1]))
                self.assertEqual(read[-1]["usage"]["completion_tokens"], 2)
                self.assertNotIn("timings", answer.body.decode())
        self.assertEqual(sim.stats()["reused"], 1)
        error = self.ask(sim, chat_request(model="nobody")).json["error"]
        self.assertEqual(error["code"], "model_not_found")
        self.assertEqual(self.ask(sim, request("GET", "/v1/chat/completions")).status, 405)

    def test_openais_responses_are_numbered(self):
        answer = self.ask(self.sim("openai"), request("POST", "/v1/responses", json.dumps(
            {"model": "sim", "input": "x", "stream": True, "max_output_tokens": 3}).encode()))
        numbers = [json.loads(e)["sequence_number"] for e in events(answer.body)]
        self.assertEqual(numbers, list(range(len(numbers))))

    def test_vllm(self):
        sim = self.sim("vllm")
        whole = self.ask(sim, chat_request(model="sim", max_tokens=1))
        self.assertEqual(whole.field("server"), "uvicorn")
        self.assertIn("stop_reason", whole.json["choices"][0])
        self.assertEqual(self.ask(sim, chat_request(model="x")).json["error"]["type"],
                         "NotFoundError")
        self.assertEqual(sim.get("/v1/models").json["data"][0]["owned_by"], "vllm")
        self.assertEqual(sim.get("/health").body, b"")

    def test_ollama(self):
        sim = self.sim("ollama")
        self.assertEqual(sim.get("/").body, b"Ollama is running")
        self.assertEqual(sim.get("/v1/models").json["data"][0]["owned_by"], "library")
        read = events(self.ask(sim, chat_request(model="sim", stream=True, max_tokens=1)).body)
        self.assertEqual(json.loads(read[0])["choices"][0]["delta"]["role"], "assistant")
        self.assertEqual(read[-1], "[DONE]")
        answer = self.ask(sim, request("POST", "/api/generate", b'{"model":"x","prompt":"y"}'))
        self.assertIsInstance(answer.json["error"], str)


class TextIsAFunction(SimCase):
    """Token i depends on the seed and on i, and on nothing else."""

    flags = ("--ttft", "0", "--itl", "0", "--tokens", "400", "--keep-alive-max", "0")

    def whole(self, **more):
        return self.ask(chat_request(**more)).json["choices"][0]["message"]["content"]

    def test_the_same_whoever_asks_and_however(self):
        text = self.whole()
        self.assertEqual(content_of(self.stream().body), text)
        self.assertEqual(self.whole(content="something else"), text)
        other = Sim("--ttft", "0", "--itl", "0", "--tokens", "400", "--api", "openai")
        self.addCleanup(other.stop)
        with Client(other.address) as client:
            answer = client.ask(chat_request(model="sim", stream=True))
        self.assertEqual(content_of(answer.body), text)
        self.assertNotEqual(self.whole(fields=["x-sim: seed=2"]), text)

    def test_it_holds_what_fools_a_reader_that_does_not_parse(self):
        text = self.whole(fields=["x-sim: tokens=3000"])
        for trap in ("[DONE]", "data: [DONE]", "\"usage\":", "\\", "\n\n", "\u2028", "é", "東京",
                     "\U0001f680", "\"finish_reason\":\"stop\"", "<b>"):
            self.assertIn(trap, text)

    def test_an_assistants_begin_is_continued(self):
        pieces = texts_of([json.loads(e) for e in events(self.stream().body)[:-1]])
        text = "".join(pieces)
        for count in (1, 7, 399, 400):
            begun = "".join(pieces[:count])
            messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": begun}]
            answer = self.post("/v1/chat/completions", {"messages": messages, "stream": True})
            self.assertEqual(begun + content_of(answer.body), text)
            answer = self.post("/v1/messages", {"messages": messages, "max_tokens": 5}).json
            self.assertTrue((text + "\0").startswith(begun + answer["content"][0]["text"]))

    def test_a_begin_that_is_no_begin_is_refused(self):
        for begun in ("It was never said", self.whole(max_tokens=1)[:-1]):
            messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": begun}]
            answer = self.post("/v1/chat/completions", {"messages": messages})
            self.assertEqual(answer.status, 400)

    def test_tokens_of_a_given_size(self):
        for size in (1, 5, 100, 5000):
            answer = self.stream(max_tokens=50, fields=[f"x-sim: token-bytes={size}"])
            pieces = texts_of([json.loads(e) for e in events(answer.body)[:-1]])
            self.assertEqual({len(piece.encode()) for piece in pieces}, {size})


class Timing(SimCase):
    """Lower bounds only: a machine may be slow, the program may not be early."""

    flags = ("--ttft", "30ms", "--itl", "5ms", "--tokens", "9")

    def test_the_head_comes_at_once_and_the_tokens_in_time(self):
        with self.client() as client:
            began = time.monotonic()
            client.send(chat_request(stream=True))
            answer = client.read()
            answer.read_until(b"\"content\":\"")
            first = time.monotonic() - began
            self.assertTrue(answer.complete)
            total = time.monotonic() - began
        self.assertGreaterEqual(first, 0.030)
        self.assertGreaterEqual(total, 0.030 + 8 * 0.005)
        timings = json.loads(events(answer.body)[-2])["timings"]
        self.assertGreaterEqual(timings["prompt_ms"], 30)
        self.assertGreaterEqual(timings["predicted_ms"], 35)

    def test_a_whole_answer_takes_as_long(self):
        began = time.monotonic()
        self.ask(chat_request())
        self.assertGreaterEqual(time.monotonic() - began, 0.030 + 8 * 0.005)

    def test_a_request_may_have_its_own_times(self):
        began = time.monotonic()
        self.ask(chat_request(fields=["x-sim: ttft=120ms, itl=0, tokens=2"]))
        self.assertGreaterEqual(time.monotonic() - began, 0.120)


class CommandLine(unittest.TestCase):

    def run_sim(self, *flags):
        return subprocess.run([SLUICE_SIM, *flags], capture_output=True, text=True, timeout=30,
                              check=False)

    def test_help_names_every_flag(self):
        shown = self.run_sim("--help")
        self.assertEqual(shown.returncode, 0)
        for flag in ("listen model api ttft itl tokens token-bytes events-per-chunk split slots "
                     "load-time embedding-size seed fail fail-after fail-every keep-alive-idle "
                     "keep-alive-max cached-tokens read-pause version").split():
            self.assertIn(f"--{flag}", shown.stdout)

    def test_bad_flags_end_with_status_2_and_say_what_is_wrong(self):
        for flags, words in ((["--ttft", "5x"], "no duration"), (["--fail", "x"], "no failure"),
                             (["--tokens", "-1"], "no whole number"), (["--api", "x"], "no API"),
                             (["--nothing"], "--nothing"), (["--slots", "x"], "--slots")):
            with self.subTest(flags):
                ended = self.run_sim(*flags)
                self.assertEqual(ended.returncode, 2)
                self.assertIn(words, ended.stderr)

    def test_an_address_that_cannot_be_had_ends_with_status_1(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            ended = self.run_sim("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("cannot listen", ended.stderr)

    def test_it_listens_on_several_addresses_and_on_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            sim = Sim("--listen", f"unix:{path}")
            self.addCleanup(sim.stop)
            wait_until(lambda: len(sim.addresses) == 2 or sim._addresses(2), "both are printed")
            for address in (sim.address, path):
                with Client(address) as client:
                    self.assertEqual(client.ask(request("GET", "/health")).status, 200)

    def test_sigterm_ends_it_at_once_with_status_0(self):
        sim = Sim("--ttft", "0", "--tokens", "100000")
        with Client(sim.address) as client:
            client.send(chat_request(stream=True))
            client.read().read_until(b"content")
            sim.signal(signal.SIGTERM)
            self.assertEqual(sim.wait(10), 0)
        sim.stop()


class WithTheSdk(unittest.TestCase):
    """Shapes that the published openai client accepts."""

    def test_the_openai_sdk(self):
        if missing := sdk_calls.missing():
            self.skipTest(missing)
        for api in ("llama", "openai", "vllm", "ollama"):
            sim = Sim("--api", api, "--ttft", "0", "--itl", "0", "--tokens", "100")
            self.addCleanup(sim.stop)
            with self.subTest(api):
                text = sdk_calls.call(sim.url, "chat", model="sim")["message"]["content"]
                seen = sdk_calls.call(sim.url, "stream", model="sim",
                                      stream_options={"include_usage": True})
                self.assertEqual(seen["text"], text)
                self.assertEqual((seen["usages"], seen["usage"]["completion_tokens"]), (1, 100))
                self.assertEqual(sdk_calls.call(sim.url, "models")["ids"], ["sim"])
                self.assertEqual(sdk_calls.call(sim.url, "embeddings", model="sim")["sizes"],
                                 [64, 64])


if __name__ == "__main__":
    main()
