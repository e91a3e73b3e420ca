# SPDX-License-Identifier: GPL-2.0-or-later
# The devices of the emulated machine of scripts/with-kvm, in QEMU's own form:
# see configs/devices/ in its tree
CONFIG_Q35=y
CONFIG_VTD=y
CONFIG_EDU=y
CONFIG_ISA_DEBUG=y
CONFIG_SERIAL_ISA=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_SERIAL=y
CONFIG_VIRTIO_9P=y
