# SPDX-License-Identifier: Apache-2.0
"""facenet-model, as its users run it."""
