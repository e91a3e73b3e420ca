# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands in scripts/, with their arguments.

May import base, build, check, docs, guest, machine, measure, trace.
"""
