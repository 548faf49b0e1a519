#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an FPGA compiler would make slow or wrong of a kernel, and no other compiler says.

Usage: lint-kernels.py [FILE...]     the files of the family fpga by default

Prints one `file:line: what, and what to do instead` a finding; exit 1 when there is any. The files
are one program: a FIFO is looked for in all of them.
"""

import re
import subprocess
import sys
from pathlib import Path

COMMENT_OR_STRING = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL
)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
LOOP = re.compile(r"\b(for|while|do)\b")
UNROLL = re.compile(
    r"(?:\bFN_UNROLL\b|^[ \t]*#[ \t]*pragma[ \t]+(?:HLS[ \t]+)?unroll\b[^\n]*"
    r"|opencl_unroll_hint\b[^)]*\)*)\s*",
    re.MULTILINE,
)
WORK_ITEM = re.compile(r"\bget_(global|local|group)_(id|size|offset)\b|\bget_num_groups\b")
SINGLE = re.compile(r"\bFN_KERNEL\b|\bmax_global_work_dim\b")
POINTER = re.compile(r"\b(?:FN_GLOBAL|__global|global)\b[^;{}(),]*?\*([^;{}(),]*)")
FIFO = re.compile(
    r"\b(?:FN_(GET|PUT)|(read|write)_(?:channel_intel|pipe_block))\s*\(\s*&?(\w+)\s*[,)]"
)
CONSTANT = re.compile(r"^[\s\dA-Z_a-fxUL()+\-*<>?:|&]*$")
IDENTIFIER = re.compile(r"\b[A-Za-z_]\w*\b")


def blank(text, pattern):
    """Blank out what matches; offsets and line numbers stay what they were."""
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def close_of(text, start, opening, closing):
    """Offset after the bracket that closes the first `opening` at or after `start`."""
    depth = 0
    for at in range(text.index(opening, start), len(text)):
        depth += (text[at] == opening) - (text[at] == closing)
        if depth == 0:
            return at + 1
    return len(text)


def loop_end(text, start):
    """Offset after the loop that begins at `start`: header and body."""
    if text.startswith("do", start):
        return close_of(text, start, "{", "}")
    after = close_of(text, start, "(", ")")
    body = re.compile(r"\s*").match(text, after).end()
    while (inner := LOOP.match(text, body)) is not None:
        return loop_end(text, inner.start())
    if text.startswith("{", body):
        return close_of(text, body, "{", "}")
    semicolon = text.find(";", body)
    brace = text.find("{", body)
    if 0 <= brace < semicolon:
        return close_of(text, body, "{", "}")
    return semicolon + 1


def check_divisions(text):
    seen = set()
    for loop in LOOP.finditer(text):
        for found in re.finditer(r"[/%]", text[loop.start() : loop_end(text, loop.start())]):
            at = loop.start() + found.start()
            if at not in seen:
                seen.add(at)
                yield (
                    at,
                    f"{found.group()} in a loop: a divider; carry a counter, or shift and mask",
                )


def check_work_items(text):
    if SINGLE.search(text):
        for found in WORK_ITEM.finditer(text):
            yield found.start(), f"{found.group()}() under a single work-item: it is always 0 or 1"


def check_restrict(text):
    for found in POINTER.finditer(text):
        if not re.search(r"\b(restrict|__restrict__)\b", found.group(1)):
            yield (
                found.start(),
                "a pointer to global memory without restrict: each access waits for the last",
            )


def is_constant(expression):
    names = IDENTIFIER.findall(expression)
    return all(name == name.upper() for name in names) and bool(CONSTANT.match(expression))


def check_unrolls(original, text):
    for found in UNROLL.finditer(original):
        if text[
            found.start() : found.end()
        ].strip() == "" and not found.group().lstrip().startswith("#"):
            continue  # in a comment, or a macro's definition
        loop = re.compile(r"\s*for\s*\(").match(text, found.end())
        if not loop:
            yield found.start(), "unroll without a for loop behind it"
            continue
        header = text[loop.end() : close_of(text, loop.start(), "(", ")") - 1].split(";")
        bound = re.search(r"[<>!]=?(.*)", header[1], re.DOTALL) if len(header) == 3 else None
        start = header[0].split("=", 1)[-1]
        if not bound or not is_constant(bound.group(1)) or not is_constant(start):
            yield (
                found.start(),
                "unroll of a loop whose bounds are no constants: it must be of a known size",
            )


def find_fifo_uses(text):
    for found in FIFO.finditer(text):
        reads = found.group(1) == "GET" or found.group(2) == "read"
        yield found.start(), found.group(3), "read" if reads else "written"


def check_files(texts):
    """texts: {path: text}. All findings as (path, line, text)."""
    findings, uses = [], {}
    for path, text in texts.items():
        uncommented = blank(text, COMMENT_OR_STRING)
        code = blank(uncommented, DIRECTIVE)
        found = [
            *check_divisions(code),
            *check_work_items(code),
            *check_restrict(code),
            *check_unrolls(uncommented, code),
        ]
        for at, name, how in find_fifo_uses(code):
            first = uses.setdefault((name, how), f"{path}:{line_of(text, at)}")
            if first != f"{path}:{line_of(text, at)}":
                found.append((at, f"FIFO {name} is {how} here and in {first}: one place each"))
        findings += [(path, line_of(text, at), what) for at, what in found]
    return sorted(findings)


def default_files():
    listed = subprocess.run(
        ["git", "ls-files", "kernels/fpga*"], check=True, capture_output=True, text=True
    )
    return listed.stdout.split()


def main(arguments):
    texts = {path: Path(path).read_text(encoding="utf-8") for path in arguments or default_files()}
    findings = check_files(texts)
    for path, line, what in findings:
        print(f"{path}:{line}: {what}")
    if findings:
        print(f"lint-kernels: {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
