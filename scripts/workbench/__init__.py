# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands in scripts/, in rooms; the __init__.py of each says what it is."""
