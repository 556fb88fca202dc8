#include "flash.h"

#include <string.h>

void flash_init(struct flash *flash, struct host_file file, uint32_t blocks) {
    if (blocks > MAX_BLOCKS)
        fail("the flash has more blocks than the model");
    *flash = (struct flash){.file = file, .blocks = blocks};
    for (uint32_t block = 0; block < blocks; block++)
        flash->next[block] = BLOCK_BYTES;
}

static void check_range(const struct flash *flash, uint32_t address, size_t size) {
    if ((uint64_t)address + size > (uint64_t)flash->blocks * BLOCK_BYTES)
        fail("an access beyond the flash");
}

void flash_read(const struct flash *flash, uint32_t address, void *buffer, size_t size) {
    pause_begin();
    check_range(flash, address, size);
    size_t found = host_read_at(&flash->file, address, buffer, size);
    memset((char *)buffer + found, 0xff, size - found);
    pause_end();
}

void flash_erase(struct flash *flash, uint32_t address, size_t size) {
    static uint8_t ones[BLOCK_BYTES];
    pause_begin();
    check_range(flash, address, size);
    if (address % BLOCK_BYTES != 0)
        fail("an erase that does not begin a block");
    memset(ones, 0xff, sizeof ones);
    for (uint32_t block = address / BLOCK_BYTES; block * BLOCK_BYTES < address + size; block++) {
        host_write_at(&flash->file, block * BLOCK_BYTES, ones, sizeof ones);
        flash->next[block] = 0;
        flash->erased++;
    }
    pause_end();
}

void flash_write(struct flash *flash, uint32_t address, const void *bytes, size_t size) {
    pause_begin();
    check_range(flash, address, size);
    host_write_at(&flash->file, address, bytes, size);
    flash->written += size;
    while (size) {
        uint32_t block = address / BLOCK_BYTES, offset = address % BLOCK_BYTES;
        size_t part = BLOCK_BYTES - offset < size ? BLOCK_BYTES - offset : size;
        if (offset < flash->next[block])
            fail("a write to flash that is not erased");
        flash->next[block] = (uint16_t)(offset + part);
        address += part;
        size -= part;
    }
    pause_end();
}

void flash_append(struct flash *flash, uint32_t address, const void *bytes, size_t size) {
    pause_begin();
    while (size) {
        uint32_t offset = address % BLOCK_BYTES;
        size_t part = BLOCK_BYTES - offset < size ? BLOCK_BYTES - offset : size;
        if (offset == 0)
            flash_erase(flash, address, BLOCK_BYTES);
        flash_write(flash, address, bytes, part);
        address += part;
        bytes = (const char *)bytes + part;
        size -= part;
    }
    pause_end();
}

void flash_report(const struct flash *flash) {
    print_line("flash written", flash->written, " bytes");
    print_line("flash erased", flash->erased, " blocks");
}
