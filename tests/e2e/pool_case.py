"""What the tests of pools share: gateways made from settings, servers that die and come back, and
many requests at a time, each with what became of it.
"""

import hashlib
import json
import os
import re
import socket
import tempfile
import threading
import time
import unittest
import uuid

from backend import DONE, Backend
from harness import SLUICE_SIM, Gateway, Program, chat_request, events, request
from sim_case import texts_of
from wire import Client, Closed, wait_until


def content_of(body):
    """The text of a chat stream, up to where it broke."""
    read = [json.loads(text) for text in events(body) if text != "[DONE]"]
    return "".join(texts_of([event for event in read if "choices" in event]))


class Server(Program):
    """A sluice-sim that can be killed and started again on its port."""

    def __init__(self, *flags):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.bound = free.getsockname()
        self.flags = flags
        self.start()

    def start(self, *flags):
        super().__init__(SLUICE_SIM, ["--listen", f"127.0.0.1:{self.bound[1]}", *self.flags,
                                      *flags], 1)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.folder.cleanup()

    def end(self):
        if self.alive():
            self.stop()

    def stats(self):
        with Client(self.address) as client:
            return client.ask(b"GET /sim/stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                              ).json

    def posts(self):
        """Requests for work that have arrived, probes not counted."""
        return self.stats()["posts"]


class Told:
    """One request and what became of it, as its client saw it."""

    def __init__(self):
        self.status = 0
        self.answer = None
        self.body = b""
        self.complete = False
        self.first_byte = 0.0  # when the first byte of a body came
        self.began = self.ended = 0.0
        self.problem = ""

    def ask(self, address, data, **options):
        self.began = time.monotonic()
        try:
            with Client(address, **options) as client:
                client.send(data)
                self.answer = client.read()
                self.status = self.answer.status
                while part := self.answer.read_some():
                    self.first_byte = self.first_byte or time.monotonic()
                    self.body += part
                self.complete = self.answer.complete
        except (OSError, Closed, AssertionError) as error:
            self.problem = repr(error)
        self.ended = time.monotonic()
        return self

    @property
    def streamed(self):
        return self.body.startswith((b"data:", b":"))

    def served(self):
        """The whole right answer came."""
        if self.status != 200 or not self.complete:
            return False
        return self.seems_whole() if self.streamed else b'"choices"' in self.body

    def seems_whole(self):
        """The stream ends as whole ones do; the sim's texts hold such words, too."""
        return self.body.endswith(DONE)

    def touched(self):
        """Something that a backend said was in it."""
        return bool(content_of(self.body)) if self.streamed else self.status == 200

    def __repr__(self):
        return f"<{self.status} {self.body[-300:]!r} {self.problem}>"


def together(count, work):
    """Runs work(0) to work(count - 1) at once; their results."""
    results = [None] * count
    problems = []

    def run(index):
        try:
            results[index] = work(index)
        except BaseException as error:  # whatever it is, the test must see it
            problems.append(error)
    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if problems:
        raise problems[0]
    if any(thread.is_alive() for thread in threads):
        raise AssertionError("some of the requests never came to an end")
    return results


def backend(server, **more):
    """The settings of a backend: of a sim, a scripted backend, or a URL."""
    return {"url": getattr(server, "url", server), **more}


def keys_of(name, *keys):
    """The settings of a consumer's keys."""
    return [{"id": f"{name}-{number}", "sha256": hashlib.sha256(key.encode()).hexdigest()}
            for number, key in enumerate(keys, 1)]


def consumers(**keys):
    """The settings of consumers that have one key each."""
    return [{"name": name, "keys": keys_of(name, key)} for name, key in keys.items()]


def admins(known):
    """The same consumers, who read all of the metrics."""
    return [{**each, "admin": True} for each in known]


def key_field(key):
    return f"Authorization: Bearer {key}"


class PoolCase(unittest.TestCase):

    def sim(self, *flags):
        server = Server(*flags)
        self.addCleanup(server.end)
        return server

    def scripted(self, script, **options):
        made = Backend(script, **options)

        def check():
            made.stop()
            self.assertEqual((made.script_errors, made.malformed), ([], []))
        self.addCleanup(check)
        return made

    def gateway(self, models, *flags, env=None, shards=1, **top):
        """One that serves these models; what is said in `top` are other keys of the file."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "gateway.config.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"models": models, **top}, file)  # YAML takes JSON as it is
        made = Gateway("--config", path, "--shards", str(shards), *flags, env=env)
        self.addCleanup(made.stop)
        return made

    def ask(self, gateway, fields=(), source=None, path="/v1/chat/completions", **more):
        return Told().ask(gateway.address,
                          chat_request(gateway.host, path=path, fields=fields, **more),
                          source_address=source)

    def assert_served(self, told):
        self.assertTrue(told.served(), told)
        return told

    def counters(self, gateway):
        """A function of a metric's name and labels: the sum of those that have them, as of now."""
        with gateway.client() as client:
            text = client.ask(request("GET", "/metrics")).body.decode()

        def value(name, **labels):
            found = re.findall(rf"^{name}{{([^}}]*)}} ([.\d]+)$", text, re.M)
            return sum(float(number) for said, number in found if
                       all(f'{label}="{value}"' in said for label, value in labels.items()))
        return value

    def happened(self, gateway, event, **wanted):
        """The lines of the log about such an event, up to now."""
        mark = f"mark-{uuid.uuid4()}"
        with gateway.client() as client:
            client.ask(request("GET", "/", fields=[f"X-Request-Id: {mark}"]))
        gateway.logged(id=mark)  # and all that was before it
        return [line for line in gateway.log() if line.get("event") == event and
                all(line.get(key) == value for key, value in wanted.items())]

    def wait_event(self, gateway, event, **wanted):
        wait_until(lambda: self.happened(gateway, event, **wanted), f"{event} {wanted} is logged")

    def learned(self, gateway, fields=(), of=1):
        """The gateway, once so many sims have told it of their slots: it serves before that."""
        def known():
            with gateway.client() as client:
                text = client.ask(request("GET", "/metrics", fields=fields)).body.decode()
            return len(re.findall(r"^sluice_backend_slots\{.*\} [1-9]", text, re.M)) == of
        wait_until(known, "slots are known")
        return gateway

    def error_of(self, told):
        """The error that a client was told, in its stream or instead of an answer."""
        text = events(told.body)[-1] if told.streamed else told.body
        return json.loads(text)["error"]

    def line_of(self, gateway, told):
        return gateway.logged(id=told.answer.field("x-request-id"))
