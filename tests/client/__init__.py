# SPDX-License-Identifier: Apache-2.0
"""The clients against stand-in servers and the real daemon."""
