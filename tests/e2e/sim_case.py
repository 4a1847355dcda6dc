"""What the tests of sluice-sim share: a case with one running sim, and readers of its streams."""

import json
import os
import resource
import sys
import unittest

from harness import SLUICE_SIM, Reporter, Sim, chat_request, events, request
from wire import Client


def texts_of(read, index=0):
    """The pieces of text of one choice, from parsed chat events."""
    return [choice["delta"]["content"] for event in read for choice in event["choices"]
            if choice["index"] == index and choice["delta"].get("content")]


def content_of(body):
    """The text of a chat stream."""
    return "".join(texts_of([json.loads(e) for e in events(body) if e != "[DONE]"]))


class SimCase(unittest.TestCase):
    """A test class with one sim, started with `flags`."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.sim = Sim(*cls.flags)

    @classmethod
    def tearDownClass(cls):
        cls.sim.stop()

    def client(self, **options):
        client = Client(self.sim.address, **options)
        self.addCleanup(client.close)
        return client

    def ask(self, data):
        with Client(self.sim.address) as client:
            return client.ask(data)

    def get(self, path):
        return self.ask(request("GET", path))

    def post(self, path, body, **more):
        return self.ask(request("POST", path, json.dumps(body).encode(), **more))

    def stream(self, **more):
        answer = self.ask(chat_request(stream=True, **more))
        self.assertTrue(answer.complete)
        return answer

    def chunks_of(self, answer):
        """The data of each HTTP chunk of an answer that was read."""
        chunks, at = [], 0
        for size in answer.stream.chunks:
            chunks.append(answer.body[at:at + size])
            at += size
        return chunks


def main():
    """Runs the cases of the calling file; -k PATTERN picks some."""
    if not os.access(SLUICE_SIM, os.X_OK):
        sys.exit(f"there is no {SLUICE_SIM}: build it, or name it in the environment")
    # Some cases hold thousands of connections.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    runner = unittest.TextTestRunner(resultclass=Reporter, verbosity=0, stream=sys.stdout)
    result = unittest.main(module="__main__", testRunner=runner, exit=False).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.passed} passed, {failed} failed, {len(result.skipped)} skipped")
    sys.stdout.flush()
    if failed:
        sys.exit(1)
    sys.exit(0 if result.passed else 77)
