#!/usr/bin/env python3
"""Answers that are kept on a disk: what a gateway finds there that was started again, or killed.

Each gateway of a case has the file that the one before it had.
"""

import os
import random
import re
import sqlite3
import subprocess
import tempfile
import threading
import time

from backend import answer_chat, chat_answer
from harness import SLUICE, Gateway, chat_request, main, request, settings
from pool_case import PoolCase, backend, consumers, key_field
from test_relay import metrics
from wire import Client, Closed, wait_until

MIB = 1 << 20


def text_for(question):
    """A long answer that says at each place whose it is, and when it was made."""
    mark = f"<{question} {time.time():.3f}>"
    return mark * (1 + random.Random(question).randrange(400))


def asked_in(request):
    return request.json["messages"][-1]["content"]


class CacheDisk(PoolCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sluice-disk-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "answers.db")
        self.asked = []

    def begin(self, script=answer_chat):
        def counted(peer, asked):
            self.asked.append(asked_in(asked))
            script(peer, asked)
        self.server = self.scripted(counted)

    def start(self, shards=1, cache=None, disk_bytes="8MiB", models=("m",), **top):
        """A gateway that was not there before."""
        model = {"backends": [backend(self.server)], "health": {"probe": "off"},
                 "queue": {"notice_first": "0"}, "cache": {"answers": "auto", **(cache or {})}}
        gate = Gateway("--shards", str(shards), *settings(
            {"models": dict.fromkeys(models, model),
             "cache": {"disk": self.path, "disk_bytes": disk_bytes}, **top}))
        self.addCleanup(lambda: gate.alive() and gate.stop())
        return gate

    def kill(self, gate):
        gate.process.kill()
        gate.process.wait()
        gate.reader.join(5)
        gate.folder.cleanup()
        gate.log_folder.cleanup()

    def chat(self, gate, fields=(), **more):
        with Client(gate.address) as client:
            answer = client.ask(chat_request(gate.host, fields=fields,
                                             **{"temperature": 0, **more}))
        answer.mark = answer.field("x-sluice-cache")
        return answer

    def written(self, gate, count=1, fields=()):
        wait_until(lambda: metrics(gate, fields)["sluice_cache_disk_stored_total"] >= count,
                   f"{count} answers are on the disk")

    def test_it_is_found_after_a_restart(self):
        for shards, then in ((1, 1), (3, 3), (1, 3)):
            for stream in (False, True):
                with self.subTest(shards=shards, then=then, stream=stream):
                    self.setUp()
                    self.begin()
                    gate = self.start(shards)
                    first = [self.chat(gate, content=f"q{i}", stream=stream) for i in range(8)]
                    self.written(gate, 8)
                    gate.stop()
                    gate = self.start(then)
                    for i, before in enumerate(first):
                        for _ in range(3):  # from the disk, then from memory
                            again = self.chat(gate, content=f"q{i}", stream=stream)
                            self.assertEqual((before.mark, again.mark), ("miss", "hit"))
                            self.assertEqual(before.body, again.body)
                            self.assertEqual(before.field("content-type"),
                                             again.field("content-type"))
                    self.assertEqual(len(self.asked), 8)
                    found = metrics(gate)
                    self.assertEqual(found["sluice_cache_disk_hits_total"], 8)
                    self.assertEqual(found["sluice_cache_disk_entries"], 8)
                    self.assertGreater(found["sluice_cache_disk_bytes"], 0)
                    self.assertEqual(found["sluice_cache_disk_failures_total"], 0)
                    gate.stop()

    def test_its_age_goes_on_and_its_time_is_over(self):
        for shards in (1, 3):
            with self.subTest(shards=shards):
                self.setUp()
                self.begin()
                brief = {"ttl": "3s"}
                gate = self.start(shards, brief)
                self.chat(gate)
                self.written(gate)
                made = time.monotonic()  # a moment ago
                gate.stop()
                wait_until(lambda: time.monotonic() - made > 1.1, "it is a second old")
                gate = self.start(shards, brief)
                again = self.chat(gate)
                if time.monotonic() - made < 2.5:  # else the machine was too slow to tell
                    self.assertEqual(again.mark, "hit")
                    self.assertIn(int(again.field("age")), (1, 2))
                    # It is not young again, now that it is in memory.
                    self.assertEqual(self.chat(gate, fields=["Cache-Control: max-age=1"]).mark,
                                     "miss")
                    self.written(gate)  # and a new one takes its place
                gate.stop()
                made = time.monotonic()
                wait_until(lambda: time.monotonic() - made > 3.1, "its time is over")
                gate = self.start(shards, brief)
                self.assertEqual(self.chat(gate).mark, "miss")
                gate.stop()

    def test_settings_that_say_less_now_hold(self):
        self.begin()
        gate = self.start()
        self.chat(gate)
        self.written(gate)
        made = time.monotonic()
        gate.stop()
        wait_until(lambda: time.monotonic() - made > 1.1, "it is a second old")
        gate = self.start(cache={"ttl": "1s"})
        self.assertEqual(self.chat(gate).mark, "miss")
        gate.stop()

    def test_cache_control_holds(self):
        for shards in (1, 3):
            with self.subTest(shards=shards):
                self.setUp()
                self.begin()
                gate = self.start(shards)
                self.chat(gate)
                self.written(gate)
                gate.stop()
                gate = self.start(shards)

                def mark(directive, **more):
                    return self.chat(gate, fields=[f"Cache-Control: {directive}"], **more).mark
                self.assertEqual(mark("no-store"), "bypass")
                self.assertEqual(mark("only-if-cached"), "hit")
                refused = self.chat(gate, content="new", fields=["Cache-Control: only-if-cached"])
                self.assertEqual(refused.status, 504)
                self.assertEqual(mark("no-cache"), "miss")
                gate.stop()

    def test_another_consumer_never_gets_it(self):
        known = consumers(ann="key-of-ann", bob="key-of-bob", eve="key-of-eve")
        known[0]["admin"] = True
        for each in known[:2]:
            each["group"] = "team"
        for shards in (1, 3):
            for share, marks in (("consumer", ["hit", "miss", "miss"]),
                                 ("group", ["hit", "hit", "miss"])):
                with self.subTest(shards=shards, share=share):
                    self.setUp()
                    self.begin()
                    ann = [key_field("key-of-ann")]
                    gate = self.start(shards, {"share": share}, consumers=known)
                    self.chat(gate, fields=ann)
                    self.written(gate, fields=ann)
                    gate.stop()
                    gate = self.start(shards, {"share": share}, consumers=known)
                    self.assertEqual([self.chat(gate, fields=[key_field(f"key-of-{name}")]).mark
                                      for name in ("ann", "bob", "eve")], marks)
                    gate.stop()

    def test_what_memory_has_no_room_for_is_there(self):
        self.begin(lambda peer, asked: peer.send(chat_answer("x" * 20_000 + asked_in(asked))))
        gate = self.start(limits={"cache": "1MiB"}, disk_bytes="16MiB")
        for i in range(100):
            self.chat(gate, content=f"n{i}")
        self.written(gate, 100)
        for i in range(100):
            again = self.chat(gate, content=f"n{i}")
            self.assertEqual(again.mark, "hit")
            self.assertTrue(again.json["choices"][0]["message"]["content"].endswith(f"xn{i}"))
        found = metrics(gate)
        self.assertLessEqual(found["sluice_cache_bytes"], MIB)
        self.assertGreater(found["sluice_cache_disk_hits_total"], 50)
        self.assertEqual(len(self.asked), 100)
        gate.stop()

    def test_the_file_is_bounded(self):
        self.begin(lambda peer, _: peer.send(chat_answer("x" * 100_000)))
        gate = self.start(disk_bytes="4MiB")
        for i in range(60):
            self.chat(gate, content=f"n{i}")
        wait_until(lambda: metrics(gate)["sluice_cache_disk_stored_total"] +
                   metrics(gate)["sluice_cache_disk_dropped_total"] >= 60, "all were taken")
        self.assertGreater(metrics(gate)["sluice_cache_disk_evictions_total"], 0)
        sizes = [os.path.getsize(self.path + end) for end in ("", "-wal")
                 if os.path.exists(self.path + end)]
        self.assertLessEqual(sum(sizes), 4 * MIB)
        gate.stop()

    def test_one_look_serves_all_who_ask_at_once(self):
        self.begin()
        gate = self.start(3)
        self.chat(gate)
        self.written(gate)
        gate.stop()
        gate = self.start(3)
        marks = []
        threads = [threading.Thread(target=lambda: marks.append(self.chat(gate).mark))
                   for _ in range(30)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
        self.assertEqual(marks, ["hit"] * 30)
        self.assertEqual(len(self.asked), 1)
        gate.stop()

    def damage(self, path):
        """Every page but the first, which says what the file is."""
        size = os.path.getsize(path)
        with open(path, "r+b") as file:
            file.seek(4096)
            file.write(random.Random(1).randbytes(size - 4096))

    def test_a_damaged_file_costs_a_line_in_the_log(self):
        self.begin()
        gate = self.start()
        for i in range(20):
            self.chat(gate, content=f"q{i}")
        self.written(gate, 20)
        gate.stop()
        self.damage(self.path)
        gate = self.start()
        for i in range(20):
            self.assertEqual(self.chat(gate, content=f"q{i}").mark, "miss")
        self.assertIn("damaged", gate.logged(event="cache_disk")["cause"])
        self.assertEqual(self.chat(gate, content="q1").mark, "hit")
        gate.stop()
        gate = self.start()  # and what came behind it is there
        self.assertEqual(self.chat(gate, content="q19").mark, "hit")
        gate.stop()

    def test_a_disk_that_takes_nothing_costs_a_line_in_the_log(self):
        self.begin()
        gate = self.start()
        self.chat(gate, content="before")
        self.written(gate)
        # Its file may not grow, as on a disk that is full; the log has room.
        subprocess.run(["prlimit", f"--pid={gate.pid}", "--fsize=16384:16384"], check=True)
        for i in range(5):
            self.assertEqual(self.chat(gate, content=f"q{i}").status, 200)
        line = gate.logged(event="cache_disk", path=self.path)
        self.assertTrue(line["cause"] and line["advice"])
        self.assertGreater(metrics(gate)["sluice_cache_disk_failures_total"], 0)
        for i in range(5):
            self.assertEqual(self.chat(gate, content=f"q{i}").mark, "hit")
        gate.stop()

    def test_a_path_that_will_not_do_is_told(self):
        self.begin()
        folder = os.path.dirname(self.path)
        other = os.path.join(folder, "notes.txt")
        with open(other, "w", encoding="utf-8") as file:
            file.write("notes\n" * 100)
        database = os.path.join(folder, "other.db")
        with sqlite3.connect(database) as made:
            made.execute("CREATE TABLE t(x)")
        made.close()
        for path, why in ((os.path.join(folder, "none", "a.db"), "there is no folder"),
                          (folder, "it is a folder"), (other, "no cache of answers"),
                          (database, "no cache of answers")):
            config = settings({"cache": {"disk": path}, "backends": [self.server.url]})[1]
            for command in (["check", config], ["--config", config, "--listen", "127.0.0.1:0"]):
                with self.subTest(path=path, command=command[0]):
                    ended = subprocess.run([SLUICE, *command], capture_output=True, text=True,
                                           timeout=30, check=False)
                    self.assertNotEqual(ended.returncode, 0)
                    self.assertRegex(ended.stderr + ended.stdout, f"cache.disk: .*{why}")
        with open(other, encoding="utf-8") as file:
            self.assertEqual(file.read(), "notes\n" * 100)
        # And a file that another gateway has.
        first = self.start()
        ended = subprocess.run(
            [SLUICE, "--listen", "127.0.0.1:0",
             *settings({"cache": {"disk": self.path}, "backends": [self.server.url]})],
            capture_output=True, text=True, timeout=30, check=False)
        self.assertNotEqual(ended.returncode, 0)
        self.assertIn("another process has it open", ended.stderr)
        first.stop()

    def purge(self, gate, query, fields=(), status=200, method="DELETE", body=b""):
        with Client(gate.address) as client:
            answer = client.ask(request(method, f"/admin/cache{query}", body, gate.host, fields))
        self.assertEqual(answer.status, status, answer.body)
        return answer.json["purged"] if status == 200 else answer

    def test_purges(self):
        known = consumers(ann="key-of-ann", bob="key-of-bob")
        known[0]["admin"] = True
        ann, bob = [key_field("key-of-ann")], [key_field("key-of-bob")]
        for shards in (1, 3):
            with self.subTest(shards=shards):
                self.setUp()
                self.begin()
                gate = self.start(shards, consumers=known, models=("m", "n"))

                def fill(gate=gate):
                    wanted = metrics(gate, ann)["sluice_cache_disk_stored_total"]
                    for fields in (ann, bob):
                        for model in ("m", "n"):
                            for i in range(4):
                                wanted += self.chat(gate, fields, model=model,
                                                    content=f"q{i}").mark == "miss"
                    self.written(gate, wanted, ann)

                def marks(fields, model, gate=gate):
                    return {self.chat(gate, fields + ["Cache-Control: only-if-cached"],
                                      model=model, content=f"q{i}").status for i in range(4)}
                fill()
                self.assertEqual(self.purge(gate, "?model=m", ann), {"memory": 8, "disk": 8})
                self.assertEqual([marks(ann, "m"), marks(bob, "m"), marks(ann, "n")],
                                 [{504}, {504}, {200}])
                fill()
                self.assertEqual(self.purge(gate, "?consumer=bob", ann), {"memory": 8, "disk": 8})
                self.assertEqual([marks(ann, "m"), marks(bob, "m"), marks(bob, "n")],
                                 [{200}, {504}, {504}])
                self.chat(gate, ann, content="q1")
                key = gate.logged(cache="hit", consumer="ann", model="m")["cache_key"]
                self.assertEqual(self.purge(gate, f"?key={key}", ann), {"memory": 1, "disk": 1})
                self.assertEqual(self.purge(gate, f"?key={key}", ann), {"memory": 0, "disk": 0})
                fill()
                self.assertEqual(self.purge(gate, "?all=true", ann), {"memory": 16, "disk": 16})
                self.assertEqual([marks(who, model) for who in (ann, bob) for model in "mn"],
                                 [{504}] * 4)
                fill()
                gate.stop()
                # On the disk alone.
                gate = self.start(shards, consumers=known, models=("m", "n"))
                self.assertEqual(self.purge(gate, "?model=n", ann), {"memory": 0, "disk": 8})
                self.assertEqual([marks(ann, "n", gate), marks(ann, "m", gate)], [{504}, {200}])
                gate.stop()

    def test_a_wrong_purge_is_told(self):
        known = consumers(ann="key-of-ann", bob="key-of-bob")
        known[0]["admin"] = True
        ann, bob = [key_field("key-of-ann")], [key_field("key-of-bob")]
        self.begin()
        gate = self.start(consumers=known)
        self.chat(gate, ann)
        self.written(gate, fields=ann)
        for query in ("", "?", "?model=", "?modle=m", "?all=yes", "?all", "?key=12", "?model=m&x=1",
                      "?model=m&consumer=ann"):
            self.assertIn("?model=NAME",
                          self.purge(gate, query, ann, 400).json["error"]["message"], query)
        self.assertIn("body", self.purge(gate, "?model=m", ann, 400,
                                         body=b"{}").json["error"]["message"])
        self.assertIn("admin", self.purge(gate, "?model=m", bob, 403).json["error"]["message"])
        self.purge(gate, "?model=m", (), 401)
        self.assertEqual(self.purge(gate, "?model=m", ann, 405, "POST").field("allow"), "DELETE")
        self.assertEqual(self.chat(gate, ann).mark, "hit")
        gate.stop()

    def test_what_is_under_way_when_a_purge_comes_is_not_kept(self):
        may_end = threading.Event()

        def script(peer, asked):
            if asked_in(asked) == "slow":
                may_end.wait(60)
            answer_chat(peer, asked)
        for shards in (1, 3):
            with self.subTest(shards=shards):
                self.setUp()
                may_end.clear()
                self.begin(script)
                gate = self.start(shards)
                slow = threading.Thread(target=lambda gate=gate: self.chat(gate, content="slow"))
                slow.start()
                wait_until(lambda: "slow" in self.asked, "it is under way")
                self.purge(gate, "?all=true")
                may_end.set()
                slow.join(30)
                self.chat(gate, content="then")
                self.written(gate)  # which came behind it
                self.assertEqual(self.chat(gate, content="slow").mark, "miss")
                gate.stop()

    def test_killed_under_load(self):
        ttl = 4
        self.begin(lambda peer, asked: peer.send(chat_answer(text_for(asked_in(asked)))))
        hits = 0
        for round_number in range(5):
            gate = self.start(shards=(1, 3)[round_number % 2], cache={"ttl": f"{ttl}s"})
            problems = []
            counted = [0, 0]
            killed = threading.Event()

            def look(question, answer, problems=problems, counted=counted):
                text = answer.json["choices"][0]["message"]["content"]
                mark = re.match(r"<(\S+) ([\d.]+)>", text)
                whole = len(text) == len(mark[0]) * (text.count(mark[0])) and \
                    text.count(mark[0]) == 1 + random.Random(question).randrange(400)
                age = time.time() - float(mark[2])
                if mark[1] != question or not whole or answer.status != 200:
                    problems.append(f"not the answer to {question}: {text[:100]}")
                if answer.mark == "hit" and age > ttl + 1:
                    problems.append(f"{question} is {age} s old")
                counted[answer.mark == "hit"] += 1

            def load(seed, gate=gate, killed=killed, problems=problems, look=look):
                questions = random.Random(seed)
                while True:
                    question = f"q{questions.randrange(200)}"
                    try:
                        answer = self.chat(gate, content=question)
                    except (OSError, Closed) as error:
                        if not killed.is_set():
                            problems.append(repr(error))
                        return
                    look(question, answer)
            # What those before have left.
            for i in range(0, 200, 4):
                look(f"q{i}", self.chat(gate, content=f"q{i}"))
            hits += counted[1]
            threads = [threading.Thread(target=load, args=(100 * round_number + i,))
                       for i in range(4)]
            for each in threads:
                each.start()
            wait_until(lambda: sum(counted) > 150 or problems, "it was under load")
            killed.set()
            self.kill(gate)
            for each in threads:
                each.join(30)
            self.assertEqual(problems, [])
        self.assertGreater(hits, 0)


if __name__ == "__main__":
    main()
