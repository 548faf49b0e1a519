# SPDX-License-Identifier: Apache-2.0
"""Makes a thin FaceNet: a network of the same shape and any width, distilled from a teacher.

Run as `python3 -m model.train COMMAND` from the root of the source tree: see docs/training.md.
"""

import os

# Threads that spin while they wait stop each other where cores are shared: on two busy cores a
# step took three times as long. Must be said before PyTorch starts its threads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
