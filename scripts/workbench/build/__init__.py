# SPDX-License-Identifier: GPL-2.0-or-later
"""What builds: packages, sources, kernels, QEMU, Debian packages.

May import base.
"""
