/* NOR flash backed by a host file: counts what is written and erased, and refuses what a real one could not do. */
#ifndef FLASH_H
#define FLASH_H

#include "board.h"

/* Bytes of an erase block. */
#define BLOCK_BYTES 4096
#define MAX_BLOCKS 64

struct flash {
    struct host_file file;
    uint32_t blocks;          /* erase blocks that there are */
    uint32_t written;         /* bytes programmed */
    uint32_t erased;          /* blocks erased, each time counted */
    uint16_t next[MAX_BLOCKS]; /* per block, the lowest offset that is still erased */
};

/* `blocks` erase blocks, none of them erased. */
void flash_init(struct flash *flash, struct host_file file, uint32_t blocks);
/* Reads; past the end of the host file there is 0xff. */
void flash_read(const struct flash *flash, uint32_t address, void *buffer, size_t size);
/* Erases the blocks that `address..address + size` lies in; `address` begins one. They read 0xff then. */
void flash_erase(struct flash *flash, uint32_t address, size_t size);
/* Programs bytes that are erased, in each block upwards; anything else ends the run. */
void flash_write(struct flash *flash, uint32_t address, const void *bytes, size_t size);
/* Programs, and erases each block when its first byte comes: how a slot is written from its beginning to its end. */
void flash_append(struct flash *flash, uint32_t address, const void *bytes, size_t size);
/* Prints what was counted. */
void flash_report(const struct flash *flash);

#endif
