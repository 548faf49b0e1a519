# SPDX-License-Identifier: Apache-2.0
"""The array in Verilog, simulated."""
