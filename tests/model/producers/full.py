# SPDX-License-Identifier: Apache-2.0
"""Files of the full network as people have them: `python -m tests.model.producers.full WHAT OUT`.

Each in an environment of its own, Python 3.11:

    sandberg   pip install tensorflow-cpu==2.15.1 tf-slim safetensors; --sandberg: the folder src of
               the package facenet 1.0.5 (pip download --no-deps --no-binary :all: facenet)
    keras2     the same, and tf2onnx pandas lightphe; pip install --no-deps deepface keras-facenet
    torch      pip install torch onnx onnxscript safetensors requests;
               pip install --no-deps facenet-pytorch
"""

import argparse
import pathlib

from tests.model.producers import network, packages, sandberg


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", choices=["sandberg", "keras2", "torch"])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--embedding", type=int, default=512)
    parser.add_argument("--weights", help="folder of .npy files; else seeded random numbers")
    parser.add_argument("--sandberg", help="folder of its sources")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    weights = network.all_weights(16, args.embedding, args.weights)
    packages.slim(args.out, weights)
    if args.what == "sandberg":
        sandberg.make(args.out, args.embedding, weights, args.sandberg)
    elif args.what == "keras2":
        packages.keras2(args.out, args.embedding, weights)
    else:
        packages.torch(args.out, args.embedding, weights)


if __name__ == "__main__":
    main()
