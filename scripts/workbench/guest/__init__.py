# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests, and what runs their tests.

May import base, build, machine, trace.
"""
