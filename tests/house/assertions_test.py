#!/usr/bin/env python3
"""The modules whose state is hard to see say what they expect of it: their assertions are counted.

    assertions_test.py SOURCE_ROOT

For each 1,000 lines of such a module, its headers included, there are at least as many
SLUICE_ASSERTs as stand here. 30 is the goal; a module that is on its way there does not go back.
"""

import os
import re
import sys
import tempfile
import unittest

ROOT = os.path.abspath(sys.argv.pop()) if len(sys.argv) > 1 else ""

LEAST = {"mem": 30, "io": 30, "net": 30, "upstream": 30, "proxy": 18}

# A statement; what a comment or a text says of the macro is none.
ASSERTION = re.compile(r'^(?:[^\n"/#]*[{;}:)])?[ \t]*SLUICE_ASSERT\(', re.MULTILINE)


def counted(root, module):
    """(assertions, lines) of a module."""
    assertions = lines = 0
    for tree in ("src", "include/sluice"):
        for folder, _, names in os.walk(os.path.join(root, tree, module)):
            for name in names:
                if not name.endswith((".cc", ".h")):
                    continue
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    text = file.read()
                assertions += len(ASSERTION.findall(text))
                lines += text.count("\n")
    return assertions, lines


class AssertionsTest(unittest.TestCase):
    def test_each_module_says_what_it_expects(self):
        too_few = []
        for module, least in LEAST.items():
            assertions, lines = counted(ROOT, module)
            self.assertGreater(lines, 0, f"there is no module {module}")
            if assertions * 1000 < least * lines:
                too_few.append(f"{module}: {assertions} in {lines} lines, "
                               f"{assertions * 1000 / lines:.1f} for 1,000 and not {least}")
        self.assertEqual(too_few, [], "say of what is new what holds there")

    def test_only_statements_count(self):
        with tempfile.TemporaryDirectory() as root:
            for tree in ("src/m", "include/sluice/m"):
                os.makedirs(os.path.join(root, tree))
            with open(os.path.join(root, "src/m/a.cc"), "w", encoding="utf-8") as file:
                file.write("// SLUICE_ASSERT(a)\n    SLUICE_ASSERT(b);\nf(\"SLUICE_ASSERT(c)\");\n")
            with open(os.path.join(root, "include/sluice/m/a.h"), "w", encoding="utf-8") as file:
                file.write("    ~A() { SLUICE_ASSERT(d); }\n")
            with open(os.path.join(root, "src/m/meson.build"), "w", encoding="utf-8") as file:
                file.write("SLUICE_ASSERT(e)\n")
            self.assertEqual(counted(root, "m"), (2, 4))


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed", flush=True)
    sys.exit(1 if bad else 0)
