#!/usr/bin/env python3
"""docs/faults.md and the tests agree: every row is there, and what it names shows it."""

import importlib
import os
import re
import unittest

from harness import ROOT, main

TABLE = os.path.join(ROOT, "docs", "faults.md")
TESTS = os.path.join(ROOT, "tests")
# Requests, clients and streams: these sections are shown whole.
WHOLE = {str(number) for number in [*range(1, 93), *range(96, 109)]}
# A plain number, or one of a list of its own: R5, R5a, C3, S1, T1.
ROW = re.compile(r"[CRST]?\d+[a-z]?")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def rows():
    """(number, unit files, e2e files) of every row of the tables."""
    for line in read(TABLE).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and ROW.fullmatch(cells[0]):
            yield cells[0], names(cells[3]), names(cells[4])


def names(cell):
    return [name.strip() for name in cell.split(",") if name.strip()]


def numbers(text):
    """The rows of "069_and_071" or "69, 71" in a case's name, as the table writes them."""
    return {row.lstrip("0") for row in ROW.findall(text)}


def rows_of_unit(name):
    found = set()
    folder = TESTS if name.startswith("sim/") else os.path.join(TESTS, "unit")
    for case in re.findall(r'TEST_CASE\(\s*"(?:faults? ([\d, ]+)|([CRST]\d[\w, ]*)):',
                           read(f"{folder}/{name}.cc")):
        found |= numbers("".join(case))
    return found


def rows_of_e2e(name):
    found = set()
    for suite in unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(name)):
        for case in suite:
            match = re.match(r"test_(?:rows?_(?=\d)|(?=[CRST]\d))([CRST]?\d+[a-z]?"
                             r"(?:_and_[CRST]?\d+[a-z]?)*)_",
                             case._testMethodName)
            found |= numbers(match.group(1)) if match else set()
    return found


class Table(unittest.TestCase):

    def test_every_row_of_the_whole_sections_is_there_once(self):
        found = [number for number, _, _ in rows()]
        self.assertEqual(len(found), len(set(found)))
        self.assertEqual(WHOLE - set(found), set())

    def test_what_a_row_names_shows_it(self):
        for number, unit, e2e in rows():
            with self.subTest(row=number):
                self.assertTrue(unit or e2e)
                for name in unit:
                    self.assertIn(number, rows_of_unit(name), name)
                for name in e2e:
                    self.assertIn(number, rows_of_e2e(name), name)

    def test_every_case_of_a_row_stands_in_the_table(self):
        listed = {number: (unit, e2e) for number, unit, e2e in rows()}
        for name in sorted(os.listdir(os.path.join(ROOT, "tests", "e2e"))):
            if name.startswith("test_") and name.endswith(".py"):
                name = name.removesuffix(".py")
                for number in rows_of_e2e(name):
                    self.assertIn(name, listed.get(number, ((), ()))[1], f"row {number}")


if __name__ == "__main__":
    main(program=None)
