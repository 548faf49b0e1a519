# SPDX-License-Identifier: Apache-2.0
"""GET /metrics: the format, the names, and the laws that its figures keep."""

import re
import time

import httpx

from tests.http.conftest import PATIENCE, ROOT, embed, exchange

SAMPLE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)$')


def scrape(client):
    """Every sample as {name: {labels: value}}; the format is checked on the way."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples, types = {}, {}
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in types, f"{name} has two types"
            types[name] = kind
        elif not line.startswith("# HELP "):
            match = SAMPLE.match(line)
            assert match, line
            name, labels, value = match.groups()
            family = re.sub("_(bucket|sum|count)$", "", name)
            assert name in types or types.get(family) == "histogram", line
            values = samples.setdefault(name, {})
            assert (labels or "") not in values, f"{line} is there twice"
            values[labels or ""] = float(value)
    return samples


def total(samples, name):
    return sum(samples.get(name, {}).values())


def outcome(samples, name):
    return samples["facenetd_requests_outcomes_total"][f'outcome="{name}"']


def settled(client, embeds=0):
    """A scrape at a moment when nothing but the scrape itself is in flight, and so many requests to
    /embed have ended."""
    deadline = time.monotonic() + PATIENCE
    while True:
        samples = scrape(client)
        in_flight = samples["facenetd_requests_in_flight"][""]
        in_work = samples["facenetd_requests_in_work"][""]
        ended = samples.get("facenetd_requests_total", {}).items()
        seen = sum(n for labels, n in ended if labels.startswith('route="/embed"'))
        if (in_flight, in_work, seen >= embeds) == (1, 0, True) or time.monotonic() > deadline:
            return samples
        time.sleep(0.02)


def assert_conserved(samples):
    received = samples["facenetd_requests_received_total"][""]
    in_flight = samples["facenetd_requests_in_flight"][""]
    assert received == total(samples, "facenetd_requests_outcomes_total") + in_flight
    assert received == total(samples, "facenetd_requests_total") + in_flight
    assert outcome(samples, "refused") == total(samples, "facenetd_requests_rejected_total")
    assert received - in_flight == samples["facenetd_request_duration_seconds_count"][""]
    pictures = {
        what: samples[f"facenetd_pictures_{what}_total"][""]
        for what in ("submitted", "computed", "expired", "failed")
    }
    assert pictures["submitted"] == sum(pictures.values()) - pictures["submitted"]
    by_size = samples.get("facenetd_batches_total", {})
    in_batches = sum(int(re.search(r"\d+", size)[0]) * n for size, n in by_size.items())
    assert pictures["computed"] + pictures["failed"] == in_batches


def test_every_request_ends_in_one_outcome(start, jpeg):
    daemon = start(config={"deadline_ms": 60000})
    with httpx.Client(base_url=daemon.url) as client:
        assert_conserved(settled(client))
        for _ in range(5):
            embed(client, jpeg)
        client.post("/distance", files={"img1": jpeg, "img2": jpeg})
        client.post("/embed", content=b"nonsense")
        client.post("/embed?no=1", content=jpeg)
        client.get("/nowhere")
        client.get("/embed")
        client.post("/embed", content=jpeg, headers={"X-Timeout-Ms": "0"})
        client.get("/healthz", headers={"Host": "elsewhere"})
        exchange(daemon, b"GET /healthz HTTP/1.1\r\n\r\n")
        exchange(daemon, b"GET /healthz HTTP/1.1\r\nContent-Length: 1\r\n\r\n1")
        head = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
        for cut in (len(head), len(head) + 100, len(head) + len(jpeg)):
            with daemon.connect() as sock:
                sock.sendall((head + jpeg)[:cut])
        samples = settled(client, embeds=12)
    assert_conserved(samples)
    requests = samples["facenetd_requests_total"]
    assert requests['route="/embed",code="200"'] >= 5
    assert requests['route="/distance",code="200"'] == 1
    assert requests['route="none",code="404"'] == 1
    assert outcome(samples, "refused") == 8
    assert outcome(samples, "dropped") + outcome(samples, "answered") >= 6 + 3
    rejected = samples["facenetd_requests_rejected_total"]
    assert rejected['reason="unsupported_format"'] == 1
    assert rejected['reason="unknown_host"'] == 1
    assert samples["facenetd_pictures_submitted_total"][""] >= 7


def test_histograms_are_cumulative(client, jpeg):
    embed(client, jpeg)
    samples = scrape(client)
    for name in ("request", "decode", "queue", "device"):
        buckets = samples[f"facenetd_{name}_duration_seconds_bucket"]
        counts = list(buckets.values())
        assert counts == sorted(counts)
        assert list(buckets)[-1] == 'le="+Inf"'
        assert counts[-1] == samples[f"facenetd_{name}_duration_seconds_count"][""] > 0
        assert samples[f"facenetd_{name}_duration_seconds_sum"][""] > 0


def test_the_state_is_told(client):
    samples = scrape(client)
    model = client.get("/model").json()
    assert samples["facenetd_ready"][""] == 1
    assert samples["facenetd_draining"][""] == 0
    assert samples["facenetd_queue_slots"][""] == 64
    (build,) = samples["facenetd_build_info"]
    assert f'model="{model["model"]}"' in build and f'version="{model["version"]}"' in build
    assert samples["process_resident_memory_bytes"][""] > 1 << 20
    assert samples["process_open_fds"][""] > 5
    assert samples["facenetd_connections"]['state="other"'] >= 1
    assert samples["facenetd_config_last_reload_success_timestamp_seconds"][""] <= time.time()


def test_slow_connections_are_counted(start):
    daemon = start(config={"header_timeout_ms": 50})
    with daemon.connect() as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert sock.recv(100) == b""
    with httpx.Client(base_url=daemon.url) as client:
        cut = scrape(client)["facenetd_connections_cut_total"]
    assert cut['phase="headers"'] + cut['phase="idle"'] == 1


def test_every_name_is_documented(client, jpeg):
    embed(client, jpeg)
    text = (ROOT / "docs/metrics.md").read_text()
    for sample in scrape(client):
        name = re.sub("_(bucket|sum|count)$", "", sample)
        assert f"`{name}" in text, name
