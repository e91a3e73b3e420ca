# SPDX-License-Identifier: GPL-2.0-or-later
"""What measures QEMU with the series and without it.

May import base, build, guest, machine, trace.
"""
