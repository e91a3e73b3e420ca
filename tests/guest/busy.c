/*
 * Guest payload: work for those who watch
 *
 * Converts memory for ever, as a guest with devices does: one buffer after the
 * other becomes shared, and private again. After each round it asks for what
 * it cannot have, and is refused. Prints "# busy" when it has begun.
 *
 * Parameter:
 *   base   guest-physical address, default 16M; it uses 4 MiB from there
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define SIZE (4 * MIB)
#define BUFFER (64 * KIB)
#define FAR_HOLE (1ULL << 45)   /* more than any CPU here can address */

int main(void)
{
    uint64_t base = param_u64("base", 16 * MIB);
    uint64_t buffer;

    assert(memory_is_usable(base, SIZE));
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    assert(!convert(base, SIZE, true));
    tap_comment("busy");
    for (;;) {
        for (buffer = base; buffer < base + SIZE; buffer += BUFFER) {
            assert(!convert(buffer, BUFFER, false));
            assert(!convert(buffer, BUFFER, true));
        }
        assert(convert(FAR_HOLE, PAGE_SIZE, true) == -KVM_EINVAL);
    }
}
