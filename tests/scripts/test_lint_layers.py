# SPDX-License-Identifier: Apache-2.0
"""Every rule of scripts/lint-layers.py fires on a small bad file, and only there."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "lint-layers.py"
SPEC = importlib.util.spec_from_file_location("lint_layers", SCRIPT)
lint = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(lint)

HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def findings(path, body, head=HEAD):
    return [text for _, text in lint.check_file(path, head + body)]


def one(path, body, head=HEAD):
    found = findings(path, body, head)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("path", "included"),
    [
        ("engine/a.c", "engine/b.h"),
        ("engine/a.c", "kernels/params.h"),
        ("kernels/a.cl", "kernels/params.h"),
        ("kernels/a.cl", "params.h"),
        ("model/a.c", "model/b.h"),
        ("model/a.c", "engine/b.h"),
        ("daemon/a.c", "daemon/b.h"),
        ("daemon/a.c", "engine/b.h"),
        ("clients/c/a.c", "clients/c/b.h"),
        ("tests/unit/test_a.c", "daemon/b.h"),
        ("tests/unit/test_a.c", "model/b.h"),
    ],
)
def test_a_room_may_use_what_the_table_says(path, included):
    assert findings(path, f'#include "{included}"\n') == []


@pytest.mark.parametrize(
    ("path", "included"),
    [
        ("engine/a.c", "model/b.h"),
        ("engine/a.h", "daemon/b.h"),
        ("engine/a.c", "tests/b.h"),
        ("kernels/a.cl", "engine/b.h"),
        ("model/a.c", "daemon/b.h"),
        ("model/a.c", "kernels/params.h"),
        ("daemon/a.c", "model/b.h"),
        ("daemon/a.c", "clients/c/b.h"),
        ("clients/c/a.c", "engine/b.h"),
        ("clients/c/a.c", "daemon/b.h"),
        ("daemon/a.c", "tests/b.h"),
    ],
)
def test_a_room_may_use_nothing_else(path, included):
    assert "may not include" in one(path, f'#include "{included}"\n')


def test_the_host_takes_headers_not_kernel_code():
    assert "kernel code" in one("engine/a.c", '#include "kernels/generic.cl"\n')


def test_our_headers_are_named_from_the_root():
    assert "not named from the root" in one("engine/a.c", '#include "b.h"\n')
    assert "not named from the root" in one("engine/a.c", '#include "../model/b.h"\n')


def test_an_indented_include_is_seen_too():
    assert "may not include" in one("engine/a.c", '  #  include  "daemon/b.h"\n')


def test_c_outside_the_rooms_is_a_finding():
    assert "outside the rooms" in one("src/a.c", "int x;\n")


@pytest.mark.parametrize("library", sorted(lint.ADAPTERS))
def test_a_foreign_header_belongs_to_its_adapter(library):
    header = {
        "libmicrohttpd": "microhttpd.h",
        "GnuTLS": "gnutls/gnutls.h",
        "OpenCL": "CL/cl.h",
        "Vitis HLS": "hls_stream.h",
        "libjpeg": "jpeglib.h",
        "libspng": "spng.h",
        "libwebp": "webp/decode.h",
        "nettle": "nettle/sha2.h",
        "OpenBLAS": "cblas.h",
        "HDF5": "hdf5.h",
        "libcurl": "curl/curl.h",
        "zlib": "zlib.h",
        "protobuf-c": "protobuf-c/protobuf-c.h",
    }[library]
    adapter = lint.ADAPTERS[library][1]
    line = f"#include <{header}>\n"
    assert findings(adapter, line) == []
    assert findings("tests/unit/test_a.c", line) == []
    for room in ("engine", "model", "daemon", "clients/c"):
        assert adapter in one(f"{room}/somewhere_else.c", line)
    sibling = adapter[:-2] + (".c" if adapter.endswith(".h") else ".h")
    assert adapter in one(sibling, line)


def test_a_private_header_is_its_modules_own():
    line = '#include "engine/opencl/cl_private.h"\n'
    assert findings("engine/opencl/cl_tasks.c", line) == []
    assert "belongs to engine/opencl/cl*.c alone" in one("engine/opencl/fpga.c", line)


def test_a_generated_protobuf_header_counts_as_protobuf():
    assert "protobuf-c is touched by" in one("model/a.c", '#include "onnx.pb-c.h"\n')


def test_jansson_and_the_standard_library_are_free_to_all():
    body = "#include <jansson.h>\n#include <stdio.h>\n#include <sys/mman.h>\n"
    assert findings("engine/a.c", body) == []


def test_an_unknown_library_must_be_named_first():
    assert "is unknown" in one("engine/a.c", "#include <lzma.h>\n")


def test_the_stub_of_a_cpp_library_may_use_cpp():
    assert findings("tests/hls/stub/hls_stream.h", "#include <deque>\n") == []
    assert "is unknown" in one("tests/unit/a.h", "#include <deque>\n")


def test_cmocka_stays_in_the_tests():
    assert findings("tests/unit/test_a.c", "#include <cmocka.h>\n") == []
    assert "is unknown" in one("engine/a.c", "#include <cmocka.h>\n")


def test_a_source_includes_its_own_header_first():
    body = '#include <stdio.h>\n#include "engine/a.h"\n'
    assert "comes first" in one("engine/a.c", body)
    assert findings("engine/a.c", '#include "engine/a.h"\n#include <stdio.h>\n') == []


@pytest.mark.parametrize("name", sorted(lint.BANNED_CALLS))
def test_a_banned_function_is_found_wherever_it_is_called(name):
    assert f"{name}() is banned" in one("daemon/a.c", f"void f(void) {{ (void){name} (x); }}\n")


def test_a_banned_name_in_a_comment_a_string_or_a_longer_word_is_nothing():
    body = '/* atoi(x) */ // atoi(x)\nconst char *s = "atoi(x)";\nint my_atoi(int x);\n'
    assert findings("daemon/a.c", body) == []


def test_the_line_of_a_finding_counts_through_comments():
    text = HEAD + "/* two\n * lines */\nint f(void) { return atoi(s); }\n"
    assert [line for line, _ in lint.check_file("daemon/a.c", text)] == [4]


@pytest.mark.parametrize("call", ["printf(x)", "exit(1)", "abort()", "perror(x)", "syslog(1, x)"])
def test_the_engine_neither_logs_nor_exits(call):
    body = f"void f(void) {{ {call}; }}\n"
    assert "in a library" in one("engine/a.c", body)
    assert findings("daemon/a.c", body) == []


def test_the_engine_does_not_write_to_standard_streams():
    assert "stderr in a library" in one("engine/a.c", "void f(void) { fputs(x, stderr); }\n")


@pytest.mark.parametrize(("suffix", "most"), sorted(lint.MAX_LINES.items()))
def test_a_file_one_line_over_its_cap_is_two_rooms(suffix, most):
    path = f"engine/a{suffix}"
    head = f"# {lint.SPDX}\n" if suffix in (".py", ".sh") else HEAD
    assert findings(path, "\n" * (most - 1), head) == []
    assert f"at most {most}" in one(path, "\n" * most, head)


@pytest.mark.parametrize("path", ["engine/a.c", "engine/a.h", "kernels/a.cl", "tests/a.py", "a.sh"])
def test_the_licence_line_is_at_the_top(path):
    assert "the head comment lacks" in one(path, "\n\n\n\n", head="")
    late = f"\n\n\n/* {lint.SPDX} */\n"
    assert "the head comment lacks" in one(path, late, head="")


def test_c_is_plain_ascii_even_in_strings():
    assert "not ASCII" in one("engine/a.c", 'const char *s = "caf\u00e9";\n')
    assert findings("README.md", "caf\u00e9\n") == []


@pytest.mark.parametrize("backwards", ["ODOT", "EMXIF", "KCAH"])  # else this file has findings
@pytest.mark.parametrize("path", ["engine/a.c", "README.md", "Makefile"])
def test_promises_are_kept_or_filed(backwards, path):
    assert "do it now" in one(path, f"/* {backwards[::-1]}: later */\n")


@pytest.mark.parametrize("folder", ["work", "tmp", "home/ann", "root"])
def test_paths_of_one_machine_stay_out(folder):
    assert "a path of one machine" in one("README.md", f"see /{folder}/x\n")
    assert findings("README.md", f"see build/{folder}/x\n") == []


def test_the_whole_tree_is_read_from_git_and_counted(tmp_path):
    def run(*command):
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    (tmp_path / "engine").mkdir()
    run("git", "init", "-q")
    (tmp_path / "engine" / "good.c").write_text(HEAD + "#include <stdio.h>\n")
    (tmp_path / "picture.bin").write_bytes(b"\xff\xfe\x00")
    run("git", "add", ".")
    clean = run(sys.executable, SCRIPT)
    assert (clean.returncode, clean.stdout) == (0, "")

    (tmp_path / "engine" / "bad.c").write_text(HEAD + '#include "daemon/http/http.h"\n')
    assert run(sys.executable, SCRIPT).returncode == 0  # untracked: not ours yet
    run("git", "add", ".")
    bad = run(sys.executable, SCRIPT)
    assert bad.returncode == 1
    assert bad.stdout.startswith("engine/bad.c:2: ")
    assert "1 findings" in bad.stderr
