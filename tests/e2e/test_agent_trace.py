#!/usr/bin/env python3
"""An agent's day at a real llama-server: how much of it need not be computed again.

What it imitates: a coding agent that works through one task in sixty turns, as such agents are
built today. Each turn has

- one call of the large model: temperature 0, streamed, with tools, and the whole conversation so
  far; no two of them are equal, so none of them can be a hit. The conversation is cut short when it
  becomes too long, as agents do;
- a tool call. Whether it may run without asking a person is asked of a model at temperature 0, with
  the command alone as its prompt: an agent runs the same few commands again and again (tests, the
  state of the tree, the same files) and some new ones. In each third turn the model asks for three
  tools at once, which are judged side by side;
- retrieval: the agent keeps no vectors itself. It embeds the task's words, the files that it has
  open (a working set that moves slowly), and the output of the tool, which is new in most turns;
- now and then a client whose time is over: it gives up before the answer and asks the same again,
  once. Nobody else listens to the first one, so that is generated twice, and counts as such.

Files and commands are drawn with a fixed seed, the popular ones more often: the k-th one of n with
a weight of 1/k.

    LLAMA_SERVER, LLAMA_MODELS   as in test_llama_server.py; without them every case is skipped
"""

import concurrent.futures
import json
import random
import threading
import unittest

from harness import Gateway, events, main, request, settings
from sdk_calls import call, missing
from test_llama_server import CHAT, EMBED, WHY_NOT, Llama
from wire import wait_until

NO_SDK = missing()
TURNS = 60
RATIO_MIN = 0.68
TASK = "Find out why the nightly import drops rows with an empty last column, and mend it."
COMMANDS = (
    "git status --short", "pytest -q tests/test_import.py", "sed -n 1,80p importer/rows.py",
    "pytest -q", "git diff", "grep -rn last_column importer", "ls importer",
    "sed -n 1,60p tests/test_import.py", "python -m importer --dry-run data/small.csv",
    "git log --oneline -5", "sed -n 80,160p importer/rows.py", "cat setup.cfg",
    "head -3 data/small.csv", "git stash list", "ruff check importer", "rm -rf build",
    "git checkout importer/rows.py", "pip list", "git add -p", "du -sh data",
)
FILES = ("importer/rows.py", "tests/test_import.py", "importer/reader.py", "importer/cli.py",
         "README.md", "importer/schema.py", "setup.cfg", "tests/conftest.py")
TOOLS = [{"type": "function", "function": {
    "name": name, "description": f"To {name.replace('_', ' ')}.",
    "parameters": {"type": "object", "properties": {"what": {"type": "string"}}}}}
    for name in ("run_command", "edit_file")]
MODELS = {"coalesce": "auto", "cache": {"answers": "auto"}}
SHARED = ("hit", "joined")


def popular(rng, things, count):
    """Some of them, each once."""
    chosen = []
    while len(chosen) < count:
        one = rng.choices(things, [1 / (k + 1) for k in range(len(things))])[0]
        if one not in chosen:
            chosen.append(one)
    return chosen


class Agent:
    """The client; each of its calls is a connection of its own."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.rng = random.Random(60)
        self.history = []
        self.open_files = ["importer/rows.py", "tests/test_import.py"]
        self.pool = concurrent.futures.ThreadPoolExecutor(4)
        self.vectors = {}
        self.verdicts = {}
        self.answered = 0
        self.counting = threading.Lock()

    def ask(self, path, **body):
        """As the SDKs do it: a 503 is sent again, twice at most. (Who joins a request whose client
        leaves before a backend was asked is told that.)"""
        for _ in range(3):
            with self.gateway.client() as client:
                answer = client.ask(request("POST", path, json.dumps(body).encode(),
                                            self.gateway.host))
            if answer.status != 503:
                break
        if answer.status != 200 or not answer.complete:
            raise AssertionError(f"{path}: {answer.status} {answer.body[:300]!r}")
        with self.counting:
            self.answered += 1
        return answer

    def same(self, known, key, value):
        """Whoever asks twice is told the same."""
        if known.setdefault(key, value) != value:
            raise AssertionError(f"{key}: {value} behind {known[key]}")

    def embed(self, text):
        answer = self.ask("/v1/embeddings", model="tiny-embed", input=text)
        self.same(self.vectors, text, answer.json["data"][0]["embedding"])

    def judge(self, command):
        answer = self.ask("/v1/chat/completions", model="tiny-chat", temperature=0, max_tokens=4,
                          messages=[{"role": "system", "content": "Say safe or unsafe."},
                                    {"role": "user", "content": command}])
        self.same(self.verdicts, command, answer.json["choices"][0]["message"])

    def think(self, gives_up):
        """The large model; `gives_up`: its first try takes too long for the client."""
        if len(self.history) > 24:  # it is summed up
            self.history = self.history[:1] + self.history[-6:]
        body = {"model": "tiny-chat", "temperature": 0, "max_tokens": 24, "stream": True,
                "stream_options": {"include_usage": True}, "tools": TOOLS,
                "messages": [{"role": "system", "content": "You are a careful programmer."},
                             {"role": "user", "content": TASK}, *self.history]}
        if gives_up:
            with self.gateway.client() as client:
                client.send(request("POST", "/v1/chat/completions", json.dumps(body).encode(),
                                    self.gateway.host))
        answer = self.ask("/v1/chat/completions", **body)
        said = [json.loads(text) for text in events(answer.body) if text != "[DONE]"]
        return "".join(choice["delta"].get("content") or ""
                       for each in said for choice in each["choices"])

    def turn(self, number):
        if number % 5 == 4:  # another file is opened, an old one closed
            self.open_files = (self.open_files + popular(self.rng, FILES, 1))[-3:]
        said = self.think(gives_up=number % 15 == 7)
        commands = popular(self.rng, COMMANDS, 3 if number % 3 == 2 else 1)
        list(self.pool.map(self.judge, commands))
        # Each third output is one that was seen before: nothing has changed.
        output = f"{commands[0]}: {'nothing' if number % 3 == 1 else f'run {number}'} to tell"
        list(self.pool.map(self.embed, [TASK, *self.open_files, output]))
        self.history += [{"role": "assistant", "content": said[-80:] or "Well."},
                         {"role": "user", "content": f"Output of the tool: {output}"}]


@unittest.skipIf(WHY_NOT, WHY_NOT)
class AgentTrace(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.chat = Llama(CHAT, "--alias", "tiny-chat", "-np", "2", "-c", "16384")
        cls.addClassCleanup(cls.chat.stop)
        cls.embed = Llama(EMBED, "--alias", "tiny-embed", "--embeddings")
        cls.addClassCleanup(cls.embed.stop)

    def begin(self):
        gateway = Gateway(*settings({"models": {
            "tiny-chat": {"backends": [{"url": self.chat.url}], **MODELS},
            "tiny-embed": {"backends": [{"url": self.embed.url}], **MODELS}}}))
        self.addCleanup(gateway.stop)
        return gateway

    def test_most_of_sixty_turns_is_not_computed_again(self):
        gateway = self.begin()
        agent = Agent(gateway)
        self.addCleanup(agent.pool.shutdown)
        for number in range(TURNS):
            agent.turn(number)
        def whole():
            return [line for line in gateway.log() if line["end"] == "ok" and "cache" in line]
        wait_until(lambda: len(whole()) >= agent.answered, "every answer has its line")
        asked = [line for line in gateway.log() if "cache" in line]
        outcomes = [line["cache"] for line in asked if line["cache"] != "bypass"]
        shared = sum(outcome in SHARED for outcome in outcomes)
        ratio = shared / len(outcomes)
        print(f"     {len(asked)} requests, {len(outcomes)} of them may be shared: "
              f"{outcomes.count('hit')} hits, {outcomes.count('joined')} joins, "
              f"{outcomes.count('miss')} generated: {ratio:.1%}", flush=True)
        # Each call of the large model is a generation of its own.
        self.assertGreaterEqual(outcomes.count("miss"), TURNS)
        self.assertGreaterEqual(ratio, RATIO_MIN)

    def hits(self, gateway):
        return sum(line.get("cache") == "hit" for line in gateway.log())

    @unittest.skipIf(NO_SDK, NO_SDK)
    def test_the_sdk_reads_what_is_kept_as_what_was_new(self):
        gateway = self.begin()
        hits = 0
        of_chat = {"model": "tiny-chat", "temperature": 0, "max_tokens": 12, "tools": TOOLS}
        for name, arguments in (("stream", {**of_chat, "stream_options": {"include_usage": True}}),
                                ("stream", of_chat), ("chat", {**of_chat, "seed": 5}),
                                ("embeddings", {"model": "tiny-embed", "input": list(FILES)})):
            with self.subTest(name, **arguments):
                first = call(gateway.url, name, **arguments)
                self.assertNotIn("error", first)
                second = call(gateway.url, name, **arguments)
                self.assertEqual(second, first)
                hits += 1
                wait_until(lambda: self.hits(gateway) >= hits, "the second one is a hit", 10)


if __name__ == "__main__":
    main()
