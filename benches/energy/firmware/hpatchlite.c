/* Applies a patch of HPatchLite with its own C decoder and tinyuz's:
 *
 *     hpatchlite sequential OLD PATCH NEW      from one slot to the other
 *     hpatchlite in-place MEMORY PATCH         in the slot itself; MEMORY begins with the old image, and is written
 *
 * In place it writes whole blocks (`hpatchi_inplaceB_by_page`): a block is erased when all of its new bytes are there.
 */
#include "flash.h"
#include "hpatch_lite.h"
#include "tuz_dec.h"

/* The window that the patch asks for may not be larger. */
#define MAX_WINDOW_BYTES 4096
/* What the patch may ask for in place, so that new bytes wait in RAM while the old ones are needed. */
#define MAX_EXTRA_BYTES 4096
/* One half for what was decompressed, one for what was read of the old image. */
#define CACHE_BYTES (2 * CHUNK_BYTES)

static struct flash flash;
static struct host_file old, patch;
static uint32_t patch_position, new_position;
static bool is_in_place;

static struct {
    tuz_TStream stream;
    hpatchi_listener_t listener;
} decoder;

static uint8_t window_and_chunk[MAX_WINDOW_BYTES + CHUNK_BYTES];
static uint8_t cache[MAX_EXTRA_BYTES + BLOCK_BYTES + CACHE_BYTES];

static hpi_BOOL patch_read(hpi_TInputStreamHandle handle, hpi_byte *buffer, hpi_size_t *size) {
    (void)handle;
    *size = host_read_at(&patch, patch_position, buffer, *size);
    patch_position += *size;
    return hpi_TRUE;
}

static hpi_BOOL decompress(hpi_TInputStreamHandle stream, hpi_byte *buffer, hpi_size_t *size) {
    return tuz_TStream_decompress_partial(stream, buffer, size) <= tuz_STREAM_END;
}

static hpi_BOOL old_read(hpatchi_listener_t *listener, hpi_pos_t offset, hpi_byte *buffer, hpi_size_t size) {
    (void)listener;
    if (is_in_place) {
        flash_read(&flash, offset, buffer, size);
        return hpi_TRUE;
    }
    return host_read_at(&old, offset, buffer, size) == size;
}

static hpi_BOOL new_write(hpatchi_listener_t *listener, const hpi_byte *bytes, hpi_size_t size) {
    (void)listener;
    flash_append(&flash, new_position, bytes, size);
    new_position += size;
    return hpi_TRUE;
}

/* Everything that is measured. Returns the bytes lent. */
__attribute__((noinline)) static size_t rebuild(void) {
    hpi_compressType compression;
    hpi_pos_t new_size, uncompressed;
    hpi_size_t extra = 0;
    hpi_BOOL opened = is_in_place
                          ? hpatchi_inplace_open(NULL, patch_read, &compression, &new_size, &uncompressed, &extra)
                          : hpatch_lite_open(NULL, patch_read, &compression, &new_size, &uncompressed);
    if (!opened || compression != hpi_compressType_tuz)
        fail("not a patch of this kind");
    tuz_size_t window = tuz_TStream_read_dict_size(NULL, patch_read);
    if (window == 0 || window > MAX_WINDOW_BYTES)
        fail("the patch needs a larger window");
    if (extra > MAX_EXTRA_BYTES)
        fail("the patch needs more extra bytes");
    if (tuz_TStream_open(&decoder.stream, NULL, patch_read, window_and_chunk, window, CHUNK_BYTES) != tuz_OK)
        fail("tinyuz did not open");
    decoder.listener = (hpatchi_listener_t){&decoder.stream, decompress, old_read, new_write};

    size_t lent = CACHE_BYTES;
    hpi_BOOL done;
    if (is_in_place) {
        lent += extra + BLOCK_BYTES;
        done = hpatchi_inplaceB_by_page(&decoder.listener, new_size, cache, extra, BLOCK_BYTES, lent);
    } else {
        done = hpatch_lite_patch(&decoder.listener, new_size, cache, CACHE_BYTES);
    }
    if (!done || new_position != new_size)
        fail("the patch does not apply");
    return lent + window + CHUNK_BYTES;
}

int main(void) {
    const char *mode = argument(1);
    if (mode && mode[0] == 's' && argument(4)) {
        old = host_open(argument(2), OPEN_READ);
        flash_init(&flash, host_open(argument(4), OPEN_WRITE), MAX_BLOCKS);
    } else if (mode && mode[0] == 'i' && argument(3)) {
        is_in_place = true;
        struct host_file memory = host_open(argument(2), OPEN_UPDATE);
        flash_init(&flash, memory, memory.length / BLOCK_BYTES);
    } else {
        fail("the command line must be: sequential OLD PATCH NEW, or: in-place MEMORY PATCH");
    }
    patch = host_open(argument(3), OPEN_READ);
    print_line("patch", patch.length, " bytes");

    measure_start();
    size_t buffers = rebuild();
    measure_report(sizeof decoder, buffers, new_position);
    flash_report(&flash);
    succeed();
}
