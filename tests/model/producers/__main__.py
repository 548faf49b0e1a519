# SPDX-License-Identifier: Apache-2.0
"""Make tests/model/fixtures/ with the programs that make such files in the world.

One set of seeded random weights, a FaceNet of a sixteenth of the width, written by TensorFlow,
Keras, PyTorch, onnx and safetensors. Run it once with each environment (they do not go well
together in one):

    pip install tensorflow-cpu safetensors   # TensorFlow 2.21, Keras 3.15
    python -m tests.model.producers tensorflow --gzip tests/model/fixtures
    python -m tests.model.producers tensorflow --released --gzip tests/model/fixtures/128d
    pip install torch onnx onnxscript        # PyTorch 2.15
    python -m tests.model.producers torch --gzip tests/model/fixtures
    python -m tests.model.producers torch --released --gzip tests/model/fixtures/128d

--released writes other files: as the released 128-d networks are. full.py makes the full network.
"""

import argparse
import gzip
import pathlib

from tests.model.producers import network, packages


def make(producer, released, out, *args):
    if producer == "torch":
        from tests.model.producers import pytorch

        (pytorch.make_released if released else pytorch.make)(out, *args)
        return
    from tests.model.producers import keras3, tf1

    for module in (tf1, keras3):
        (module.make_released if released else module.make)(out, *args)
    packages.slim(out, args[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("producer", choices=["tensorflow", "torch"])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--width", type=int, default=1, help="sixteenths of the full network")
    parser.add_argument("--released", action="store_true", help="as released: 128-d")
    parser.add_argument("--gzip", action="store_true", help="compress what was written")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    embedding = 128 if args.released else 32
    weights = network.all_weights(args.width, embedding)
    make(args.producer, args.released, args.out, args.width, embedding, weights)
    for path in sorted(args.out.rglob("*")) if args.gzip else []:
        if path.is_file() and path.suffix != ".gz":
            path.with_name(path.name + ".gz").write_bytes(
                gzip.compress(path.read_bytes(), 9, mtime=0)
            )
            path.unlink()


if __name__ == "__main__":
    main()
