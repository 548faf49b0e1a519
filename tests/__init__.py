# SPDX-License-Identifier: Apache-2.0
"""Every test. The folders of Python tests are packages: one may use what another brings."""
