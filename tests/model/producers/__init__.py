# SPDX-License-Identifier: Apache-2.0
"""The programs that make files of FaceNet weights in the world, and one network to give them.

Run as `python -m tests.model.producers PRODUCER OUT`; __main__.py says which environments.
"""
