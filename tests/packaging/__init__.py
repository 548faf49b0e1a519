# SPDX-License-Identifier: Apache-2.0
"""Units, example configurations, the Debian package."""
