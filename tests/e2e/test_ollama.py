#!/usr/bin/env python3
"""The `ollama` program, as people type it, against the gateway.

    OLLAMA         the program; else the one in PATH
    LLAMA_MODELS   a folder with tiny-chat.gguf, for a server of its own behind the gateway

Without the program every case is skipped.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from backend import LAST_CHUNK, chunk, head, json_answer
from harness import Gateway, main
from pool_case import consumers
from test_lists import TAGS, ListCase
from wire import wait_until

PROGRAM = os.environ.get("OLLAMA") or shutil.which("ollama") or ""
MODEL = os.path.join(os.environ.get("LLAMA_MODELS", ""), "tiny-chat.gguf")
SHOWN = {"license": "", "modelfile": "FROM tiny", "parameters": "", "template": "",
         "details": TAGS["models"][0]["details"],
         "model_info": {"general.architecture": "llama", "general.parameter_count": 1200000,
                        "llama.context_length": 16384, "llama.embedding_length": 64},
         "capabilities": ["completion"], "modified_at": "2026-11-20T10:11:12Z"}
MODELFILE = """\
FROM {}
TEMPLATE "{{{{ range .Messages }}}}<|{{{{ .Role }}}}|>{{{{ .Content }}}}{{{{ end }}}}<|assistant|>"
PARAMETER num_predict 8
"""


def why_not():
    if not PROGRAM:
        return "OLLAMA names no ollama program, and there is none in PATH"
    if not os.access(PROGRAM, os.X_OK):
        return f"OLLAMA: {PROGRAM} is not a program"
    return ""


WHY_NOT = why_not()


def generate(peer, seen):
    """As Ollama answers its own program."""
    if seen.path == "/api/show":
        return peer.send(json_answer(SHOWN))
    member = {"response": "hello"} if seen.path == "/api/generate" else \
        {"message": {"role": "assistant", "content": "hello"}}
    told = {"model": "tiny:latest", "created_at": "2026-11-20T10:11:12Z"}
    if seen.json.get("stream") is False:
        return peer.send(json_answer({**told, **member, "done": True}))
    lines = [{**told, **member, "done": False},
             {**told, **dict.fromkeys(member, ""), "done": True, "done_reason": "stop"}]
    if "message" in member:
        lines[1]["message"] = {"role": "assistant", "content": ""}
    return peer.send(head(Content_Type="application/x-ndjson", Transfer_Encoding="chunked") +
                     b"".join(chunk(json.dumps(line).encode() + b"\n") for line in lines) +
                     LAST_CHUNK)


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Program(ListCase):

    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = home.name

    def environment(self, url):
        return {"PATH": os.environ.get("PATH", ""), "HOME": self.home, "OLLAMA_HOST": url,
                "OLLAMA_MODELS": os.path.join(self.home, "models"), "OLLAMA_NOHISTORY": "1",
                "NO_COLOR": "1", "TERM": "dumb"}

    def types(self, *words, url=None, code=0):
        """What the program says, on whichever output."""
        done = subprocess.run([PROGRAM, *words], env=self.environment(url or self.made.url),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode != 0, code != 0, done.stdout)
        return done.stdout

    def begin_with(self, *servers, known, **top):
        self.begin(*servers, known=known, **top)
        wait_until(lambda: self.get("/api/tags").json["models"], "it is known what there is")

    def test_C2_its_lists_and_runs_with_an_ollama_behind_the_gateway(self):
        server = self.ollama(script=generate)
        self.begin_with(server, known=["tiny:latest", "short"], aliases={"short": "tiny"})
        wait_until(lambda: self.get("/api/ps").json["models"], "it is known what is loaded")
        listed = self.types("list")
        for name in ("tiny:latest", "llama3.2:1b", "short:latest"):
            self.assertIn(name, listed)
        self.assertIn("777 B", listed)
        running = self.types("ps")
        self.assertIn("tiny:latest", running)
        self.assertIn("888 B", running)
        self.assertNotIn("llama3.2:1b", running)
        for name in ("tiny", "short", "TINY:latest"):
            self.assertIn("llama", self.types("show", name))
            self.assertIn("hello", self.types("run", name, "hi"))
            self.assertEqual(server.requests[-1].json["model"], "tiny:latest")
        self.types("stop", "tiny")
        self.assertEqual(server.requests[-1].json["keep_alive"], "0s")

    def test_C2_its_lists_with_a_llama_server_behind_the_gateway(self):
        server = self.llama()
        self.begin_with(server, known=["tiny-chat", "small"])
        for words in (("list",), ("ps",)):
            told = self.types(*words)
            for name in ("tiny-chat:latest", "small:latest"):
                self.assertIn(name, told)
        shown = self.types("show", "tiny-chat")
        self.assertIn("2048", shown)
        self.assertIn("vision", shown)
        refused = self.types("run", "tiny-chat", "hi", code=1)
        self.assertIn("does not speak Ollama's", refused)
        self.assertIn("/v1/", refused)
        self.assertEqual(server.requests, [])

    def test_C2_what_manages_models_says_what_there_is(self):
        server = self.ollama(script=generate)
        self.begin_with(server, known=["tiny:latest"])
        for words, deed in ((("run", "nope", "hi"), "pulled"), (("pull", "nope"), "pulled"),
                            (("cp", "tiny", "other"), "copied"), (("rm", "tiny"), "deleted")):
            told = self.types(*words, code=1)
            self.assertIn(f"Models are not {deed} through the gateway; those that it serves: "
                          "tiny:latest, llama3.2:1b", told, words)

    def test_C2_without_a_key_it_is_told_no_models(self):
        server = self.ollama(script=generate)
        self.made = self.gateway({}, backends=[server.url], consumers=consumers(a="sk-a"))
        for words in (("list",), ("ps",), ("run", "tiny", "hi")):
            # The program itself has no word for that: "something went wrong".
            told = self.types(*words, code=1)
            self.assertNotIn("tiny:latest", told)

    @unittest.skipUnless(os.path.isfile(MODEL), "LLAMA_MODELS has no tiny-chat.gguf")
    def test_C2_a_real_ollama_behind_the_gateway(self):
        url = self.serve()
        modelfile = os.path.join(self.home, "Modelfile")
        with open(modelfile, "w", encoding="utf-8") as file:
            file.write(MODELFILE.format(MODEL))
        self.types("create", "tiny", "-f", modelfile, url=url)
        self.made = Gateway("--backend", url, "--alias", "gpt-4o=tiny", "--default-model", "tiny")
        self.addCleanup(self.made.stop)
        wait_until(lambda: "gpt-4o" in self.ids(), "the alias is listed")
        size = self.tags()["tiny:latest"]["size"]
        self.assertGreater(size, 0)
        self.assertTrue(self.types("run", "tiny", "hi").strip())
        wait_until(lambda: self.get("/api/ps").json["models"], "it is seen to be loaded")
        self.assertIn("tiny:latest", self.types("ps"))
        self.assertEqual(self.tags()["tiny:latest"]["size"], size)
        self.assertIn("gpt-4o:latest", self.types("list"))
        self.assertIn("llama", self.types("show", "gpt-4o"))
        for path, body in (("/v1/chat/completions", {}), ("/chat/completions", {}),
                           ("/responses", {"input": "hi"}), ("/completions", {"prompt": "hi"}),
                           ("/v1/messages", {"max_tokens": 8})):
            for name in ("gpt-4o", "tiny", "nobody"):
                answer = self.post(path, {"model": name, "messages": [
                    {"role": "user", "content": "hi"}], **body})
                self.assertEqual(answer.status, 200, (path, name, answer))
        answer = self.post("/v1/messages", {"model": "tiny", "messages": []})
        self.assertEqual((answer.status, answer.json["type"]), (400, "error"))
        self.assertEqual(answer.json["request_id"], answer.field("request-id"))
        self.types("stop", "tiny")
        wait_until(lambda: self.get("/api/ps").json["models"] == [], "it is unloaded")

    def serve(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        log = tempfile.TemporaryFile()
        self.addCleanup(log.close)
        process = subprocess.Popen([PROGRAM, "serve"], env=self.environment(url),
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def end():
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        self.addCleanup(end)

        def answers():
            self.assertIsNone(process.poll(), "ollama serve ended")
            done = subprocess.run([PROGRAM, "list"], env=self.environment(url), timeout=30,
                                  capture_output=True, check=False)
            return done.returncode == 0
        wait_until(answers, "ollama serves", 60)
        return url


if __name__ == "__main__":
    main()
