# SPDX-License-Identifier: GPL-2.0-or-later
"""What QEMU's traces tell: pictures, and tests made of them.

May import base, build.
"""
