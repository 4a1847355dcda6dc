#!/usr/bin/env python3
"""Request bodies that pass as they come and are not kept: what goes wrong in the middle of one ends
honestly, and nothing of it is left."""

import signal
import threading
import time

from backend import address_that_refuses, json_answer
from harness import main, request
from request_case import KIB, LARGE, MIB, RequestCase, digest, hear_out, noise
from wire import Closed, wait_until


class Broken(RequestCase):

    def test_row_063_where_nobody_listens_the_next_one_gets_all_of_it(self):
        holder, url = address_that_refuses()
        self.addCleanup(holder.close)
        backend = self.backend()
        # Only requests find out.
        gateway = self.gateway(url, backend, health={"probe": "off"})
        client = self.client(gateway)
        for method, alone in (("POST", True), ("POST", False), ("PUT", True)):
            body = noise(MIB, method)
            if alone:
                self.begin(gateway, backend, client, body, method)
                client.send(body)
            else:
                client.send(request(method, "/a", body, gateway.host))
            answer = client.read()
            self.assertEqual((answer.status, answer.json), (200, digest(body)))
            line = gateway.logged(id=answer.field("x-request-id"))
            self.assertIn(url, line["hops"])
            if alone:
                self.assertEqual(line["request_lane"], "splice")

    def test_where_nobody_listens_at_all_it_is_said_and_the_connection_ends(self):
        holder, url = address_that_refuses()
        self.addCleanup(holder.close)
        gateway = self.gateway(url)
        client = self.client(gateway)
        client.send_some(request("POST", "/a", noise(MIB), gateway.host))
        answer = client.read()
        self.assertEqual((answer.status, answer.closes), (502, True))
        self.assertNotIn("not kept", answer.json["error"]["message"])

    def test_row_067_a_backend_that_dies_in_the_middle_is_an_honest_502(self):
        def die(peer, got):
            taken = 0
            while taken < 300 * KIB:
                taken += len(got.stream.read_some())
            if ends:
                peer.close()
            else:
                peer.reset()
            return True

        for ends in (False, True):
            bad, good = self.backend(), self.backend()
            bad.early = die
            gateway = self.gateway(bad, good)
            for method in ("POST", "PUT"):
                client = self.client(gateway)
                body = noise(12 * MIB)  # more than sockets hold
                self.begin(gateway, bad, client, body, method)
                sender = threading.Thread(target=client.send_some, args=[body])
                sender.start()
                answer = client.read()
                self.assertEqual((answer.status, answer.closes), (502, True), (method, ends))
                self.assertIn("was not kept to be sent again", answer.json["error"]["message"])
                # It was tried once; and a POST may have been done.
                self.assertEqual(answer.field("x-should-retry"),
                                 "false" if method == "POST" else None)
                line = gateway.logged(id=answer.field("x-request-id"))
                self.assertEqual((line["request_lane"], line["end"]), ("splice", "backend_error"))
                client.read_to_close()
                sender.join()
            self.assertEqual(good.started, [])

    def test_row_067_a_backend_that_dies_behind_the_body_is_the_same(self):
        def drop(peer, _):
            peer.reset()

        bad, good = self.backend(drop), self.backend()
        gateway = self.gateway(bad, good)
        client = self.client(gateway)
        body = noise(MIB)
        self.begin(gateway, bad, client, body, "PUT")
        client.send(body)
        answer = client.read()
        self.assertEqual((answer.status, answer.closes), (502, False))
        self.assertIn("was not kept to be sent again", answer.json["error"]["message"])
        # The body was taken to its end, so the connection goes on.
        self.assertEqual(client.ask(request("POST", "/a", b"x", gateway.host)).status, 502)
        self.assertEqual(good.requests, [])

    def test_a_refusal_behind_the_body_is_relayed_and_not_asked_again(self):
        refusing = self.backend(
            lambda peer, _: peer.send(json_answer({"why": "broken"}, 503, "Broken")))
        good = self.backend()
        gateway = self.gateway(refusing, good)
        client = self.client(gateway)
        body = noise(MIB)
        self.begin(gateway, refusing, client, body, "PUT")
        client.send(body)
        answer = client.read()
        self.assertEqual((answer.status, answer.json, answer.closes),
                         (503, {"why": "broken"}, False))
        self.assertEqual(good.requests, [])

    def test_row_034_an_answer_before_the_body_was_read_ends_the_connection(self):
        def refuse(peer, got):
            taken = 0
            while taken < read_before:
                taken += len(got.stream.read_some())
            peer.send(json_answer({"why": "no"}, status, "No"))
            hear_out(peer)
            return True

        for status in (413, 401, 200):
            for read_before in (0, 100 * KIB):
                with self.subTest(status=status, read_before=read_before):
                    backend = self.backend()
                    backend.early = refuse
                    gateway = self.gateway(backend)
                    client = self.client(gateway)
                    body = noise(12 * MIB)
                    self.begin(gateway, backend, client, body)
                    sender = threading.Thread(target=client.send_some, args=[body])
                    sender.start()
                    answer = client.read()
                    self.assertEqual((answer.status, answer.json, answer.closes),
                                     (status, {"why": "no"}, True))
                    _, how = client.read_to_close()
                    self.assertIn(how, ("eof", "reset"))
                    sender.join()
                    self.assertTrue(backend.started[0].peer.gone.wait(30))
                    line = gateway.logged(id=answer.field("x-request-id"))
                    self.assertEqual((line["end"], line["status"]), ("ok", status))
                    self.assertLess(line["bytes_in"], len(body))

    def test_row_054_a_client_that_leaves_in_the_middle_frees_everything(self):
        waiting = threading.Event()

        def hear(peer, got):
            if reads:
                while got.stream.read_some():
                    pass
            else:
                waiting.wait(30)  # until the client has left
            hear_out(peer)
            return True

        backend = self.backend()
        gateway = self.gateway(backend, flags=("--shards", "1"))  # each has pipes of its own
        with gateway.client() as client:
            body = noise(MIB)
            self.begin(gateway, backend, client, body)
            client.send(body)
            self.assertEqual(client.read().status, 200)
        wait_until(lambda: len(gateway.log()) == 1, "it is over")
        fds, sockets, times = gateway.fds(), gateway.sockets(), 0
        backend.early = hear
        for reads in (True, False):
            for by_reset in (True, False):
                with self.subTest(reads=reads, by_reset=by_reset):
                    waiting.clear()
                    client = self.client(gateway)
                    body = noise(12 * MIB)
                    self.begin(gateway, backend, client, body)
                    # A FIN does not come through behind what nobody reads; a reset does.
                    most = len(body) - 1 if reads or by_reset else 100 * KIB
                    client.sock.setblocking(False)
                    client.sock.send(body[:most])
                    if by_reset:
                        client.reset()
                    else:
                        client.close()
                    times += 1
                    wait_until(lambda: self.ends(gateway).count("client_gone") == times,
                               "it is noticed")
                    waiting.set()
                    self.assertTrue(backend.started[-1].peer.gone.wait(30))
                    self.assertEqual(gateway.log()[-1]["request_lane"], "splice")
        wait_until(lambda: gateway.sockets() <= sockets, "no socket is left")
        # A pipe of the first body, and none of those that came after it.
        self.assertLessEqual(gateway.fds(), fds)

    def test_row_062_a_client_that_ends_its_side_behind_the_body_or_in_it(self):
        backend = self.backend()
        gateway = self.gateway(backend, flags=("--half-close", "tolerate"))
        body = noise(MIB)
        for sent, end in ((len(body), "ok"), (len(body) - 1, "client_gone")):
            client = self.client(gateway)
            self.begin(gateway, backend, client, body)
            client.send(body[:sent])
            client.shut_write()
            if end == "ok":
                self.assertEqual(client.read().json, digest(body))
            self.assertEqual(client.read_to_close(), (b"", "eof"))
            wait_until(lambda end=end: end in self.ends(gateway), "it is noticed")
        self.assertEqual(len(backend.requests), 1)

    def test_row_050_a_body_that_stalls_gets_408(self):
        backend, gone = self.backend(), []
        backend.early = lambda peer, got: got.read_body() or gone.append(peer) or True
        gateway = self.gateway(backend, flags=("--timeout-body", "300ms"))
        for share in (0, 1, LARGE, MIB - 1):
            client = self.client(gateway)
            body = noise(MIB)
            self.begin(gateway, backend, client, body)
            client.send(body[:share])
            answer = client.read()
            self.assertEqual((answer.status, answer.closes, answer.complete), (408, True, True))
            self.assertEqual(client.read_to_close(), (b"", "eof"))
            line = gateway.logged(id=answer.field("x-request-id"))
            self.assertEqual((line["end"], line["request_lane"]), ("timeout", "splice"))
        wait_until(lambda: len(gone) == 4, "the backend's connections are closed")

    def test_row_050_a_body_that_trickles_for_too_long_gets_408(self):
        backend = self.backend()
        gateway = self.gateway(backend, flags=("--timeout-body-total", "500ms"))
        client = self.client(gateway)
        self.begin(gateway, backend, client, noise(MIB))
        begun = time.monotonic()
        while client.silent_for(0.01) and time.monotonic() < begun + 20:
            client.send_some(b"x")
        self.assertEqual(client.read().status, 408)
        self.assertGreater(time.monotonic() - begun, 0.4)

    def test_a_client_that_is_slow_is_not_the_backends_fault(self):
        backend = self.backend()
        gateway = self.gateway(backend, timeouts={"first_byte": "700ms"})
        client = self.client(gateway)
        body = noise(LARGE)
        self.begin(gateway, backend, client, body)
        for part in (body[:100], body[100:LARGE - 1], body[LARGE - 1:]):
            self.assertTrue(client.silent_for(1))
            client.send(part)
        self.assertEqual(client.read().json, digest(body))

    def test_a_backend_that_does_not_read_gets_no_more_time_than_its_first_byte(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        bad, good = self.backend(), self.backend()
        bad.early = lambda *_: go_on.wait(30)
        gateway = self.gateway(bad, good, timeouts={"first_byte": "1500ms"},
                               flags=("--timeout-body", "500ms", "--timeout-body-total", "1s"))
        client = self.client(gateway)
        body = noise(14 * MIB)
        self.begin(gateway, bad, client, body)
        sender = threading.Thread(target=client.send_some, args=[body])
        sender.start()
        answer = client.read()
        self.assertEqual((answer.status, answer.closes), (504, True))
        self.assertIn("was not kept to be sent again", answer.json["error"]["message"])
        client.read_to_close()
        sender.join()
        self.assertEqual(good.started, [])


class Stopped(RequestCase):

    def stopped_half_way(self, drain):
        backend = self.backend()
        gateway = self.gateway(backend, flags=("--drain-timeout", drain))
        client = self.client(gateway)
        body = noise(2 * MIB)
        self.begin(gateway, backend, client, body)
        client.send(body[:MIB])
        gateway.signal(signal.SIGTERM)
        return gateway, client, body

    def test_a_body_on_its_way_is_passed_on_while_the_gateway_drains(self):
        gateway, client, body = self.stopped_half_way("60s")
        with self.assertRaises((OSError, Closed)):
            while True:
                with gateway.client() as other:
                    other.ask(request("GET", "/healthz", host=gateway.host))
        client.send(body[MIB:])
        answer = client.read()
        self.assertEqual((answer.json, answer.closes), (digest(body), True))
        self.assertEqual(gateway.wait(), 0)

    def test_what_is_not_through_by_then_is_ended(self):
        gateway, client, _ = self.stopped_half_way("200ms")
        answer = client.read()
        self.assertEqual((answer.status, answer.closes), (503, True))
        self.assertEqual(gateway.wait(), 0)
        self.assertEqual(gateway.log()[-1]["end"], "drained")


if __name__ == "__main__":
    main()
