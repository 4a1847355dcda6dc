"""What the tests of request bodies that pass as they come share: gateways with a generic route."""

import hashlib
import random
import unittest

from backend import Backend, json_answer
from harness import NO_BREAKER, Gateway, request, settings
from wire import wait_until

KIB = 1 << 10
MIB = 1 << 20
LARGE = 64 * KIB  # limits::spliced_bytes_min
SPLICED = ("splice", "large")


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def say_what_came(peer, got):
    peer.send(json_answer({"bytes": len(got.body), "sha": hashlib.sha256(got.body).hexdigest()}))


def hear_out(peer):
    """Until the gateway closes. What comes is no request."""
    peer.wait_gone()
    peer.close()


def digest(body):
    return {"bytes": len(body), "sha": hashlib.sha256(body).hexdigest()}


class RequestCase(unittest.TestCase):

    def backend(self, script=say_what_came, **more):
        backend = Backend(script, **more)
        self.addCleanup(backend.stop)
        self.addCleanup(lambda: self.assertEqual((backend.script_errors, backend.malformed),
                                                 ([], [])))
        return backend

    def gateway(self, *backends, flags=(), defaults=None, **more):
        """The route /a to these, the first one preferred; the model m of the last one."""
        urls = [getattr(backend, "url", backend) for backend in backends]
        route = {"path": "/a", "backends": [{"url": url, "priority": number}
                                            for number, url in enumerate(urls)], **more}
        gateway = Gateway(*settings({"discover": False, "routes": [route],
                                     "defaults": {**NO_BREAKER, **(defaults or {})},
                                     "models": {"m": {"backends": [{"url": urls[-1]}]}}}), *flags)
        self.addCleanup(gateway.stop)
        return gateway

    def client(self, gateway, **options):
        client = gateway.client(**options)
        self.addCleanup(client.close)
        return client

    def lane(self, gateway, answer):
        line = gateway.logged(id=answer.field("x-request-id"))
        return line.get("request_lane"), line.get("request_lane_reason")

    def ends(self, gateway):
        return [line["end"] for line in gateway.log()]

    def begin(self, gateway, backend, client, body, method="POST", fields=()):
        """Sends the head alone. The backend has it before the body has begun."""
        count = len(backend.started)
        whole = request(method, "/a", body, gateway.host, fields)
        client.send(whole[:len(whole) - len(body)])
        wait_until(lambda: len(backend.started) > count, "the head arrives")
        return len(whole)
