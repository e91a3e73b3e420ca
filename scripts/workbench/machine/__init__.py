# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated machine with KVM, on which guests run.

May import base, build.
"""
