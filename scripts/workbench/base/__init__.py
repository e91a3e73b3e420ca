# SPDX-License-Identifier: GPL-2.0-or-later
"""What all rooms use: paths, steps, tables, commands.

May import nothing.
"""
