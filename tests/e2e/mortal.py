"""Servers that die by a word: each a process of its own, so that its port refuses afterwards.

    server = Mortal("silent")   # how it dies, see WAYS
    server.revive()             # once it is dead: on its port
    server.posts()              # requests that it got, the one that it died of included
    server.wait()               # until it is dead

A request whose body holds WORD ends it; one that says {"hold": seconds} is answered after that.
"""

import os
import signal
import sys
import time

from backend import Backend, answer_chat, chunk, delta, head, json_answer, sse_head
from harness import Program
from wire import Closed

WORD = b"abracadabra"
ROLE = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""},
                     "finish_reason": None}]}


def say(text):
    """In one piece, whatever thread says what at the same time."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_with(data):
    def way(peer):
        peer.send(data)
        die()
    return way


def die_behind(peer):
    """Its connection is gone before its port is, as with every program on io_uring."""
    peer.close()
    time.sleep(0.02)
    die()


def die_long_behind(peer):
    """The same, with much to tidy up."""
    peer.close()
    time.sleep(0.3)
    die()


def die_reset(peer):
    peer.reset()
    die()


def die_late(peer):
    """In the middle of its answer, and its port outlives the connection."""
    peer.send(sse_head() + chunk(delta("hel")))
    die_behind(peer)


WAYS = {
    "silent": lambda peer: die(),
    "reset": die_reset,
    "behind": die_behind,
    "long behind": die_long_behind,
    "slow": lambda peer: (time.sleep(0.1), die()),
    "head": die_with(b"HTTP/1.1 200 OK\r\nContent-"),
    "refusal": die_with(head(503, "Broken", Content_Length=500) + b'{"error":'),
    "begin": die_with(sse_head() + chunk(delta(""))),
    "text": die_with(sse_head() + chunk(delta("hel"))),
    "late": die_late,
}


class Mortal(Program):

    def __init__(self, way="silent"):
        self.way = way
        self.start("0")

    def start(self, port):
        super().__init__(sys.executable, [os.path.abspath(__file__), self.way, port], 1)

    def revive(self):
        port = str(self.port)
        self.kill()
        self.start(port)

    def posts(self):
        return sum(line.startswith("post") for line in self.lines)

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.folder.cleanup()


class Listed(Backend):
    """Looks like llama-server, which can go on with a text."""

    def _answer_probe(self, peer, request):
        if request.path.endswith("/models"):
            peer.send(json_answer({"object": "list", "data": [
                {"id": "m", "object": "model", "created": 1, "owned_by": "llamacpp"}]}))
            say("listed")
        else:
            super()._answer_probe(peer, request)


def serve(way, port):
    def script(peer, request):
        say("post")
        if WORD in request.body:
            WAYS[way](peer)
        time.sleep(request.json.get("hold", 0))
        try:
            answer_chat(peer, request)
        except Closed:
            pass
    server = Listed(script, port=port)
    print(f"listening on {server.url}", flush=True)
    signal.pause()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
