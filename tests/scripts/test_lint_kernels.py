# SPDX-License-Identifier: Apache-2.0
"""Every rule of scripts/lint-kernels.py fires on a small bad kernel, and only there."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "lint-kernels.py"
SPEC = importlib.util.spec_from_file_location("lint_kernels", SCRIPT)
lint = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(lint)

GOOD = """
/* a / b in a comment, and get_global_id() */
FN_KERNEL good(FN_GLOBAL const int *restrict from, FN_GLOBAL int *restrict to, const int n) {
    const int rows = n / 2; /* once, outside every loop */
    FN_PIPELINE
    for (int i = 0; i < n; i++) {
        int value;
        FN_GET(numbers, value);
        FN_UNROLL
        for (int k = 0; k < FN_FPGA_VEC * 2; k++) value += k << 1;
        to[i] = value + from[i] + rows;
        FN_PUT(results, value);
    }
}
"""


def findings(**texts):
    return [(line, what) for _, line, what in lint.check_files(texts)]


def one(text):
    found = findings(kernel=text)
    assert len(found) == 1, found
    return found[0]


def test_a_kernel_that_keeps_the_rules_has_no_finding():
    assert findings(kernel=GOOD) == []


@pytest.mark.parametrize(
    "loop",
    [
        "for (int i = 0; i < n; i++) x = i / w;",
        "for (int i = 0; i < n; i++) { if (i) { x = i % w; } }",
        "for (int i = 0; i < n / 2; i++) x = i;",
        "for (int i = 0; i < n; i++) for (int k = 0; k < 4; k++) x += k / 3;",
        "while (x < n) { x += n / w; }",
        "do { x += n % w; } while (x < n);",
        "for (int i = 0; i < n; i++) if (i) x /= 2;",
    ],
)
def test_a_division_in_a_loop_is_found_once(loop):
    line, what = one(f"void f(int n, int w) {{\n    int x = n / w;\n    {loop}\n}}\n")
    assert line == 3
    assert "in a loop" in what


def test_a_division_behind_a_loop_is_nothing():
    assert findings(kernel="void f(int n) { for (;;) { n++; } n = n / 3; }") == []


@pytest.mark.parametrize("call", ["get_global_id(0)", "get_local_size(1)", "get_num_groups(0)"])
def test_work_item_functions_under_a_single_work_item_are_found(call):
    body = f"f(FN_GLOBAL int *restrict a) {{ a[0] = {call}; }}"
    assert "single work-item" in one("FN_KERNEL " + body)[1]
    attribute = "__kernel __attribute__((max_global_work_dim(0))) void "
    assert "single work-item" in one(attribute + body)[1]
    assert findings(kernel="__kernel void " + body) == []  # an NDRange may


@pytest.mark.parametrize(
    "pointer",
    [
        "FN_GLOBAL int *a",
        "__global const int *a",
        "FN_GLOBAL const FN_SHARED fn_burst *a",
        "__global struct s * const a",
    ],
)
def test_a_pointer_without_restrict_is_found(pointer):
    assert "without restrict" in one(f"void f({pointer}, int n);")[1]
    assert findings(kernel=f"void f({pointer.replace('*', '*restrict ')}, int n);") == []


@pytest.mark.parametrize("unroll", ["FN_UNROLL", "#pragma unroll", "#pragma HLS unroll"])
@pytest.mark.parametrize(
    "header", ["int k = 0; k < n; k++", "int k = from; k < 4; k++", "int k = 0; k < N * n; k++"]
)
def test_an_unroll_of_unknown_size_is_found(unroll, header):
    text = f"void f(int n, int from) {{\n{unroll}\n    for ({header}) n++;\n}}\n"
    line, what = one(text)
    assert line == 2
    assert "no constants" in what
    assert findings(kernel=text.replace(header, "int k = 1; k < (A < 8 ? A : 8) * 2; k += 8")) == []


def test_an_unroll_without_a_loop_is_found():
    assert "without a for loop" in one("void f(int n) {\nFN_UNROLL\n    n++;\n}\n")[1]


@pytest.mark.parametrize("use", ["FN_GET(fifo, x)", "FN_PUT(fifo, x)", "read_channel_intel(fifo)"])
def test_a_fifo_used_in_two_places_is_found_across_files(use):
    once, twice = f"void f(int x) {{ {use}; }}\n", f"\nvoid g(int x) {{ {use}; }}\n"
    assert findings(a=once) == []
    found = findings(a=once, b=twice)
    assert [line for line, _ in found] == [2]
    assert "FIFO fifo" in found[0][1]
    assert "a:1" in found[0][1]


def test_reading_and_writing_one_fifo_is_its_purpose():
    assert findings(a="void f(int x) { FN_GET(q, x); }", b="void g(int x) { FN_PUT(q, x); }") == []


def test_the_kernels_of_this_repository_pass_and_a_bad_one_fails(tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, SCRIPT, *arguments], cwd=ROOT, capture_output=True, check=False
        ).returncode

    assert run() == 0
    bad = tmp_path / "bad.cl"
    bad.write_text("void f(int n) { for (;;) n = n % 7; }\n")
    assert run(str(bad)) == 1
