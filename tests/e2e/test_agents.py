#!/usr/bin/env python3
"""Published coding agents, each with one task, through the gateway: tools/setup-sdk peers.

They are set up with the lines of docs/agents, as a reader would paste them.
"""

import os
import re
import subprocess
import tempfile
import unittest

from harness import ROOT, Sim, chat_request, main
from pool_case import PoolCase, backend, consumers, content_of
from wire import DEADLINE, Client, wait_until

PACKAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "agents", "node_modules")
# Both are programs of their own, in a package for each kind of machine.
CLAUDE = os.path.join(PACKAGES, "@anthropic-ai", "claude-code-linux-x64", "claude")
CODEX = os.path.join(PACKAGES, "@openai", "codex-linux-x64", "vendor",
                     "x86_64-unknown-linux-musl", "bin", "codex")
KEY = "sk-agents-0123456789"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
PAGES = os.path.join(ROOT, "docs", "agents")


def page(name):
    with open(os.path.join(PAGES, name), encoding="utf-8") as file:
        return file.read()


def needs(program):
    return unittest.skipUnless(os.access(program, os.X_OK),
                               f"{os.path.basename(program)} is not installed: "
                               "tools/setup-sdk peers")


class AgentCase(PoolCase):
    """A gateway in front of a sim that serves the model m; agents have a home of their own."""

    def setUp(self):
        self.server = Sim("--model", "m", "--itl", "0", "--tokens", "8")
        self.addCleanup(self.server.stop)
        home = tempfile.TemporaryDirectory(prefix="sluice-agent-")
        self.addCleanup(home.cleanup)
        self.home = home.name

    def begin(self, **top):
        self.gateway_ = self.gateway({"m": {"backends": [backend(self.server)]}}, **top)

    def run_agent(self, *command, **env):
        """What it says at its end. Nothing of the caller's own settings reaches it."""
        return subprocess.run(
            command, cwd=self.home, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=4 * DEADLINE, check=False,
            env={"PATH": os.environ["PATH"], "HOME": self.home, **env})

    def lines(self, name, language, number=0):
        """A block to paste from the page of that name, for the gateway and the model here."""
        blocks = re.findall(rf"^```{language}\n(.*?)^```$", page(name), re.S | re.M)
        return blocks[number].replace("http://127.0.0.1:8642", self.gateway_.url).replace(
            "coder", "m")

    def asked(self, count):
        """The lines of all that the gateway was asked, once there are so many."""
        def lines():
            found = [line for line in self.gateway_.log() if "event" not in line]
            return found if len(found) >= count else None
        return wait_until(lines, f"{count} lines of the access log")

    def assert_asked(self, *wanted):
        """Each as (method, path, status)."""
        self.assertEqual([(line["method"], line["path"], line["status"])
                          for line in self.asked(len(wanted))], list(wanted))

    def text(self):
        """What the sim says to everybody."""
        with Client(self.server.address) as client:
            return content_of(client.ask(chat_request(model="m", stream=True)).body)

    def assert_said(self, done):
        """Word for word, however the agent breaks its lines."""
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        said = self.text().split()
        self.assertEqual(done.stdout.split()[-len(said):], said)


class Pages(unittest.TestCase):

    def test_T5_the_list_of_pages_is_whole_and_each_says_what_was_seen(self):
        listed = re.findall(r"\]\(([\w.-]+\.md)\)", page("README.md"))
        self.assertEqual(sorted(listed), sorted(set(os.listdir(PAGES)) - {"README.md"}))
        for name in listed:
            text = page(name)
            self.assertIn("```sh\n", text, name)
            self.assertIn("8642", text, name)
            self.assertRegex(text, r"## Seen\n|\*\*Not run\*\*", name)


class Claude(AgentCase):

    def claude(self, **key):
        """With the exports of its page, but for the key."""
        told = dict(re.findall(r"^export (\w+)=(.*)$", self.lines("claude-code.md", "sh"), re.M))
        del told["ANTHROPIC_AUTH_TOKEN"]
        return self.run_agent(CLAUDE, "-p", "say hello", **told, **key)

    @needs(CLAUDE)
    def test_C3_claude_code_with_its_key_in_both_forms(self):
        self.begin(consumers=consumers(me=KEY))
        for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"):
            with self.subTest(key=name):
                self.assert_said(self.claude(**{name: KEY}))
        self.assert_asked(*[("POST", MESSAGES, 200)] * 2)
        self.assertEqual([line["consumer"] for line in self.asked(2)], ["me"] * 2)

    @needs(CLAUDE)
    def test_C3_claude_code_with_a_wrong_key_ends_at_once(self):
        self.begin(consumers=consumers(me=KEY))
        done = self.claude(ANTHROPIC_AUTH_TOKEN="sk-wrong")
        self.assertNotEqual(done.returncode, 0)
        self.assert_asked(("POST", MESSAGES, 401))


class Codex(AgentCase):

    def codex(self, number, **env):
        """With one of the files of its page."""
        folder = os.path.join(self.home, ".codex")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "config.toml"), "w", encoding="utf-8") as file:
            file.write(self.lines("codex.md", "toml", number))
        return self.run_agent(CODEX, "exec", "--skip-git-repo-check", "say hello", **env)

    @needs(CODEX)
    def test_C3_codex_as_a_provider_of_its_own(self):
        self.begin(consumers=consumers(me=KEY))
        self.assert_said(self.codex(0, SLUICE_KEY=KEY))
        self.assert_asked(("POST", RESPONSES, 200))
        self.assertEqual(self.asked(1)[0]["consumer"], "me")

    @needs(CODEX)
    def test_C3_codex_with_a_wrong_key_says_why(self):
        self.begin(consumers=consumers(me=KEY))
        done = self.codex(0, SLUICE_KEY="sk-wrong")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("needs a key that it knows", done.stdout + done.stderr)

    @needs(CODEX)
    def test_C4_codex_goes_on_with_post_after_one_try_of_a_websocket(self):
        self.begin()
        self.assert_said(self.codex(1, CODEX_API_KEY=KEY))
        self.assert_asked(("GET", RESPONSES, 426), ("POST", RESPONSES, 200))


if __name__ == "__main__":
    main()
