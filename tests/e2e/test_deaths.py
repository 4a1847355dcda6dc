#!/usr/bin/env python3
"""The query of death: a request that servers end under is stopped before the next one ends, and
what only stood beside it goes on."""

import threading
import time

from harness import NO_BREAKER, main, request
from mortal import WORD, Mortal
from pool_case import PoolCase, Told, backend, together
from wire import wait_until

SPELL = WORD.decode()
# Only requests find out, so that nothing hangs on when a health check comes.
BLIND = {"health": {"probe": "off"}}
# How a server dies, and whether the request asks for a stream.
DEATHS = [("silent", False), ("silent", True), ("reset", False), ("behind", False),
          ("behind", True), ("long behind", False), ("slow", False), ("head", False),
          ("refusal", False), ("begin", True)]


class Deaths(PoolCase):

    SHARDS = 1

    def gateway(self, models, *flags, **more):
        return super().gateway(models, *flags, shards=self.SHARDS, **more)

    def servers(self, count, way="silent"):
        made = together(count, lambda _: Mortal(way))
        for server in made:
            self.addCleanup(server.kill)
        return made

    def pool(self, servers, *flags, **more):
        """Three replicas and what is over as a fallback."""
        models = {"m": {"backends": [backend(server) for server in servers[:3]],
                        "balance": "round-robin", **more}}
        if len(servers) > 3:
            models["m"]["fallback"] = ["spare"]
            models["spare"] = {"backends": [backend(server) for server in servers[3:]]}
        return self.gateway(models, *flags)

    def dead(self, servers):
        return [server.url for server in servers if not server.alive()]

    def settle(self, servers, count):
        """So many are dead, and no more."""
        wait_until(lambda: len(self.dead(servers)) >= count, f"{count} servers are dead")
        self.assertEqual(len(self.dead(servers)), count)

    def assert_stopped(self, gateway, told, servers, ended=2):
        self.settle(servers, ended)
        self.assertEqual((told.status, told.answer.field("x-should-retry")), (502, "false"), told)
        text = self.error_of(told)["message"]
        line = self.line_of(gateway, told)
        self.assertEqual((line["error"], line["end"]), (text, "backend_error"))
        self.assertEqual(line.get("retries", 0), ended - 1)
        event = self.happened(gateway, "query_of_death", request=line["id"])[0]
        self.assertEqual(event["model"], line["model"])
        for url in self.dead(servers):
            self.assertIn(url, line["hops"])
            self.assertIn(url, event["ended"])
        self.assertEqual(sum(server.posts() for server in servers), ended)

    def test_R3_of_four_servers_that_die_by_a_word_two_do(self):
        for way, stream in DEATHS:
            with self.subTest(way, stream=stream):
                servers = self.servers(4, way)
                gateway = self.pool(servers)
                told = self.ask(gateway, content=SPELL, stream=stream)
                self.assert_stopped(gateway, told, servers)
                # Whoever is left serves.
                self.assert_served(self.ask(gateway, stream=stream))

    def test_R3_over_kept_connections_too(self):
        for way in ("silent", "behind"):
            with self.subTest(way):
                servers = self.servers(4, way)
                gateway = self.pool(servers)
                for _ in range(6):
                    self.assert_served(self.ask(gateway))
                before = 6
                wait_until(lambda servers=servers: before == sum(
                    server.posts() for server in servers), "all have said so")
                told = self.ask(gateway, content=SPELL)
                self.settle(servers, 2)
                self.assertEqual((told.status, told.answer.field("x-should-retry")),
                                 (502, "false"), told)
                line = self.line_of(gateway, told)
                # A port that outlives its connection may take it again, and then nobody reads it.
                seen = sum(server.posts() for server in servers) - before
                self.assertEqual(len(line["hops"].split(", ")), line["retries"] + 1)
                self.assertLessEqual(2, seen)
                self.assertLessEqual(seen, line["retries"] + 1)
                self.assertLessEqual(line["retries"] + 1, 4)

    def test_R3_in_a_chain_of_models(self):
        servers = self.servers(4)
        models = {f"m{i}": {"backends": [backend(server)]} for i, server in enumerate(servers)}
        models["m0"]["fallback"] = ["m1", "m2", "m3"]
        gateway = self.gateway(models)
        told = self.ask(gateway, model="m0", content=SPELL)
        self.settle(servers, 2)
        self.assertEqual((told.status, told.answer.field("x-should-retry")), (502, "false"))
        self.assertEqual(len(self.happened(gateway, "query_of_death")), 1)
        self.assert_served(self.ask(gateway, model="m0"))

    def test_R3_of_two_servers_both_but_the_log_says_why(self):
        servers = self.servers(2)
        gateway = self.pool(servers)
        self.assert_stopped(gateway, self.ask(gateway, content=SPELL), servers)

    def test_R3_a_stream_that_goes_on_elsewhere(self):
        servers = self.servers(4, "text")
        gateway = self.pool(servers, resume=True)
        self.wait_kinds(gateway, servers)
        told = self.ask(gateway, content=SPELL, stream=True)
        self.settle(servers, 2)
        self.assertFalse(told.seems_whole())
        self.assertIn("ended one after the other", self.error_of(told)["message"])
        self.assertEqual(len(self.happened(gateway, "query_of_death")), 1)
        self.assertEqual(sum(server.posts() for server in servers), 2)

    def wait_kinds(self, gateway, servers):
        """All have been seen to be such that can go on with a text."""
        wait_until(lambda: all("listed" in server.lines for server in servers), "all are asked")

        def owner():
            with gateway.client() as client:
                return client.ask(request("GET", "/v1/models")).json["data"][0]["owned_by"]
        wait_until(lambda: owner() == "llamacpp", "what they said is known")

    def test_R3_a_request_of_a_route(self):
        for method, ended in (("PUT", 2), ("POST", 1)):
            with self.subTest(method):
                servers = self.servers(4)
                gateway = self.gateway({}, routes=[
                    {"path": "/a", "backends": [backend(server) for server in servers]}])
                told = Told().ask(gateway.address, request(method, "/a", WORD, gateway.host))
                self.settle(servers, ended)
                self.assertEqual((told.status, told.answer.field("x-should-retry")),
                                 (502, "false"), told)

    def assert_refused(self, gateway, told):
        """No server gets it."""
        self.assertEqual((told.status, told.answer.field("x-should-retry")), (502, "false"), told)
        self.assertIn("is not sent to any", self.error_of(told)["message"])
        line = self.line_of(gateway, told)
        self.assertEqual((line["end"], line.get("hops"), line.get("retries")),
                         ("refused", None, None))

    def test_R3_sent_again_it_reaches_nobody(self):
        for way, stream in (("silent", False), ("behind", True), ("refusal", False)):
            with self.subTest(way):
                servers = self.servers(4, way)
                gateway = self.pool(servers)
                self.assert_stopped(gateway, self.ask(gateway, content=SPELL, stream=stream),
                                    servers)
                # A connection each: on any shard.
                for _ in range(12):
                    self.assert_refused(gateway,
                                        self.ask(gateway, content=SPELL, stream=stream))
                for told in together(12, lambda _: self.ask(gateway, content=SPELL,
                                                            stream=stream)):
                    self.assert_refused(gateway, told)
                self.assertEqual(len(self.dead(servers)), 2)
                self.assertEqual(len(self.happened(gateway, "query_of_death")), 1)
                # What is not the same may go anywhere.
                self.assert_served(self.ask(gateway, stream=stream))

    def test_R3_sent_again_where_it_could_not_move(self):
        """In the middle of an answer, or with one server: each sending ends one, and the third
        none."""
        for way in ("text", "late"):
            with self.subTest(way):
                servers = self.servers(4, way)
                gateway = self.pool(servers)
                for ended in (1, 2):
                    told = self.ask(gateway, content=SPELL, stream=True)
                    self.assertFalse(told.seems_whole())
                    self.settle(servers, ended)
                    if ended == 2:
                        self.wait_event(gateway, "query_of_death")
                    else:
                        time.sleep(0.5)  # until its port is seen to be gone
                for _ in range(6):
                    self.assert_refused(gateway, self.ask(gateway, content=SPELL, stream=True))
                self.assertEqual(len(self.dead(servers)), 2)
                self.assert_served(self.ask(gateway, stream=True))

    def test_R3_a_server_that_is_started_again_ends_twice(self):
        server = self.servers(1)[0]
        gateway = self.gateway({"m": {"backends": [backend(server)], **NO_BREAKER}})
        for _ in range(2):
            told = self.ask(gateway, content=SPELL)
            self.assertEqual(told.status, 502)
            self.settle([server], 1)
            time.sleep(0.5)  # until its port is seen to be gone
            server.revive()
            wait_until(lambda: self.ask(gateway).served(), "it serves again")
        self.assert_refused(gateway, self.ask(gateway, content=SPELL))
        self.assertEqual(self.dead([server]), [])

    def test_R3_who_was_there_and_is_served_is_suspected_no_more(self):
        server = self.servers(1)[0]
        gateway = self.gateway({"m": {"backends": [backend(server)], **NO_BREAKER}})
        for _ in range(2):
            before = server.posts()
            asking = threading.Thread(target=self.ask, args=(gateway,), kwargs={"hold": 2})
            asking.start()
            wait_until(lambda before=before: server.posts() > before, "it is there")
            server.process.kill()
            asking.join()
            server.revive()
            # The same request, and now the server does not end.
            wait_until(lambda: self.ask(gateway, hold=2).status == 200, "it serves again")
        self.assertEqual(self.happened(gateway, "query_of_death"), [])

    def test_R3_what_stood_beside_it_is_served(self):
        servers = self.servers(4)
        gateway = self.gateway({"m": {"backends": [backend(server) for server in servers],
                                      "balance": "round-robin"}})
        beside = []
        loader = threading.Thread(target=lambda: beside.extend(together(
            16, lambda i: self.ask(gateway, hold=3, content=f"talk {i}", stream=i % 2 == 0))))
        loader.start()
        wait_until(lambda: sum(server.posts() for server in servers) == 16, "all are there")
        # Who did it is told by time: the others have been there for longer than a death takes on
        # the slowest machine.
        time.sleep(1)
        told = self.ask(gateway, content=SPELL)
        loader.join()
        self.settle(servers, 2)
        self.assertEqual((told.status, told.answer.field("x-should-retry")), (502, "false"), told)
        for one in beside:
            self.assert_served(one)
        events = self.happened(gateway, "query_of_death")
        self.assertEqual([event["request"] for event in events],
                         [told.answer.field("x-request-id")])

    def test_R3_who_is_unlucky_twice_is_served(self):
        servers = self.servers(3)
        gateway = self.gateway({"m": {"backends": [backend(server) for server in servers],
                                      "balance": "round-robin"}})
        beside = []
        loader = threading.Thread(target=lambda: beside.extend(together(
            48, lambda i: self.ask(gateway, hold=2, content=f"talk {i}"))))
        loader.start()
        wait_until(lambda: sum(server.posts() for server in servers) == 48, "all are there")
        there = servers[0].posts()
        servers[0].process.kill()
        wait_until(lambda: sum(server.posts() for server in servers) == 48 + there, "they moved")
        servers[1].process.kill()
        loader.join()
        # Who did it is told by time, which these kills have nothing to do with: one of them at most
        # is taken for it (policy/suspicion.h), however slow the machine is.
        stopped = [one for one in beside if not one.served()]
        self.assertLessEqual(len(stopped), 1, stopped)
        self.assertEqual(len(self.happened(gateway, "query_of_death")), len(stopped))
        twice = [one for one in beside if one.answer.field("x-sluice-retries") == "2"]
        self.assertGreater(len(twice), 0)

    def test_R3_a_connection_that_breaks_alone_is_no_death(self):
        def reset(peer, _):
            peer.reset()
        servers = [self.scripted(reset) for _ in range(4)]
        gateway = self.gateway({"m": {"backends": [backend(server) for server in servers[:3]],
                                      "breaker": {"failures": 0, "error_rate": 0}, **BLIND,
                                      "fallback": ["spare"]},
                                "spare": {"backends": [backend(servers[3])], **BLIND}})
        told = self.ask(gateway)
        self.assertEqual(told.status, 502)
        self.assertEqual([len(server.requests) for server in servers], [1] * 4)
        self.assertEqual(self.happened(gateway, "query_of_death"), [])
        line = self.line_of(gateway, told)
        self.assertEqual((line["retries"], len(line["hops"].split(", "))), (3, 4))


class DeathsOnThreeShards(Deaths):
    """What one shard has seen the others know."""

    SHARDS = 3


if __name__ == "__main__":
    main()
