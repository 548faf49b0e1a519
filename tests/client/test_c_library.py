# SPDX-License-Identifier: Apache-2.0
"""The C library as its users get it: installed, found by pkg-config, linked both ways, used by
many threads. What it does with a server's misbehaviour is in test_command.py, through the command
that is made of it."""

import ctypes
import platform
import re
import shutil
import subprocess

import numpy as np
import pytest

from tests.http.conftest import BUILD, ROOT, embed
from tests.targets import make

EXAMPLES = sorted((ROOT / "clients/c/examples").glob("*.c"))
plain = pytest.mark.skipif(
    BUILD != ROOT / "build", reason="another build's library cannot be linked into plain programs"
)


def run(*command, status=0, **kwargs):
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        **kwargs,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    """`make install-client` into a folder of its own."""
    folder = tmp_path_factory.mktemp("prefix")
    make("install-client", f"PREFIX={folder}")
    return folder


@pytest.fixture(scope="session")
def flags(prefix):
    """What pkg-config says, for a shared or a static program."""

    def ask(*options):
        path = {"PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig"), "PATH": "/usr/bin:/bin"}
        return run("pkg-config", *options, "facenet-client", env=path).split()

    return ask


def build(source, flags, folder):
    program = folder / source.stem
    run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", source, *flags, "-pthread", "-o", program)
    return program


@plain
@pytest.mark.parametrize("source", EXAMPLES, ids=lambda path: path.name)
def test_examples_build_with_what_pkg_config_says(source, flags, tmp_path):
    build(source, flags("--cflags", "--libs"), tmp_path)


@plain
@pytest.mark.parametrize("link", ["shared", "static"])
def test_the_smallest_example_compares_two_pictures(
    link, prefix, flags, daemon, faces, tmp_path, client_answers
):
    words = flags("--cflags", "--libs", *(["--static"] if link == "static" else []))
    if link == "static":
        archive = prefix / "lib/libfacenet-client.a"
        words = [str(archive) if word == "-lfacenet-client" else word for word in words]
    program = build(ROOT / "clients/c/examples/same.c", words, tmp_path)
    needed = run("readelf", "-d", program)
    assert ("libfacenet-client.so.0" in needed) == (link == "shared")
    said = run(program, faces / "a.jpg", faces / "b.jpg", daemon.url,
               env={"LD_LIBRARY_PATH": str(prefix / "lib")})  # fmt: skip
    a, b = client_answers
    assert abs(float(re.search(r"cosine (-?[\d.]+)", said)[1]) - a @ b) < 1e-5
    assert "no threshold for a verdict" in said  # the daemon's model is untrained


@pytest.fixture(scope="session")
def client_answers(daemon, faces):
    """The embeddings of the two pictures by plain HTTP."""
    import httpx

    with httpx.Client(base_url=daemon.url, timeout=30) as client:
        return [np.array(embed(client, (faces / name).read_bytes())) for name in ("a.jpg", "b.jpg")]


@plain
def test_the_header_is_good_cplusplus_and_stands_alone(prefix, tmp_path):
    clang = shutil.which("clang")
    if not clang:
        pytest.skip("no clang")
    source = tmp_path / "use.cc"
    use = "const char *f() { return facenet_client_version(); }\n"
    source.write_text("#include <facenet_client.h>\n" + use)
    run(clang, "-x", "c++", "-fsyntax-only", "-Wall", "-Werror", f"-I{prefix}/include", source)


@plain
def test_the_shared_library_shows_what_the_header_declares(prefix):
    header = (prefix / "include/facenet_client.h").read_text()
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    declared = set(re.findall(r"\b(facenet_\w+)\(", code))
    listed = run("nm", "-D", "--defined-only", prefix / "lib/libfacenet-client.so.0")
    shown = set(re.findall(r" T (\w+)@@FACENET_CLIENT_0\.1$", listed, flags=re.MULTILINE))
    assert shown == declared
    assert " T fnc_" not in listed


@plain
def test_the_interface_is_the_one_that_programs_were_built_with():
    if platform.machine() != "x86_64" or not shutil.which("abidiff"):
        pytest.skip("the accepted interface is that of x86-64, and abidiff compares it")
    make("abi-check")


@plain
def test_other_languages_can_load_it(daemon, faces, client_answers):
    """Every type is opaque, so ctypes needs no struct."""
    library = ctypes.CDLL(BUILD / "libfacenet-client.so.0")
    library.facenet_client_version.restype = ctypes.c_char_p
    library.facenet_faces_embedding.restype = ctypes.POINTER(ctypes.c_float)
    client, picture, answer = (ctypes.c_void_p() for _ in range(3))
    length = ctypes.c_size_t()
    assert re.search(rb"^\d+\.\d+\.\d+$", library.facenet_client_version())
    assert library.facenet_client_new(daemon.url.encode(), ctypes.byref(client), None) == 0
    path = str(faces / "a.jpg").encode()
    assert library.facenet_picture_from_file(path, ctypes.byref(picture), None) == 0
    assert library.facenet_client_embed(client, picture, None, ctypes.byref(answer), None) == 0
    values = library.facenet_faces_embedding(answer, ctypes.c_size_t(0), ctypes.byref(length))
    got = np.ctypeslib.as_array(values, (length.value,)).copy()
    assert np.array_equal(got, client_answers[0].astype(np.float32))
    library.facenet_faces_free(answer)
    library.facenet_picture_free(picture)
    library.facenet_client_free(client)


@plain
def test_embeddings_that_were_kept_are_compared_and_others_refused(daemon, client_answers):
    library = ctypes.CDLL(BUILD / "libfacenet-client.so.0")
    for name in ("facenet_distance_cosine", "facenet_distance_l2", "facenet_distance_far"):
        getattr(library, name).restype = ctypes.c_double
    for name in ("facenet_error_code", "facenet_error_text", "facenet_model_id"):
        getattr(library, name).restype = ctypes.c_char_p
    library.facenet_model_crop.restype = ctypes.c_char_p
    library.facenet_error_new.restype = ctypes.c_void_p
    err = ctypes.c_void_p(library.facenet_error_new())
    client, model, distance = (ctypes.c_void_p() for _ in range(3))
    assert library.facenet_client_new(daemon.url.encode(), ctypes.byref(client), err) == 0
    assert library.facenet_client_model(client, ctypes.byref(model), err) == 0
    a, b = (np.ascontiguousarray(answer, np.float32) for answer in client_answers)
    size, numbers = ctypes.c_size_t(a.size), [x.ctypes.data_as(ctypes.c_void_p) for x in (a, b)]

    def ask(model_id, crop):
        return library.facenet_client_distance_of(
            client, *numbers, size, model_id, crop, None, ctypes.byref(distance), err
        )

    crop = library.facenet_model_crop(model)
    assert ask(library.facenet_model_id(model), crop) == 0
    assert library.facenet_distance_l2(distance) == pytest.approx(np.linalg.norm(a - b), abs=1e-6)
    assert library.facenet_distance_cosine(distance) == pytest.approx(float(a @ b), abs=1e-6)
    assert library.facenet_distance_same(distance) == -1
    library.facenet_distance_free(distance)
    before = distance.value
    assert ask(b"0123456789abcdef", crop) == 1
    assert distance.value == before, "untouched on failure"
    assert library.facenet_error_http_status(err) == 409
    assert library.facenet_error_code(err) == b"model_mismatch"
    assert ask(b"\xff", crop) == 5
    assert b"UTF-8" in library.facenet_error_text(err)
    library.facenet_model_free(model)
    library.facenet_client_free(client)
    library.facenet_error_free(err)


@plain
def test_lists_of_embeddings_are_compared(daemon, client_answers):
    library = ctypes.CDLL(BUILD / "libfacenet-client.so.0")
    library.facenet_error_text.restype = library.facenet_error_code.restype = ctypes.c_char_p
    library.facenet_error_new.restype = ctypes.c_void_p
    err, client = ctypes.c_void_p(library.facenet_error_new()), ctypes.c_void_p()
    assert library.facenet_client_new(daemon.url.encode(), ctypes.byref(client), err) == 0
    faces = np.ascontiguousarray(client_answers, np.float32)
    size = ctypes.c_size_t

    def ask(a, b, model=None, crop=None):
        got = np.full((len(a), len(b)), np.nan)
        sides = [
            value
            for side in (a, b)
            for value in (side.ctypes.data_as(ctypes.c_void_p), size(len(side)))
        ]
        status = library.facenet_client_distances(
            client, *sides, size(a.shape[1]), model, crop,
            got.ctypes.data_as(ctypes.c_void_p), err,
        )  # fmt: skip
        return status, got

    status, squared = ask(faces, faces[::-1].copy())
    assert status == 0
    expected = ((faces[:, None].astype(float) - faces[None, ::-1]) ** 2).sum(2)
    assert squared == pytest.approx(expected, abs=1e-6)
    assert squared[0, 1] == squared[1, 0] == 0
    status, row = ask(faces[:1].copy(), faces)
    assert status == 0 and np.array_equal(row, squared[:1, ::-1])
    assert ask(faces, faces, b"0123456789abcdef", b"whole-160")[0] == 1
    assert library.facenet_error_code(err) == b"model_mismatch"
    assert ask(faces[:, :127].copy(), faces[:, :127].copy())[0] == 1
    assert library.facenet_error_code(err) == b"embedding_length"
    assert ask(faces, faces, b"model only")[0] == 5
    assert ask(np.zeros((501, 1), np.float32), np.zeros((500, 1), np.float32))[0] == 5
    assert b"250000" in library.facenet_error_text(err)
    library.facenet_client_free(client)
    library.facenet_error_free(err)


def test_many_threads_share_one_client(start, faces):
    daemon = start(config={"deadline_ms": 120000})
    said = run(BUILD / "client-threads", faces / "a.jpg", daemon.url, 8, 5)
    assert said == "8 threads, 40 answers, 0 wrong\n"


def test_many_threads_share_one_client_on_a_socket(start, faces, tmp_path):
    path = tmp_path / "facenetd.sock"
    start(listen=f"unix:{path}", config={"deadline_ms": 120000})
    said = run(BUILD / "client-threads", faces / "a.jpg", f"unix:{path}", 4, 5)
    assert said == "4 threads, 20 answers, 0 wrong\n"


@plain
def test_manual_pages_are_well_formed():
    if not shutil.which("mandoc"):
        pytest.skip("no mandoc")
    make("man")
    pages = [*ROOT.glob("docs/man/*"), *ROOT.glob("clients/*/man/*"), *BUILD.glob("man/*")]
    names = {page.name for page in pages}
    assert {"facenet.1", "facenet_client.3", "facenetd.8"} < names
    assert {"facenet-model.1", "facenetd.conf.5"} < names
    for page in pages:
        done = subprocess.run(
            ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, check=False
        )
        said = [line for line in done.stdout.decode().splitlines() if "missing date" not in line]
        assert not said, said


@plain
def test_generated_pages_know_every_key_and_command():
    """What was said once, in docs/configuration.md and by the program, has arrived."""
    make("man")
    conf = run("mandoc", "-T", "ascii", BUILD / "man/facenetd.conf.5")
    conf = re.sub(r".\x08", "", conf)
    table = (ROOT / "docs/configuration.md").read_text().split("| flag |")[0]
    keys = re.findall(r"^\| `(\w+)`", table, flags=re.MULTILINE)
    assert len(keys) > 25 and [key for key in keys if key not in re.split(r"[\s,]+", conf)] == []
    page = re.sub(r".\x08", "", run("mandoc", "-T", "ascii", BUILD / "man/facenet-model.1"))
    commands = re.findall(r"^  ([a-z-]+) ", run(BUILD / "facenet-model", "help"), re.MULTILINE)
    assert len(commands) > 5
    for command in commands:
        options = re.findall(r"^  (-[\w-]+)", run(BUILD / "facenet-model", command, "--help"),
                             re.MULTILINE)  # fmt: skip
        assert re.search(rf"^ +{command} ", page, re.MULTILINE), command
        assert [option for option in options if option not in page] == []
