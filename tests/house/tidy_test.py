#!/usr/bin/env python3
"""Each rule of tools/tidy refuses a file that breaks it, and accepts one that keeps it.

    tidy_test.py TIDY
"""

import os
import subprocess
import sys
import tempfile
import unittest

TIDY = os.path.abspath(sys.argv.pop()) if len(sys.argv) > 1 else ""
HEAD = "// A head comment.\n#pragma once\n"


def tidy(**files):
    """What tidy says of a tree with these files; "__" stands for "/" and "_dot_" for "."."""
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = os.path.join(root, name.replace("__", "/").replace("_dot_", "."))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run([sys.executable, TIDY, root], capture_output=True, text=True,
                              check=False)
        return done.stdout, done.returncode


class TidyTest(unittest.TestCase):
    def refuses(self, what, **files):
        out, status = tidy(**files)
        self.assertIn(what, out)
        self.assertEqual(status, 1)

    def accepts(self, **files):
        out, status = tidy(**files)
        self.assertEqual(status, 0, out)

    def test_a_clean_tree_passes(self):
        self.accepts(src__io__a_dot_cc="int f() {\n    return 1;\n}\n")

    def test_lines_are_at_most_100_columns(self):
        self.accepts(src__io__a_dot_cc="// " + "x" * 97 + "\n")
        self.refuses("101 columns", src__io__a_dot_cc="// " + "x" * 98 + "\n")

    def test_functions_are_at_most_70_lines(self):
        body = "    call(\"}\");\n"
        self.accepts(src__io__a_dot_cc="int f() {\n" + body * 68 + "}\n")
        self.refuses("f() has 71 lines", src__io__a_dot_cc="int f() {\n" + body * 69 + "}\n")

    def test_a_class_is_no_function_but_its_methods_are(self):
        method = "    int m() const {\n" + "        call();\n" * 30 + "    }\n"
        self.accepts(src__io__a_dot_cc="class C {\n" + method * 4 + "};\n")
        self.refuses("Foo::Foo() has 80 lines", src__io__a_dot_cc="Foo::Foo(int x) {\n"
                     + "    call();\n" * 78 + "}\n")

    def test_braces_of_directives_do_not_count(self):
        self.accepts(src__io__a_dot_cc="#define OPEN(x) { \\\n    x\nint f() {\n}\n"
                     + "int g() {\n    call();\n}\n" * 30)

    def test_files_are_at_most_500_lines(self):
        self.refuses("501 lines", src__io__a_dot_cc="int x;\n" * 501)

    def test_includes_go_only_down_the_table(self):
        header = HEAD + "int f();\n"
        self.refuses("http may not include io",
                     src__http__a_dot_cc='#include "sluice/io/b.h"\n',
                     include__sluice__io__b_dot_h=header)
        self.accepts(src__http__a_dot_cc='#include "sluice/mem/b.h"\n',
                     include__sluice__mem__b_dot_h=header)

    def test_an_unknown_module_is_refused(self):
        self.refuses("not in the table", src__odd__a_dot_cc="int x;\n")

    def test_a_foreign_header_has_one_door(self):
        self.accepts(src__io__ring_dot_cc="#include <liburing.h>\n")
        self.refuses("door of liburing", src__io__other_dot_cc="#include <liburing.h>\n")
        self.refuses("door of the clock", src__io__a_dot_cc="#include <chrono>\n")
        self.refuses("door of locks", src__io__a_dot_cc="#include <mutex>\n")

    def test_a_public_header_is_used_by_another_module(self):
        self.refuses("no other module includes it",
                     include__sluice__io__b_dot_h=HEAD,
                     src__io__b_dot_cc='#include "sluice/io/b.h"\n')

    def test_a_header_has_a_guard_and_a_head_comment(self):
        self.refuses("without #pragma once", src__io__a_dot_h="// A comment.\n")
        self.refuses("without a head comment", src__io__a_dot_h="#pragma once\n")

    def test_banned_code_is_found_outside_comments_only(self):
        self.accepts(src__io__a_dot_cc="// No goto here.\nconst char* x = \"goto\";\n")
        self.refuses("control flow", src__io__a_dot_cc="void f() { goto end; }\n")
        self.refuses("SLUICE_ASSERT", src__io__a_dot_cc="void f() { assert(1); }\n")
        self.accepts(src__io__a_dot_cc="static_assert(true);\n")

    def test_unresolved_markers_paths_and_hosts_are_found_in_comments_too(self):
        self.refuses("unresolved", src__io__a_dot_cc="// TO" + "DO: later\n")
        self.refuses("path of one machine", docs__a_dot_md="See /ro" + "ot/x.\n")
        self.refuses("package registry", docs__a_dot_md="From https://pypi" + ".org/.\n")

    def test_a_shared_pointer_needs_its_reason(self):
        plain = HEAD + "int x;\n" * 3
        self.refuses("shared_ptr", src__io__a_dot_h=plain + "std::shared_ptr<int> p;\n")
        self.accepts(src__io__a_dot_h=plain + "// Two owners.\nstd::shared_ptr<int> p;\n")

    def test_a_unit_test_belongs_to_a_module(self):
        self.refuses("there is no module io", tests__unit__io__a_test_dot_cc="int x;\n")
        self.accepts(tests__unit__io__a_test_dot_cc="int x;\n", src__io__a_dot_cc="int y;\n")


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed", flush=True)
    sys.exit(1 if bad else 0)
