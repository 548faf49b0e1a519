# SPDX-License-Identifier: Apache-2.0
"""Peers that take a newer CPU for one with AVX2 alone, for `make bench`.

ONNX Runtime has no switch for it, and CPUID cannot be made to fault on every machine. So a package
is copied with each `cpuid` in its libraries replaced by a breakpoint, whose signal
tests/bench/hold_cpu.c answers with what the CPU says, less what came after AVX2. OpenCL's pocl has
a switch of its own.
"""

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

CPUID, TRAP = b"\x0f\xa2", b"\xcc\x90"  # int3 and nop
LOAD = 1
POCL = {"POCL_KERNELLIB_NAME": "avx2", "POCL_LLVM_CPU_NAME": "haswell"}


def read_segments(elf):
    """(address, place in the file, bytes) of what is loaded from an ELF file of 64 bits."""
    (table,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for i in range(count):
        kind, _, offset, address, _, length, _, _ = struct.unpack_from(
            "<IIQQQQQQ", elf, table + i * size
        )
        if kind == LOAD:
            yield address, offset, length


def find_cpuid(path):
    """Addresses of a library's `cpuid` instructions."""
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", path], check=True, capture_output=True, text=True
    ).stdout
    return [int(a, 16) for a in re.findall(r"^ *([0-9a-f]+):\s+cpuid", text, re.MULTILINE)]


def patch(path):
    """Put a library with traps in the place of one with `cpuid`; how many it has."""
    elf = bytearray(path.read_bytes())
    addresses = find_cpuid(path)
    segments = list(read_segments(elf))
    for address in addresses:
        at = next(address - a + o for a, o, n in segments if a <= address < a + n)
        if elf[at : at + 2] != CPUID:
            raise SystemExit(f"bench: no cpuid at {address:#x} of {path}")
        elf[at : at + 2] = TRAP
    if addresses:
        path.unlink()  # it may be a link to the original
        path.write_bytes(elf)
    return len(addresses)


def copy_package(package, folder):
    """Copy a Python package into `folder`, held to AVX2, unless it is there already."""
    target = Path(folder) / package.name
    if target.exists():
        return
    scratch = Path(folder) / f"{package.name}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(package, scratch, copy_function=os.link)
    libraries = [p for p in scratch.rglob("*") if re.search(r"\.so(\.|$)", p.name)]
    if sum(map(patch, libraries)) == 0:
        raise SystemExit(f"bench: no cpuid in {package}: it cannot be held to AVX2")
    scratch.rename(target)
