#!/usr/bin/env python3
"""T5: docs/reference.md and the program agree: nothing is missing there, and nothing has gone.

Names are collected twice: from the source, where also a rare one stands, and from a gateway that
has seen a bit of everything. A name in the source that looks like a header and is none belongs
into NO_HEADERS.
"""

import collections
import hashlib
import os
import re
import tempfile
import unittest

from backend import Backend, chunk, delta, json_answer
from harness import NO_NOTICES, ROOT, Gateway, Sim, chat_body, main, request, settings
from wire import wait_until

TEXT = os.path.join(ROOT, "docs", "reference.md")
KEY = "sk-reference"

# What a source file says with a dash in it, beside names of header fields.
NO_HEADERS = {
    "cross-site", "no-cache",  # values of fields
    "half-open", "tail-open",  # names of states
    "form-data",  # a word in bodies
    "x-consum", "x-sluice", "h-*",  # parts of names: families of field_id.cc
    "ready", "model", "data",  # words before a colon
    "llama-server",  # a kind of server
    "x-gzip",  # a coding
    "min-fresh", "max-age", "max-stale", "no-store", "only-if-cached",  # directives
    "anti-*", "un-*", "de-*", "non-*",  # begins of words that negate
    "lm-studio", "sk-no-key-required",  # keys that stand for none
}
# Settings and flags are documented in configuration.md and by --help; llm reads and writes bodies.
UNREAD = {"config", "app", "llm"}
PARTS_OF_FORMS = os.path.join(ROOT, "src", "llm", "part_header.cc")

LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
COMMENT = re.compile(r"^\s*//.*$|\s//\s.*$", re.M)
TOKEN = r"[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*"


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def sources():
    for top in ("src", os.path.join("include", "sluice")):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            if os.path.relpath(folder, os.path.join(ROOT, top)).split(os.sep)[0] in UNREAD:
                continue
            for name in sorted(names):
                if name.endswith((".cc", ".h")):
                    yield COMMENT.sub("", read(os.path.join(folder, name)))
    yield COMMENT.sub("", read(PARTS_OF_FORMS))


class Document:
    """The tables, by the heading above them: lists of lists of cells."""

    def __init__(self):
        self.tables = collections.defaultdict(list)
        heading = ""
        for line in read(TEXT).splitlines():
            if line.startswith("#"):
                heading = line.lstrip("# ")
            elif line.startswith("|"):
                self.tables[heading].append([cell.strip() for cell in line.strip("|").split("|")])

    def rows(self, heading, first):
        """Of the table below a heading that begins with this title; each row's name bare."""
        found, inside = [], False
        for cells in self.tables[heading]:
            if cells[0] == first:
                inside = True
            elif not cells[0].startswith("`") and not cells[0].startswith("---"):
                inside = False
            elif inside and cells[0].startswith("`"):
                found.append([cells[0].strip("`"), *cells[1:]])
        if not found:
            raise AssertionError(f"no table '{first}' below '{heading}'")
        return found

    def names(self, *headings, first="header"):
        return [row[0] for heading in headings for row in self.rows(heading, first)]


def marked(cell):
    return set(re.findall(r"`([^`]+)`", cell))


class Reference(unittest.TestCase):
    """Against the source."""

    @classmethod
    def setUpClass(cls):
        cls.document = Document()
        cls.code = list(sources())
        cls.literals = [text for code in cls.code for text in LITERAL.findall(code)]

    def same(self, documented, there, what):
        self.assertEqual(len(documented), len(set(documented)), f"{what}: one stands there twice")
        self.assertEqual(set(there) - set(documented), set(), f"{what}: missing in the reference")
        self.assertEqual(set(documented) - set(there), set(), f"{what}: gone from the program")

    def test_T5_every_metric_of_the_source_is_in_the_reference(self):
        there = {text for text in self.literals if re.fullmatch(r"(sluice|gen_ai)_[a-z_]+", text)}
        self.same(self.document.names("Metrics", first="metric"), there, "metrics")

    def test_T5_every_field_of_the_log_is_in_the_reference(self):
        record = read(os.path.join(ROOT, "src", "proxy", "record.cc"))
        there = re.findall(r'[{,]\\"(\w+)\\":', record)
        self.same(self.document.names("Access log", first="field"), there, "fields of the log")

    def test_T5_every_end_and_every_cause_is_in_the_reference(self):
        code = read(os.path.join(ROOT, "src", "answer", "end.cc")) + \
            read(os.path.join(ROOT, "src", "answer", "break.cc"))
        def returned(function):
            body = re.search(rf"{function}\(.*?\n}}\n", code, re.S).group(0)
            return set(re.findall(r'"(\w+)"', body))
        self.same(self.document.names("Access log", first="end"), returned("end_name"), "ends")
        causes = dict((row[0], row[1]) for row in self.document.rows("Metrics", "label"))["cause"]
        self.assertEqual(marked(causes), returned("break_name"))

    def test_T5_every_event_of_the_log_is_in_the_reference(self):
        there = {}
        for code in self.code:
            for event, fields in re.findall(r'write_event\(\s*[\w.>-]+,\s*"(\w+)",(.*?)\);', code,
                                            re.S):
                there[event] = set(re.findall(r'\{\s*"(\w+)",', fields))
        documented = {row[0]: marked(row[1]) for row in self.document.rows("Events", "event")}
        self.assertEqual(documented, there)
        self.assertEqual(sum(len(re.findall(r"\bwrite_event\(\s*[\w.>-]+,", code))
                             for code in self.code), len(there))

    # --- headers ---

    def written(self):
        """Names that the source writes: an argument of field(), or a line of a head."""
        names = set()
        for code in self.code:
            names |= set(re.findall(rf'\.field\(\s*"({TOKEN})"', code))
        for text in self.literals:
            for name in re.findall(rf"(?:^|\\r\\n)({TOKEN}): ", text):
                if "\\r\\n" in text or text == f"{name}: " or name in ("Authorization", "Allow"):
                    names.add(name)
        return {name.lower() for name in names - NO_HEADERS}

    def mentioned(self):
        """Names that the source knows in any other way."""
        names = set()
        for code in self.code:
            names |= set(re.findall(rf'{{"({TOKEN})", FieldId::', code))
            names |= set(re.findall(rf'\.(?:find|header|has)\("({TOKEN})"', code))
        for text in self.literals:
            if re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)+", text):
                names.add(text)
            elif re.fullmatch(r"[a-z]+(-[a-z]+)*-", text):
                names.add(text + "*")
        return {name.lower() for name in names - NO_HEADERS}

    def test_T5_every_header_that_is_written_is_in_the_reference(self):
        documented = self.document.names("Written into answers") + \
            self.document.names("Sent to backends")
        self.same(sorted({name.lower() for name in documented}), self.written(), "written headers")

    def test_T5_every_header_that_is_read_is_in_the_reference(self):
        documented = set(self.document.names("Read from requests", "Of one hop",
                                             "Read from answers of backends"))
        written = self.written()
        there = self.mentioned()
        def covers(row, name):
            return name.startswith(row[:-1]) if row.endswith("*") else name == row
        missing = {name for name in there - written
                   if not any(covers(row, name) for row in documented)}
        self.assertEqual(missing, set(), "missing in the reference (or no headers: NO_HEADERS)")
        families = {"x-consumer*", "x-sluice-*", "sec-fetch-*"}  # told apart by their first letters
        known = there | written | {text.lower() for text in self.literals}
        gone = {row for row in documented - families
                if not any(covers(row, name) for name in known)}
        self.assertEqual(gone, set(), "gone from the program")


class Busy(unittest.TestCase):
    """Against a gateway that has seen a bit of everything."""

    @classmethod
    def setUpClass(cls):
        cls.document = Document()
        cls.sim = Sim("--slots", "1", "--itl", "0")
        cls.addClassCleanup(cls.sim.stop)
        cls.backend = Backend()
        cls.addClassCleanup(cls.backend.stop)
        folder = tempfile.TemporaryDirectory(prefix="sluice-reference-")
        cls.addClassCleanup(folder.cleanup)
        cls.gateway = Gateway(*settings({
            "consumers": [{"name": "me", "admin": True, "keys": [
                {"id": "k1", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]}],
            "models": {"kept": {"backends": [{"url": cls.sim.url, "model": "sim"}],
                                "cache": {"answers": "auto"}},
                       "m": {"backends": [{"url": cls.backend.url, "labels": {"a": "b"}}]},
                       "sim": {"backends": [{"url": cls.sim.url}]}},
            "rules": [{"name": "r1", "when": {"model": "other"}, "use": "m"}],
            "routes": [{"path": "/tool", "backends": [{"url": cls.backend.url}]}],
            "cache": {"disk": os.path.join(folder.name, "answers.db")},
            "defaults": NO_NOTICES}))
        cls.addClassCleanup(cls.gateway.stop)
        cls.answers = [cls.answer(*each) for each in cls.requests()]
        cls.metrics = cls.scrape()

    @classmethod
    def requests(cls):
        """(what the scripted backend does, the request)"""
        def plain(peer, _):
            peer.send(json_answer({"choices": []}))
        def broken(peer, _):
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\n" + chunk(delta("a")))
            peer.reset()
        def refuses(peer, _):
            peer.send(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n"
                      b"x-should-retry: true\r\nContent-Length: 0\r\n\r\n")
        chat = "/v1/chat/completions"
        key = f"Authorization: Bearer {KEY}"
        def ask(method, path, body=b"", fields=(key,)):
            return request(method, path, body, cls.gateway.host, fields)
        yield None, ask("POST", chat, chat_body(model="sim", max_tokens=4))
        yield None, ask("POST", chat, chat_body(model="sim", max_tokens=4, stream=True))
        yield None, ask("POST", "/v1/messages", chat_body(model="sim", max_tokens=4, stream=True),
                        (key, "anthropic-version: 2023-06-01"))
        yield None, ask("POST", chat, chat_body(model="kept"))
        for _ in range(2):
            yield None, ask("POST", chat, chat_body(model="kept", max_tokens=4, temperature=0,
                                                    stream=True))
        yield plain, ask("POST", chat, chat_body(model="other"))
        yield plain, ask("POST", "/tool/x", b"{}")
        yield broken, ask("POST", chat, chat_body(stream=True))
        yield refuses, ask("POST", chat, chat_body())
        yield None, ask("GET", chat)
        yield None, ask("GET", chat, fields=(key, "Connection: upgrade", "Upgrade: websocket"))
        yield None, ask("GET", "/v1/models", fields=())
        yield None, ask("POST", chat, chat_body(model="nobody"))

    @classmethod
    def answer(cls, script, asked):
        cls.backend.script = script
        with cls.gateway.client() as client:
            return client.ask(asked)

    @classmethod
    def scrape(cls):
        def complete():
            with cls.gateway.client() as client:
                text = client.ask(request("GET", "/metrics", host=cls.gateway.host,
                                          fields=(f"Authorization: Bearer {KEY}",))).body.decode()
            return text if 'end="backend_error"' in text and "cache_hit_ratio{" in text else None
        return wait_until(complete, "the figures of all shards")

    def test_T5_the_scrape_says_what_the_reference_says(self):
        helps = dict(re.findall(r"^# HELP (\S+) (.*)$", self.metrics, re.M))
        types = dict(re.findall(r"^# TYPE (\S+) (.*)$", self.metrics, re.M))
        labels = collections.defaultdict(set)
        for name, inside in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", self.metrics, re.M):
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            labels[family if types.get(family) == "histogram" else name] |= set(
                re.sub(r"^label_.*", "label_*", label)  # whose names the settings choose
                for label in re.findall(r'(\w+)="', inside))
        self.maxDiff = None
        told = {name: [types[name], labels[name], helps[name]]
                for name in labels}
        self.assertEqual(set(types) - set(told), set(), "nothing of these has been seen")
        documented = {row[0]: [row[1], marked(row[2]), row[4]]
                      for row in self.document.rows("Metrics", "metric")}
        self.assertEqual(documented, told)
        explained = set(self.document.names("Metrics", first="label"))
        self.assertEqual(explained, set().union(*labels.values()))
        for name, _, _, unit, _ in self.document.rows("Metrics", "metric"):
            named = re.search(r"_(seconds|bytes)(?:_total)?$", name)
            self.assertEqual(unit in ("seconds", "bytes"), named is not None, name)
            self.assertTrue(unit, name)

    def test_T5_lines_of_the_log_have_the_documented_fields_and_types(self):
        kinds = {"text": str, "number": int, "true or false": bool, "object": dict}
        fields = {row[0]: kinds[row[1]] for row in self.document.rows("Access log", "field")}
        events = {row[0]: marked(row[1]) for row in self.document.rows("Events", "event")}
        ends = set(self.document.names("Access log", first="end"))
        self.gateway.logged(model="m", end="backend_error")
        self.gateway.logged(rule="r1", consumer="me")
        self.gateway.logged(route="/tool")
        for line in self.gateway.log():
            if "event" in line:
                self.assertEqual(set(line) - {"time", "event"}, events[line["event"]])
                continue
            self.assertIn(line["end"], ends)
            for name, value in line.items():
                self.assertIs(type(value), fields.get(name), f"{name} in {line}")

    def test_T5_answers_carry_documented_headers_only(self):
        passed = {"date", "etag"}  # the backends' own
        documented = {name.lower() for name in self.document.names("Written into answers")}
        seen = {name.lower() for answer in self.answers for name, _ in answer.fields}
        self.assertEqual(seen - documented - passed, set())

    def test_T5_backends_are_sent_documented_headers_only(self):
        documented = {name.lower() for name in self.document.names("Sent to backends")}
        asked = {"content-type", "anthropic-version"}  # the client's own
        for each in self.backend.requests:
            sent = {name.lower() for name, _ in each.fields}
            self.assertEqual(sent - documented - asked, set())


if __name__ == "__main__":
    main()
