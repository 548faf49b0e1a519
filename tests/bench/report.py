# SPDX-License-Identifier: Apache-2.0
"""The page that `make bench` writes."""

PEERS = {"ort_float32": "ORT float32", "ort_int8": "ORT int8", "openvino_int8": "OpenVINO int8"}
INT8 = ("ort_int8", "openvino_int8")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]


def rates(facts, rows):
    """Images a second, and how ours stands to the best int8 peer and to the peak."""
    gmac = facts["macs"] / 1e9
    others = [name for name in ("generic", *PEERS) if name in rows[0]]
    compared = set(INT8) <= set(others)
    head = ["cores", "batch", "ours", *(PEERS.get(name, name) for name in others)]
    head += ["ours / best int8"] if compared else []
    head += ["GMAC/s", "of the peak"]
    body = []
    for row in rows:
        cells = [row["cores"], row["batch"], f"**{row['ours']:.1f}**"]
        cells += [f"{row[name]:.1f}" for name in others]
        if compared:
            cells.append(f"**{row['ours'] / max(row[name] for name in INT8):.2f}**")
        speed = row["ours"] * gmac
        cells += [f"{speed:.0f}", f"{100 * speed / row['peak']:.0f} %" if row["peak"] else "-"]
        body.append(cells)
    return table(head, body)


def held(facts):
    title = (
        "The same on this machine as a CPU with AVX2 alone would do it: our kernels `x86-avx2`,"
        " compiled for haswell, and peers that are told of no more by `cpuid`. What Winograd's way"
        " saves counts as done:"
    )
    return [title, "", *rates(facts, facts["held"])]


def thin(facts, rows):
    gmac = facts["thin"]["macs"] / 1e9
    body = [
        [
            *(row["cores"], row["batch"], f"{row['thin']:.1f}"),
            *(f"**{row['thin'] / row['ours']:.1f}**", f"{row['thin'] * gmac:.0f}"),
        ]
        for row in rows
    ]
    title = f"The thin network, model `{facts['thin']['model']}`, {gmac:.3f} GMAC an image:"
    head = ["cores", "batch", "images/s", "times the full one's", "GMAC/s"]
    lines = [title, "", *table(head, body)]
    if "http" in facts["thin"]:
        lines += ["", describe_http(facts["thin"]["http"], rows, "thin")]
    return lines


def shares(rows):
    kinds = list(rows[0]["share"])
    body = [
        [row["cores"], row["batch"], *(f"{100 * row['share'][kind]:.1f} %" for kind in kinds)]
        for row in rows
    ]
    title = "Share of our time on the device by kind of layer:"
    return [title, "", *table(["cores", "batch", *kinds], body)]


def memory(facts):
    """Resident MiB after the race on two cores."""
    names = {"ours": "ours", **PEERS}
    cells = [
        f"{names[name]} {facts['memory'][name]:.0f}" for name in names if name in facts["memory"]
    ]
    text = "Resident memory in MiB, networks for batches of 1 and 8: "
    return [text + ", ".join(cells) + ". Peers without what Python and numpy take."]


def describe_http(answer, rows, name):
    best = max(row[name] for row in rows if row["cores"] == rows[-1]["cores"])
    return (
        f"`POST /embed?align=none` of a JPEG on {rows[-1]['cores']} core(s), the load generator on"
        f" the same ones: {answer['rate']:.0f} requests/s on 16 connections,"
        f" {answer['rate'] / best:.2f} of the bare engine's best. In an open loop at"
        f" {answer['open_rate']:.0f} requests/s: p50 {answer['p50']:.1f} ms,"
        f" p99 {answer['p99']:.1f} ms, {100 * answer['refused']:.1f} % refused for want of time."
    )


def start(facts):
    """How long the daemon takes, and what it holds then."""
    took = facts["start"]
    return [
        f"From the start of `facenetd` to its first embedding: {took['warm']:.2f} s (median), or"
        f" {took['cold']:.1f} s where no kernel has been compiled yet. It then has"
        f" {took['warm_memory']:.0f} MiB resident, or {took['cold_memory']:.0f}."
    ]


def search(facts, rows):
    """The cost of looking for the face, of a photograph of 250 x 250 pixels."""
    crops, photos = (facts["http"]["search"][name] for name in ("crops", "photos"))
    return [
        f"With the face looked for (`POST /embed`), in turns with the above on {rows[-1]['cores']}"
        f" core(s): {photos['rate']:.0f} requests/s against {crops['rate']:.0f}; the daemon kept"
        f" {100 * photos['busy']:.0f} % of the cores busy against {100 * crops['busy']:.0f} %,"
        " beside the load generator."
    ]


def load(facts):
    """What else the machine did."""
    cores, during = facts["load"]
    line = f"- load average at the end: {during:.1f} on {cores} core(s)"
    if during > cores + 1:
        line += ": rows on several cores and HTTP are of a busy machine and compare nothing"
    return [line]


def write_page(facts, rows, cpu, features, versions):
    """The text of docs/performance.md."""
    lines = [
        "# Performance",
        "",
        "Made by `make bench`; the machine is the one it ran on, so expect other figures on yours.",
        "Images a second are medians; all contestants of a row ran in turns on the same cores. On"
        " one core they are of CPU time, which other load on the machine does not lengthen.",
        "",
        f"- CPU: {cpu} ({features})",
        f"- ours: `{facts['label']}`, driver {facts['driver']}, model `{facts['model']}`,"
        f" {facts['macs'] / 1e9:.3f} GMAC an image",
    ]
    if versions:
        lines.append(
            f"- peers: {', '.join(versions)}: ONNX Runtime on the float32 network and on its own"
            " static int8 one (QDQ, per channel), OpenVINO on the one that NNCF makes"
        )
    lines.append("- peak: this family's dot product on registers alone, measured in the same run")
    lines += load(facts)
    parts = [rates(facts, rows)]
    if facts["held"]:
        parts.append(held(facts))
    if "thin" in facts:
        parts.append(thin(facts, rows))
    parts.append(memory(facts))
    if "http" in facts:
        parts.append([describe_http(facts["http"], rows, "ours")])
        if facts["http"].get("search"):
            parts.append(search(facts, rows))
    if "start" in facts:
        parts.append(start(facts))
    parts.append(shares(rows))
    for part in parts:
        lines += ["", *part]
    return "\n".join(lines) + "\n"
