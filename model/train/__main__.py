# SPDX-License-Identifier: Apache-2.0
"""Command line: index, teach, fit, evaluate, plot. docs/training.md has a whole run."""

import argparse
import json
import os
import sys
from pathlib import Path

import torch

from model.train import curves, fit, fixed, network, pairs, pictures, teacher
from model.train.detector import fit as detector_fit
from model.train.detector import networks, rounds, scenes


def _device(name):
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _index(o):
    without = set().union(*(pictures.people_in_pairs(p) for p in o.without))
    facts = pictures.index(o.folders, o.data, o.crop, o.validation, without, o.each_alone)
    print(
        f"{facts['pictures']} pictures, {facts['held_out']} of them of people held out for "
        f"validation; {facts['left_out']} left out with the people of {len(o.without)} pairs files"
    )


def _teach(o):
    data = pictures.Pictures(o.data, skip_unreadable=True)
    found = teacher.teach(data, o.teacher, o.batch, o.workers, o.threads)
    print(f"{len(found.there())} embeddings of {found.size} floats")


def _fit(o):
    device = _device(o.device)
    data = pictures.Pictures(o.data)
    answers = None
    if not o.fixed:
        if not o.teacher:
            raise fit.BadRun("name the teacher's ONNX file with --teacher")
        skipping = pictures.Pictures(o.data, skip_unreadable=True)
        answers = teacher.teach(skipping, o.teacher, workers=o.workers, threads=o.threads)
    settings = fit.Settings(
        steps=o.steps,
        batch=o.batch,
        learning_rate=o.learning_rate,
        weight_decay=o.weight_decay,
        warmup=o.warmup,
        evaluate_every=o.evaluate_every,
        seed=o.seed,
        width=o.width,
        start=o.start or "",
        frac_bits=o.fixed or "",
    )
    folder = Path(o.output)
    if not o.resume and (folder / fit.CHECKPOINT).exists():
        raise fit.BadRun(f"{folder}: holds a run already; --resume it, or name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    run = fit.Run(folder, settings, data, answers, device, o.workers)
    if o.resume:
        run.resume()
    print(run.train(o.stop_after))
    print(f"written {folder / 'network.safetensors'}, for `facenet-model quantize`")


def _evaluate(o):
    device = _device(o.device)
    student = network.load(o.network).to(device)
    if o.fixed:
        student = fixed.from_network(student, fixed.read_frac_bits(o.fixed)).to(device)
    facts = pairs.evaluate(student, o.pairs, o.images, o.crop, device)
    print(json.dumps(facts, indent=1))


def _detector(o):
    seen = scenes.Pictures(o.folders)
    for name, steps, pieces in zip(networks.NAMES, o.steps, o.pieces, strict=True):
        if name not in (o.network or networks.NAMES):
            continue
        settings = detector_fit.settings(name, steps, pieces, o.seed, o.start or "")
        run = detector_fit.open_run(
            o.output, name, seen, o.teacher, settings, _device(o.device), o.proposers
        )
        if o.resume:
            run.resume()
        elif run.checkpoint.exists():
            raise fit.BadRun(f"{run.checkpoint}: there is one already; --resume it")
        run.train(o.stop_after)
    networks.save_name(o.output, o.name)
    print(f"written {o.output}, for `facenet-model quantize --detector`")


def _own_detector(o):
    seen = scenes.Pictures(o.folders)
    rounds.train(o.output, seen, o.teacher, _device(o.device), o.seed, o.resume)
    networks.save_name(o.output, o.name)
    print(f"written {o.output}, for `facenet-model quantize --detector`")


def _plot(o):
    rows = curves.read(Path(o.run_folder) / "curves.csv")
    if not curves.plot(Path(o.run_folder) / "curves.csv", Path(o.run_folder) / "curves.svg"):
        print("no gnuplot here, so no picture", file=sys.stderr)
    print(curves.judge(rows))


def _add_common(parser):
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the CPU")
    parser.add_argument("--workers", type=int, default=2, help="processes that decode pictures")
    parser.add_argument("--device", default="auto", help="cpu, cuda, ... (a GPU if there is one)")


def _parser():
    top = argparse.ArgumentParser(prog="python3 -m model.train", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    p = commands.add_parser("index", help="list the pictures of folders in a data folder")
    p.add_argument("folders", nargs="+", metavar="FOLDER", help="of face pictures, any depth")
    p.add_argument("-o", "--data", required=True, help="the data folder to write")
    p.add_argument("--crop", choices=pictures.CROPS, default="whole", help="what of a picture")
    p.add_argument("--validation", type=float, default=0.05, help="share of people held out")
    p.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="PAIRS",
        help="leave out everybody whom this pairs file names",
    )
    p.add_argument("--each-alone", action="store_true", help="no two pictures are of one person")
    p.set_defaults(run=_index)

    p = commands.add_parser("teach", help="ask the teacher about every picture, once")
    p.add_argument("data")
    p.add_argument("--teacher", required=True, help="ONNX file of `facenet-model onnx`")
    p.add_argument("--batch", type=int, default=32)
    _add_common(p)
    p.set_defaults(run=_teach)

    p = commands.add_parser("fit", help="train a thin network")
    p.add_argument("data")
    p.add_argument("-o", "--output", required=True, metavar="RUN", help="folder of the run")
    p.add_argument("--teacher", help="ONNX file of `facenet-model onnx`")
    p.add_argument("--width", type=float, default=0.25, help="share of the full widths")
    p.add_argument("--start", metavar="FILE", help="begin with the weights of this file")
    p.add_argument(
        "--fixed",
        metavar="PINS",
        help="fine-tune --start in fixed point with these fractional bits, toward its float form",
    )
    p.add_argument("--steps", type=int, required=True)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--learning-rate", type=float, default=2e-3)
    p.add_argument("--weight-decay", type=float, default=0.01)
    p.add_argument("--warmup", type=int, default=50, metavar="STEPS")
    p.add_argument("--evaluate-every", type=int, default=0, metavar="STEPS", help="(an epoch)")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--resume", action="store_true", help="go on where RUN was interrupted")
    p.add_argument("--stop-after", type=int, metavar="STEP", help="stop early, to be resumed")
    _add_common(p)
    p.set_defaults(run=_fit)

    p = commands.add_parser("evaluate", help="accuracy of a float network on a pairs file")
    p.add_argument("network")
    p.add_argument("--pairs", required=True)
    p.add_argument("--images", required=True)
    p.add_argument("--crop", choices=pictures.CROPS, default="whole")
    p.add_argument("--fixed", metavar="PINS", help="in fixed point with these fractional bits")
    _add_common(p)
    p.set_defaults(run=_evaluate)

    p = commands.add_parser("detector", help="train the face detector's networks")
    p.add_argument("folders", nargs="+", metavar="FOLDER", help="of photographs, any depth")
    p.add_argument("-o", "--output", required=True, metavar="RUN", help="folder of the run")
    p.add_argument("--teacher", required=True, metavar="DIR", help="pnet/, rnet/ and onet/ of .npy")
    p.add_argument("--network", action="append", choices=networks.NAMES, help="(all in turn)")
    p.add_argument(
        "--steps", type=int, nargs=3, default=detector_fit.STEPS, metavar=("P", "R", "O")
    )
    p.add_argument(
        "--pieces",
        type=int,
        nargs=3,
        default=detector_fit.PIECES,
        metavar=("P", "R", "O"),
        help="scenes and windows that are cut before; more pictures want more of them",
    )
    p.add_argument("--start", metavar="DIR", help="begin with these networks")
    p.add_argument("--proposers", metavar="DIR", help="networks whose mistakes to learn, too")
    p.add_argument("--name", default="unnamed", help="of the detector, for those who ask")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--resume", action="store_true", help="go on where RUN was interrupted")
    p.add_argument("--stop-after", type=int, metavar="STEP", help="stop early, to be resumed")
    _add_common(p)
    p.set_defaults(run=_detector)

    p = commands.add_parser(
        "own-detector", help="train a detector in the rounds in which this repository's was made"
    )
    p.add_argument("folders", nargs="+", metavar="FOLDER", help="of photographs, any depth")
    p.add_argument("-o", "--output", required=True, metavar="RUN", help="folder of the run")
    p.add_argument("--teacher", required=True, metavar="DIR", help="pnet/, rnet/ and onet/ of .npy")
    p.add_argument("--name", default="unnamed", help="of the detector, for those who ask")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--resume", action="store_true", help="go on where RUN was interrupted")
    _add_common(p)
    p.set_defaults(run=_own_detector)

    p = commands.add_parser("plot", help="draw a run's curves and say what they mean")
    p.add_argument("run_folder", metavar="RUN")
    p.set_defaults(run=_plot)
    return top


def main():
    o = _parser().parse_args()
    torch.set_num_threads(getattr(o, "threads", None) or 1)
    try:
        o.run(o)
    except (
        network.BadNetwork,
        pictures.BadPictures,
        fit.BadRun,
        networks.BadDetector,
        OSError,
    ) as error:
        sys.exit(f"train: {error}")
    except KeyboardInterrupt:
        sys.exit("train: interrupted; --resume goes on from the last evaluation")


if __name__ == "__main__":
    main()
