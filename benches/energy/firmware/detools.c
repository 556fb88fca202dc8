/* Applies a patch of detools with its own C decoder:
 *
 *     detools sequential OLD PATCH NEW      from one slot to the other
 *     detools in-place MEMORY PATCH         in the slot itself; MEMORY begins with the old image, and is written
 */
#include "detools.h"
#include "flash.h"

#define STEP_BYTES 4

static struct flash flash;
static struct host_file patch;
static uint8_t chunk[CHUNK_BYTES];

/* From one slot to the other. */
static struct host_file old;
static uint32_t old_position, new_position;

static int old_read(void *context, uint8_t *buffer, size_t size) {
    (void)context;
    size_t found = host_read_at(&old, old_position, buffer, size);
    old_position += size;
    return found == size ? 0 : -1;
}

static int old_seek(void *context, int offset) {
    (void)context;
    old_position += (uint32_t)offset;
    return 0;
}

static int new_write(void *context, const uint8_t *bytes, size_t size) {
    (void)context;
    flash_append(&flash, new_position, bytes, size);
    new_position += size;
    return 0;
}

static void sequential(void) {
    static struct detools_apply_patch_t decoder;
    old = host_open(argument(2), OPEN_READ);
    patch = host_open(argument(3), OPEN_READ);
    flash_init(&flash, host_open(argument(4), OPEN_WRITE), MAX_BLOCKS);
    print_line("patch", patch.length, " bytes");

    measure_start();
    int result = detools_apply_patch_init(&decoder, old_read, old_seek, patch.length, new_write, NULL);
    for (uint32_t at = 0; at < patch.length && result == 0; at += sizeof chunk)
        result = detools_apply_patch_process(&decoder, chunk, host_read_at(&patch, at, chunk, sizeof chunk));
    if (result == 0)
        result = detools_apply_patch_finalize(&decoder);
    if (result < 0)
        fail(detools_error_as_string(result));
    measure_report(sizeof decoder, sizeof chunk, (uint32_t)result);
    flash_report(&flash);
}

/* In the slot itself. */
static uint32_t steps, last_step, step_block_erased;

static int memory_read(void *context, void *buffer, uintptr_t address, size_t size) {
    (void)context;
    flash_read(&flash, address, buffer, size);
    return 0;
}

static int memory_write(void *context, uintptr_t address, void *bytes, size_t size) {
    (void)context;
    flash_write(&flash, address, bytes, size);
    return 0;
}

static int memory_erase(void *context, uintptr_t address, size_t size) {
    (void)context;
    flash_erase(&flash, address, size);
    return 0;
}

/* A step is what the update goes on from after power was lost: a record in a block of its own, which is erased when
 * all steps are done. The last one is remembered, so that asking for it costs no flash. */
static int step_set(void *context, int step) {
    (void)context;
    if (step == 0)
        step_block_erased++;
    else if (++steps * STEP_BYTES > BLOCK_BYTES)
        fail("more steps than their block holds");
    last_step = (uint32_t)step;
    return 0;
}

static int step_get(void *context, int *step) {
    (void)context;
    *step = (int)last_step;
    return 0;
}

static void in_place(void) {
    static struct detools_apply_patch_in_place_t decoder;
    struct host_file memory = host_open(argument(2), OPEN_UPDATE);
    flash_init(&flash, memory, memory.length / BLOCK_BYTES);
    patch = host_open(argument(3), OPEN_READ);
    print_line("patch", patch.length, " bytes");

    measure_start();
    int result = detools_apply_patch_in_place_init(&decoder, memory_read, memory_write, memory_erase, step_set,
                                                   step_get, patch.length, NULL);
    for (uint32_t at = 0; at < patch.length && result == 0; at += sizeof chunk)
        result = detools_apply_patch_in_place_process(&decoder, chunk, host_read_at(&patch, at, chunk, sizeof chunk));
    if (result == 0)
        result = detools_apply_patch_in_place_finalize(&decoder);
    if (result < 0)
        fail(detools_error_as_string(result));
    measure_report(sizeof decoder, sizeof chunk, (uint32_t)result);
    print_line("steps", steps, "");
    flash.written += steps * STEP_BYTES;
    flash.erased += step_block_erased;
    flash_report(&flash);
}

int main(void) {
    const char *mode = argument(1);
    if (mode && strcmp(mode, "sequential") == 0 && argument(4))
        sequential();
    else if (mode && strcmp(mode, "in-place") == 0 && argument(3))
        in_place();
    else
        fail("the command line must be: sequential OLD PATCH NEW, or: in-place MEMORY PATCH");
    succeed();
}
