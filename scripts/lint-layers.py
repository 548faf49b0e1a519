#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that no compiler knows: who may include whom, and a few habits.

Usage: lint-layers.py [FILE...]     every tracked file by default; run in the repository root

Prints one `file:line: what, and what to do instead` a finding; exit 1 when there is any. The tables
below are ARCHITECTURE.md's layers in executable form: to move a wall, change the table and say why.
"""

import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

# Room of a file -> rooms whose headers it may include.
MAY_INCLUDE = {
    "engine/": ("engine/", "kernels/"),
    "kernels/": ("kernels/",),
    "model/": ("model/", "engine/"),
    "daemon/": ("daemon/", "engine/"),
    "clients/c/examples/": (),
    "clients/c/": ("clients/c/",),
    "clients/cli/": ("clients/cli/",),
    "tests/": ("tests/", "engine/", "kernels/", "model/", "daemon/", "clients/c/"),
}

# Foreign library -> its headers, and the only files that may include them. tests/ are exempt: they
# make inputs with the very libraries whose adapters they check.
ADAPTERS = {
    "libmicrohttpd": (r"microhttpd\.h", "daemon/http/mhd_*.c"),
    "GnuTLS": (r"gnutls/.*", "daemon/http/tls.c"),
    "OpenCL": (r"CL/.*", "engine/opencl/cl_private.h"),
    "Vitis HLS": (r"(hls_.*|ap_.*)\.h", "kernels/fpga_target.h"),
    "libjpeg": (r"(jpeglib|jerror|jmorecfg|jconfig|turbojpeg)\.h", "engine/picture/jpeg.c"),
    "libspng": (r"spng\.h", "engine/picture/png.c"),
    "libwebp": (r"webp/.*", "engine/picture/webp.c"),
    "nettle": (r"nettle/.*", "engine/sha256.c"),
    "OpenBLAS": (r"(.*/)?(cblas|lapacke|f77blas|openblas_config)\.h", "model/quantize/blas.c"),
    "HDF5": (r"(hdf5|hdf5_hl|H5.*)\.h", "model/sources/hdf5.c"),
    "zlib": (r"zlib\.h", "model/sources/zip.c"),
    "libcurl": (r"curl/.*", "clients/c/transport.c"),
    "protobuf-c": (r"(protobuf-c/.*|(.*/)?[\w.-]+\.pb-c\.h)", "model/onnx/onnx_file.c"),
}

# The client library's own users include it as everybody else does.
CLIENT_HEADER = "facenet_client.h"
CLIENT_USERS = ("clients/c/examples/", "clients/cli/")

# jansson is a data type that several files may speak; cmocka belongs to tests/.
ANYWHERE = re.compile(
    r"(assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal"
    r"|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|tgmath"
    r"|threads|time|uchar|wchar|wctype"
    r"|dirent|dlfcn|endian|err|fcntl|fnmatch|fts|ftw|getopt|glob|grp|libgen|link|malloc|netdb|poll|pthread|pwd"
    r"|regex|sched|semaphore|spawn|strings|sysexits|syslog|termios|unistd|cpuid|immintrin"
    r"|(sys|netinet|arpa|linux|asm|net)/.+"
    r"|jansson)\.h"
)

BANNED_CALLS = {
    "sprintf": "snprintf",
    "vsprintf": "vsnprintf",
    "strcpy": "snprintf or memcpy with a checked length",
    "stpcpy": "snprintf or memcpy with a checked length",
    "strcat": "snprintf",
    "strncpy": "snprintf",
    "strncat": "snprintf",
    "strtok": "strchr or strspn",
    "gets": "fgets",
    "atoi": "strtol with its end and errno checked",
    "atol": "strtol with its end and errno checked",
    "atoll": "strtoll with its end and errno checked",
    "atof": "strtod with its end checked",
    "scanf": "a parser that checks ranges",
    "sscanf": "strtol and its kin",
    "fscanf": "a parser that checks ranges",
    "alloca": "malloc, or a fixed array",
    "tmpnam": "mkstemp",
    "mktemp": "mkstemp",
}
# engine/ never logs and never exits.
QUIET_ROOMS = ("engine/",)
BANNED_IN_QUIET = re.compile(
    r"printf|puts|putchar|perror|psignal|v?syslog|exit|_exit|_Exit|quick_exit|abort"
)
STREAMS = re.compile(r"\b(stdout|stderr)\b")

# A test keeps its cases together, as the one header of a library does its calls: they may be longer
# by half.
MAX_LINES = {".c": 500, ".cl": 500, ".h": 200, ".py": 500, ".sh": 250, ".js": 250}
SPDX_SUFFIXES = (".c", ".h", ".cl", ".py", ".sh", ".js", ".css", ".html", ".svg")
SPDX = "SPDX-License-Identifier: Apache-2.0"
C_SUFFIXES = (".c", ".h", ".cl")

# One letter in brackets, so that this file passes its own rules.
PROMISES = re.compile(r"\b([T]ODO|[F]IXME|[X]XX|[H]ACK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.])/([w]ork|[t]mp|[h]ome/\w+|[r]oot)/")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:<([^>\n]+)>|"([^"\n]+)")', re.MULTILINE)
COMMENT_OR_STRING = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL
)


def room_of(path):
    """The room a path or a quoted include lies in, with its trailing slash; None outside them."""
    return next((room for room in MAY_INCLUDE if path.startswith(room)), None)


def code_only(text):
    """Blank out comments and literals; offsets and line numbers stay what they were."""
    return COMMENT_OR_STRING.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def check_project_include(path, name):
    """A quoted include: ours, from the root, and allowed by the table."""
    if path.startswith("kernels/") and "/" not in name:
        name = f"kernels/{name}"  # programs carry kernels by file name alone, without folders
    room, target = room_of(path), room_of(name)
    owner = re.sub(r"_private\.h$", "", name)
    if owner != name and not path.startswith(owner):
        return f'"{name}" belongs to {owner}*.c alone'
    if target is None:
        return f'"{name}" is not named from the root: write "room/file.h", or <...> if foreign'
    if target not in MAY_INCLUDE[room]:
        allowed = ", ".join(MAY_INCLUDE[room])
        return f'{room} may not include "{name}": it may use {allowed} only'
    if room == "engine/" and target == "kernels/" and not name.endswith(".h"):
        return f'"{name}" is kernel code; only the parameter header is shared with the host'
    return None


def check_foreign_include(path, name):
    """A header that is not ours: its library's one adapter, or the standard library."""
    room = room_of(path)
    for library, (pattern, adapter) in ADAPTERS.items():
        if re.fullmatch(pattern, name):
            if not fnmatchcase(path, adapter) and room != "tests/":
                return f"<{name}>: {library} is touched by {adapter} only; call that instead"
            return None
    if name == CLIENT_HEADER and room in CLIENT_USERS:
        return None
    if name == "cmocka.h" and room == "tests/":
        return None
    if path.startswith("tests/hls/") and re.fullmatch(r"[a-z]+", name):
        return None  # C++'s own, for the stub of a C++ library
    if not ANYWHERE.fullmatch(name):
        return f"<{name}> is unknown: give the library one adapter file and name it in ADAPTERS"
    return None


def check_includes(path, text):
    if room_of(path) is None:
        yield 1, "C outside the rooms: " + ", ".join(MAY_INCLUDE)
        return
    own = path[:-2] + ".h" if path.endswith(".c") else None
    first = True
    for found in INCLUDE.finditer(text):
        line = line_of(text, found.start(1) if found.group(1) else found.start(2))
        name = found.group(1) or found.group(2)
        foreign = found.group(1) or any(re.fullmatch(p, name) for p, _ in ADAPTERS.values())
        check = check_foreign_include if foreign else check_project_include
        problem = check(path, name)
        if problem:
            yield line, problem
        if first and own and name != own and f'#include "{own}"' in text:
            yield line, f'"{own}" comes first, so that it is seen to stand on its own'
        first = False


def check_calls(path, text):
    code = code_only(text)
    quiet = path.startswith(QUIET_ROOMS)
    for call in re.finditer(r"(?<![\w.>])([A-Za-z_]\w*)\s*\(", code):
        name = call.group(1)
        if name in BANNED_CALLS:
            yield line_of(code, call.start()), f"{name}() is banned: use {BANNED_CALLS[name]}"
        elif quiet and BANNED_IN_QUIET.fullmatch(name):
            yield line_of(code, call.start()), f"{name}() in a library: give a status instead"
    if quiet:
        for stream in STREAMS.finditer(code):
            yield line_of(code, stream.start()), f"{stream.group()} in a library: give a status"


def check_text(path, text):
    suffix = Path(path).suffix
    lines = text.count("\n")
    limit = MAX_LINES.get(suffix, lines)
    if Path(path).parts[0] == "tests" or Path(path).name == CLIENT_HEADER:
        limit = limit * 3 // 2
    if lines > limit:
        yield lines, f"{lines} lines; at most {limit}: is it one room, or two?"
    if suffix in SPDX_SUFFIXES and SPDX not in "\n".join(text.split("\n")[:3]):
        yield 1, f'the head comment lacks "{SPDX}"'
    if suffix in C_SUFFIXES:
        for found in re.finditer(r"[^\x00-\x7f]+", text):
            yield line_of(text, found.start()), f"not ASCII: {found.group()!a}"
    for found in PROMISES.finditer(text):
        yield line_of(text, found.start()), f"{found.group()}: do it now, or file an issue"
    for found in MACHINE_PATHS.finditer(text):
        yield line_of(text, found.start()), f"{found.group()}: a path of one machine"


def check_file(path, text):
    """All findings in one file as (line, text), sorted."""
    findings = list(check_text(path, text))
    if Path(path).suffix in C_SUFFIXES:
        findings += check_includes(path, text)
        findings += check_calls(path, text)
    return sorted(findings)


def tracked_files():
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True).stdout
    return [name for name in listed.decode().split("\0") if name]


def main(arguments):
    count = 0
    for path in arguments or tracked_files():
        try:
            text = Path(path).read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue  # pictures, models, fuzz seeds
        except (FileNotFoundError, IsADirectoryError):
            continue  # deleted but not yet staged, or a submodule
        for line, problem in check_file(path, text):
            print(f"{path}:{line}: {problem}")
            count += 1
    if count:
        print(f"lint-layers: {count} findings", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
