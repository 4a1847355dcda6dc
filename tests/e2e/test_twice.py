#!/usr/bin/env python3
"""Nothing is done twice: a request that must not be repeated is sent again only where nothing of it
was taken, and the tries of any other are as many as the log says."""

import collections
import re
import socket
import threading

from backend import address_that_refuses, answer_chat, json_answer
from harness import main, request
from pool_case import PoolCase, Told, backend
from test_fallback import BLIND, BLOCKED, NEVER, refuse
from test_routes import say_what_came
from wire import readable, reset

POSTS = 1000
ANSWER = json_answer({"done": True})
NUMBER = re.compile(rb"X-Number: (\d+)\r\n")
BODY = b"x" * 500


class Closing:
    """Answers two requests of each connection, so that no breaker opens, and closes it in one of
    these moments of the next one; counts of which request any byte came, which it may have done."""

    MOMENTS = ("at once", "later", "first byte", "in the head", "behind the head", "in the body",
               "behind the body", "in the answer", "behind the answer")

    def __init__(self):
        self.came = collections.Counter()
        self.cut = 0
        self.turn = 0
        self.lock = threading.Lock()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(512)
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.turn += 1
                turn = self.turn
            moment = self.MOMENTS[turn // 2 % len(self.MOMENTS)]
            threading.Thread(target=self.serve, args=(sock, moment, turn % 2), daemon=True).start()

    def serve(self, sock, moment, hard):
        end = reset if hard else socket.socket.close
        try:
            for _ in range(2):
                if not self.note(sock):
                    return sock.close()
                self.take(sock)
                sock.sendall(ANSWER)
            if moment == "later":
                readable(sock, 0.001)
            if moment in ("at once", "later"):
                return end(sock)
            if self.note(sock):
                with self.lock:
                    self.cut += moment != "behind the answer"
                if moment == "first byte":
                    sock.recv(1)
                elif moment == "in the head":
                    sock.recv(30)
                elif moment == "behind the head":
                    self.take_head(sock)
                elif moment == "in the body":
                    self.take_head(sock)
                    sock.recv(100)
                else:
                    self.take(sock)
                if moment == "in the answer":
                    sock.sendall(ANSWER[:40])
                elif moment == "behind the answer":
                    sock.sendall(ANSWER)
            end(sock)
        except (OSError, ValueError):
            sock.close()

    def note(self, sock):
        """Whose request begins there; False: nobody's."""
        seen = sock.recv(65536, socket.MSG_PEEK)
        while seen and not NUMBER.search(seen):
            readable(sock, 1)
            seen = sock.recv(65536, socket.MSG_PEEK)
        if seen:
            with self.lock:
                self.came[int(NUMBER.search(seen)[1])] += 1
        return bool(seen)

    def take_head(self, sock):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            part = sock.recv(1)
            if not part:
                raise OSError
            head += part
        return head

    def take(self, sock):
        left = int(re.search(rb"Content-Length: (\d+)", self.take_head(sock))[1])
        while left:
            left -= len(sock.recv(left)) or left


class Twice(PoolCase):

    def route(self, *servers, **more):
        return self.gateway({}, routes=[{
            "path": "/a", "backends": [backend(server) for server in servers], "health": BLIND,
            **more}])

    def send(self, gateway, method, number=0, body=BODY):
        return Told().ask(gateway.address, request(
            method, "/a", body, gateway.host, [f"X-Number: {number}"]))

    def closing(self):
        made = Closing()
        self.addCleanup(made.listener.close)
        return made

    def test_R4_a_thousand_posts_over_connections_that_close_at_every_moment(self):
        servers = [self.closing(), self.closing()]
        gateway = self.route(*servers, balance="round-robin")
        told = []
        for number in range(POSTS):
            told.append(self.send(gateway, ("POST", "PATCH")[number % 2], number))
        came = servers[0].came + servers[1].came
        self.assertEqual([number for number, times in came.items() if times > 1], [])
        self.assertGreater(sum(server.cut for server in servers), POSTS // 10)
        for number, one in enumerate(told):
            self.assertIn(one.status, (200, 502), one)
            if one.status == 200 and one.complete:
                self.assertEqual(came[number], 1)
            elif one.status == 502:
                self.assertEqual(one.answer.field("x-should-retry"), "false")
                self.assertIn("may have been done or not", self.error_of(one)["message"])
        failed = sum(one.status == 502 for one in told)
        self.assertGreater(failed, 0)
        print(f"     {failed} of {POSTS} failed, each once at most", flush=True)

    def test_R4_what_may_be_repeated_is(self):
        servers = [self.closing(), self.closing()]
        gateway = self.route(*servers, balance="round-robin")
        told = [self.send(gateway, ("PUT", "DELETE")[number % 2], number) for number in range(100)]
        # Where both break off in their answer there is nobody left.
        self.assertGreater(sum(one.status == 200 for one in told), 90)
        came = servers[0].came + servers[1].came
        self.assertGreater(max(came.values()), 1)

    def test_R4_where_nobody_listens_the_next_one_is_asked(self):
        holder, url = address_that_refuses()
        self.addCleanup(holder.close)
        server = self.scripted(say_what_came)
        gateway = self.route(url, server)
        for method in ("POST", "PATCH"):
            self.assertEqual(self.send(gateway, method).status, 200)
        self.assertEqual(len(server.requests), 2)

    def test_R4_interim_answers_are_no_reason_to_send_it_again(self):
        def script(peer, _):
            if peer is kept:
                peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                peer.reset()
            else:
                peer.send(ANSWER)
        kept = None
        server = self.scripted(script)
        gateway = self.route(server)
        self.assertEqual(self.send(gateway, "POST").status, 200)
        kept = server.requests[0].peer
        self.assertEqual(self.send(gateway, "POST").status, 502)
        self.assertEqual(len(server.requests), 2)

    def test_R4_an_upload_that_is_not_kept(self):
        for method in ("POST", "PATCH"):
            server = self.scripted(lambda peer, _: peer.reset())
            other = self.scripted(say_what_came)
            gateway = self.route(server, other)
            one = self.send(gateway, method, body=b"x" * 300_000)
            self.assertEqual(one.status, 502)
            self.assertEqual((len(server.requests), len(other.requests)), (1, 0))
            self.assertIn("may have been done or not", self.error_of(one)["message"])

    # --- models: as often as the log says ---

    def tries(self, servers, told):
        number = told.answer.field("x-request-id")
        return sum(one.field("x-request-id") == number
                   for server in servers for one in server.requests)

    def assert_counted(self, gateway, servers, told, tries):
        line = self.line_of(gateway, told)
        self.assertEqual(self.tries(servers, told), tries)
        self.assertEqual(line.get("retries", 0), tries - 1)
        failed = line["hops"].split(", ") if "hops" in line else []
        self.assertEqual(len(failed), tries - (told.status == 200))

    def test_R4_a_fresh_connection_is_a_try_in_the_log(self):
        for fresh, tries, status in ((answer_chat, 2, 200),
                                     (lambda peer, _: peer.reset(), 2, 502)):
            server = self.scripted(answer_chat)
            gateway = self.gateway({"m": {"backends": [backend(server)], "health": BLIND}})
            self.assert_served(self.ask(gateway))
            kept = server.requests[0].peer
            server.script = lambda peer, seen, kept=kept, fresh=fresh: (
                peer.reset() if peer is kept else fresh(peer, seen))
            told = self.ask(gateway)
            self.assertEqual(told.status, status)
            self.assert_counted(gateway, [server], told, tries)

    def test_R4_eight_tries_are_the_most_fresh_connections_included(self):
        count = 10
        servers = [self.scripted(answer_chat) for _ in range(count)]
        models = {f"m{i}": {"backends": [backend(server)], "health": BLIND, "breaker": NEVER}
                  for i, server in enumerate(servers)}
        models["m0"]["fallback"] = [f"m{i}" for i in range(1, count)]
        gateway = self.gateway(models)
        for i, server in enumerate(servers):
            self.assert_served(self.ask(gateway, model=f"m{i}"))
            kept = server.requests[0].peer
            server.script = lambda peer, seen, kept=kept: (
                peer.reset() if peer is kept else refuse(400, BLOCKED)(peer, seen))
        told = self.ask(gateway, model="m0")
        self.assertEqual(told.status, 400)
        self.assert_counted(gateway, servers, told, 8)


if __name__ == "__main__":
    main()
