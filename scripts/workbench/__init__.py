# SPDX-License-Identifier: GPL-2.0-or-later
"""The code of the commands in scripts/.  Each package says what it is."""
