#!/usr/bin/env python3
"""The models that published clients of OpenAI, Anthropic and Ollama find through the gateway."""

from harness import main
from packages import ANTHROPIC_NEW, ANTHROPIC_OLD, missing, run
from test_lists import ListCase


class Packages(ListCase):
    """The published clients themselves; skipped where one cannot be had (tools/setup-sdk)."""

    NAMES = ["tiny-chat", "small"]

    def seen_by(self, language, package, model="tiny-chat"):
        node = language == "node"
        why = missing(package) if node else missing(python=(package,))
        if why:
            self.skipTest(why)
        return run("lists.mjs" if node else "lists.py", package, model, url=self.made.url)

    def begin_here(self):
        self.begin(self.llama(), known=self.NAMES)

    def openai(self, language):
        self.begin_here()
        seen = self.seen_by(language, "openai")
        self.assertEqual(seen["ids"], self.NAMES)
        self.assertEqual((seen["one"]["id"], seen["one"]["context_length"]), ("tiny-chat", 2048))

    def anthropic(self, language, package):
        self.begin_here()
        seen = self.seen_by(language, package, "small")
        self.assertEqual((seen["ids"], seen["whole"]), (self.NAMES, self.NAMES))
        self.assertEqual((seen["one"]["type"], seen["one"]["id"]), ("model", "small"))
        self.assertEqual(seen["refusal"], {"kind": "NotFoundError", "type": "not_found_error"})

    def ollama_(self, language):
        self.begin_here()
        seen = self.seen_by(language, "ollama", "tiny-chat:latest")
        self.assertEqual(seen["ids"], [f"{name}:latest" for name in self.NAMES])
        self.assertEqual(set(seen["running"]), set(seen["ids"]))
        self.assertIn("tools", seen["one"]["capabilities"])
        self.assertIn("/v1/chat/completions", seen["refusal"])

    def test_C1_openai_for_node_lists(self):
        self.openai("node")

    def test_C1_openai_for_python_lists(self):
        self.openai("python")

    def test_C1_anthropic_for_node_lists(self):
        self.anthropic("node", ANTHROPIC_NEW)

    def test_C1_the_old_anthropic_for_node_lists(self):
        self.anthropic("node", ANTHROPIC_OLD)

    def test_C1_anthropic_for_python_lists(self):
        self.anthropic("python", "anthropic")

    def test_C2_ollama_for_node_lists(self):
        self.ollama_("node")

    def test_C2_ollama_for_python_lists(self):
        self.ollama_("python")


if __name__ == "__main__":
    main()
