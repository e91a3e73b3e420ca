/*
 * Guest payload library: QEMU's firmware configuration device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define PORT_SELECTOR 0x510
#define PORT_DATA 0x511
#define PORT_DMA_HIGH 0x514
#define PORT_DMA_LOW 0x518
#define KEY_RAM_SIZE 0x03
#define KEY_CPU_COUNT 0x05
#define KEY_DIRECTORY 0x19
#define MAX_FILES 64

#define DMA_ERROR 1
#define DMA_SELECT 8
#define DMA_WRITE 16

/* An entry of the directory; numbers are big endian */
typedef struct FwCfgFile {
    uint32_t size;
    uint16_t key;
    uint16_t reserved;
    char name[56];
} FwCfgFile;

/* Every byte is an exit, so the directory is read only once */
static FwCfgFile directory[MAX_FILES];
static unsigned files;

static void read_more(void *buf, uint32_t size)
{
    uint8_t *p = buf;

    while (size--) {
        *p++ = inb(PORT_DATA);
    }
}

static void read_key(uint16_t key, void *buf, uint32_t size)
{
    outw(PORT_SELECTOR, key);
    read_more(buf, size);
}

uint64_t fwcfg_ram_size(void)
{
    uint64_t size;

    read_key(KEY_RAM_SIZE, &size, sizeof(size));
    return size;
}

unsigned fwcfg_cpu_count(void)
{
    uint16_t count;

    read_key(KEY_CPU_COUNT, &count, sizeof(count));
    return count;
}

static void read_directory(void)
{
    uint32_t count;

    if (files) {
        return;
    }
    read_key(KEY_DIRECTORY, &count, sizeof(count));
    files = __builtin_bswap32(count);
    if (files > MAX_FILES) {
        panic("%u fw_cfg files, but only %u supported", files, MAX_FILES);
    }
    read_more(directory, files * sizeof(directory[0]));
}

static const FwCfgFile *find(const char *name)
{
    unsigned i;

    read_directory();
    for (i = 0; i < files; i++) {
        if (!strcmp(directory[i].name, name)) {
            return &directory[i];
        }
    }
    return NULL;
}

long fwcfg_read_file(const char *name, void *buf, uint32_t size)
{
    const FwCfgFile *file = find(name);
    uint32_t file_size;

    if (!file) {
        return -1;
    }
    file_size = __builtin_bswap32(file->size);
    read_key(__builtin_bswap16(file->key), buf,
             size < file_size ? size : file_size);
    return file_size;
}

/* What the device reads and writes: a page of its own, since it is shared */
static volatile struct {
    uint32_t control;           /* numbers are big endian */
    uint32_t size;
    uint64_t address;
    uint8_t data[PAGE_SIZE - 16];
} dma __attribute__((aligned(PAGE_SIZE)));

bool fwcfg_write_file(const char *name, const void *buf, uint32_t size)
{
    const FwCfgFile *file = find(name);

    if (!file || __builtin_bswap32(file->size) != size ||
        size > sizeof(dma.data)) {
        return false;
    }
    let_devices_reach((uintptr_t)&dma, sizeof(dma));
    memcpy((void *)dma.data, buf, size);
    dma.size = __builtin_bswap32(size);
    dma.address = __builtin_bswap64((uintptr_t)dma.data);
    /* The device clears it when it is done */
    dma.control = __builtin_bswap32(
        (uint32_t)__builtin_bswap16(file->key) << 16 | DMA_SELECT | DMA_WRITE);
    outl(PORT_DMA_HIGH, 0);
    outl(PORT_DMA_LOW, __builtin_bswap32((uint32_t)(uintptr_t)&dma));
    while (dma.control & ~__builtin_bswap32(DMA_ERROR)) {
        cpu_relax();
    }
    return !dma.control;
}
