# SPDX-License-Identifier: GPL-2.0-or-later
"""The documentation: building it, and checking what it says.

May import base.
"""
