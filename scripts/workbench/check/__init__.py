# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tests are run, and those of QEMU without KVM.

May import base, build, docs, guest.
"""
