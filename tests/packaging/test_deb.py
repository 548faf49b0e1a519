# SPDX-License-Identifier: Apache-2.0
"""The Debian packages on a Debian of their own: installed by apt, booted by systemd, asked by curl.

The tree is made by debootstrap and thrown away. The service meets its sandbox there with cold
caches: what pocl's compiler may not do, shows.
"""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from tests.targets import make

ROOT = pathlib.Path(__file__).resolve().parents[2]
PICTURE = ROOT / "tests/data/pictures/444.jpg"
TOOLS = ("debootstrap", "systemd-nspawn", "dpkg-buildpackage", "dh")

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        not all(shutil.which(tool) for tool in TOOLS), reason="needs " + ", ".join(TOOLS)
    ),
]

# What an administrator would type, each answer into a file of its own.
PROOF = """#!/bin/sh
cd /out
systemctl is-active facenetd.service >no-model.active
journalctl -u facenetd -o cat >no-model.log
cp /usr/share/facenetd/thin-512.safetensors /var/lib/facenetd/model.safetensors
systemctl restart facenetd.service
curl -sS -F img=@/opt/face.jpg "localhost:8080/embed?align=none" >cold.json
curl -sS localhost:8080/readyz >ready.json
systemctl show facenetd -p MainPID --value >pid
cat /proc/$(cat pid)/status >status
cat /proc/$(cat pid)/net/dev >net
find /var/cache/facenetd/ -name '*.so' >built
systemd-analyze security facenetd.service --no-pager >security
systemctl reload facenetd.service && echo reloaded >reload
sleep 1
cp /etc/facenetd/facenetd.conf kept && echo '{' >/etc/facenetd/facenetd.conf
systemctl reload facenetd.service || echo refused >>reload
cp kept /etc/facenetd/facenetd.conf
curl -sS localhost:8080/metrics | grep config_reloads >>reload
while [ ! -e restarted ]; do
    curl -sS -F img=@/opt/face.jpg -o /dev/null -w '%{http_code}\\n' localhost:8080/embed
done >during-restarts 2>&1 &
for i in 1 2 3; do systemctl restart facenetd.service; done
touch restarted
wait
systemctl reset-failed facenetd.service
facenetd --make-key one >/etc/facenetd/keys 2>key && chmod 600 /etc/facenetd/keys
systemctl restart facenetd.service
for key in wrong $(tail -n 1 key); do
    curl -sS -o /dev/null -w '%{http_code}\\n' -H "X-API-Key: $key" localhost:8080/model
done >keyed
rm /etc/facenetd/keys
systemctl restart facenetd.service
systemctl reset-failed facenetd.service
kill -STOP $(systemctl show facenetd -p MainPID --value)
for i in $(seq 100); do
    sleep 0.2
    curl -sS -m 5 localhost:8080/readyz >after-watchdog.json 2>/dev/null && break
done
systemctl stop facenetd.socket facenetd.service
systemctl is-failed facenetd.service >end
journalctl -u facenetd -o cat >log
touch done
"""

UNIT = """[Unit]
After=multi-user.target facenetd.service
[Service]
Type=oneshot
ExecStart=/opt/proof.sh
ExecStopPost=/bin/systemctl poweroff --no-block
"""


def run(*command, **kwargs):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


@pytest.fixture(scope="module")
def packages():
    return [ROOT / name for name in make("deb").split()]


@pytest.fixture(scope="module")
def tree(tmp_path_factory, packages):
    """A clean Debian with the daemon's package installed."""
    tree = tmp_path_factory.mktemp("debian") / "tree"
    include = "--include=systemd,systemd-sysv,ca-certificates,curl"
    run("debootstrap", "--variant=minbase", include, "bookworm", tree, timeout=900)
    policy = tree / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    names = [path.name for path in packages if "dbgsym" not in path.name]
    for path in packages:
        shutil.copy(path, tree / "opt")
    install = ["apt-get", "-q", "install", "-y", "--no-install-recommends"]
    install += [f"/opt/{name}" for name in names]
    run("chroot", tree, "env", "DEBIAN_FRONTEND=noninteractive", *install, timeout=900)
    shutil.copy(PICTURE, tree / "opt/face.jpg")
    yield tree
    shutil.rmtree(tree)


@pytest.fixture(scope="module")
def proof(tree, tmp_path_factory):
    """Boot the tree, let it run the proof, and give the folder of answers."""
    out = tmp_path_factory.mktemp("out")
    script = tree / "opt/proof.sh"
    script.write_text(PROOF)
    script.chmod(0o755)
    units = tree / "etc/systemd/system"
    (units / "proof.service").write_text(UNIT)
    (units / "multi-user.target.wants/proof.service").symlink_to(units / "proof.service")
    dropin = units / "facenetd.service.d/watchdog.conf"
    dropin.parent.mkdir()
    dropin.write_text("[Service]\nWatchdogSec=3\n")
    boot = ["systemd-nspawn", "--directory", tree, "--register=no", "--keep-unit", "--boot"]
    boot += ["--private-network", f"--bind={out}:/out"]
    with (out / "boot.log").open("w") as log:
        subprocess.run(
            boot, check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=300
        )
    if not (out / "no-model.log").exists():
        pytest.skip("systemd-nspawn cannot boot here: " + (out / "boot.log").read_text()[-500:])
    assert (out / "done").exists(), (out / "boot.log").read_text()[-2000:]
    return out


@pytest.mark.skipif(not shutil.which("lintian"), reason="needs lintian")
def test_lintian_has_no_objection(packages):
    run("lintian", "--fail-on", "error,warning", *packages, timeout=600)


def test_the_packages_run_in_a_chroot(tree):
    """Where no systemd runs at all."""
    script = """
model=/usr/share/facenetd/thin-512.safetensors
facenetd --model $model --listen unix:/run/f.sock >/run/f.log 2>&1 &
until curl -s --unix-socket /run/f.sock http://localhost/readyz >/run/ready; do
    sleep 0.2
    kill -0 $! || { cat /run/f.log >&2; exit 1; }
done
curl -sS --unix-socket /run/f.sock -F img=@/opt/face.jpg "http://localhost/embed?align=none"
kill $!
wait $!
"""
    # pocl looks for the processors in /proc and /sys; the mounts end with the namespace.
    enter = ["unshare", "--mount", "--pid", "--fork", f"--mount-proc={tree}/proc", "sh", "-c"]
    enter += ['mount --bind /sys "$0/sys" && exec chroot "$0" sh -c "$1"', tree]
    answer = json.loads(run(*enter, script, timeout=300))
    assert len(answer["faces"]) == 1 and len(answer["faces"][0]["embedding"]) == 512
    info = "/usr/share/facenetd/thin-512.safetensors"
    assert answer["model"] in run("chroot", tree, "facenet-model", "info", info)


def test_without_a_model_the_service_says_how_to_make_one(proof):
    assert (proof / "no-model.active").read_text() == "failed\n"
    said = [
        line for line in (proof / "no-model.log").read_text().splitlines() if "facenetd: " in line
    ]
    said = [line for line in said if line.startswith("facenetd: ")]
    assert len(said) == 1, said
    assert "facenet-model quantize" in said[0] and "/var/lib/facenetd/model.safetensors" in said[0]


def test_kernels_are_built_inside_the_sandbox(proof):
    answer = json.loads((proof / "cold.json").read_text())
    assert len(answer["faces"][0]["embedding"]) == 512
    assert answer["backend"].startswith("opencl:"), answer["backend"]
    assert ".so\n" in (proof / "built").read_text()
    assert json.loads((proof / "ready.json").read_text())["ready"] is True


def test_the_sandbox_is_on(proof):
    status = dict(
        line.split(":\t", 1)
        for line in (proof / "status").read_text().splitlines()
        if ":\t" in line
    )
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    assert status["CapEff"] == status["CapBnd"] == "0000000000000000"
    assert "0" not in status["Uid"].split(), status["Uid"]
    interfaces = [line.split(":")[0].strip() for line in (proof / "net").read_text().splitlines()]
    assert interfaces[2:] == ["lo"]
    assert "exposure level for facenetd.service: 0." in (proof / "security").read_text()


def test_a_reload_counts_and_a_wrong_one_changes_nothing(proof):
    said = (proof / "reload").read_text()
    assert said.startswith("reloaded\nrefused\n")
    assert 'facenetd_config_reloads_total{result="succeeded"} 1\n' in said
    assert 'facenetd_config_reloads_total{result="failed"} 0\n' in said


def test_restarts_fail_no_request(proof):
    answers = (proof / "during-restarts").read_text().split()
    assert len(answers) >= 3 and set(answers) == {"200"}, set(answers)


def test_keys_of_root_alone_reach_the_daemon(proof):
    assert (proof / "keyed").read_text().split() == ["401", "200"]


def test_a_daemon_that_stands_still_is_replaced(proof):
    assert json.loads((proof / "after-watchdog.json").read_text())["ready"] is True
    assert "Watchdog timeout" in (proof / "log").read_text()


def test_it_stops_cleanly(proof):
    assert (proof / "end").read_text() == "inactive\n"
