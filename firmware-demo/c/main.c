/*
 * Rebuilds a file from its old image and a GMCF update through the C interface, on QEMU's lm3s6965evb: a Cortex-M3 with
 * 64 KiB of RAM, of which the decoder of profile small takes most. Neither image fits into it: both are host files.
 *
 * The command line is: demo OLD PATCH NEW
 */
#include <gmcf.h>

#include "host.h"

enum { CHUNK_BYTES = 256, TEXT_BYTES = 160 };

/* uint64_t has the alignment that a decoder needs. */
static uint64_t decoder_memory[(GMCF_DECODER_SMALL_BYTES + 7) / 8];
static uint8_t input[CHUNK_BYTES];
static uint8_t output[CHUNK_BYTES];

/* gmcf_storage.read_at: the context is the file. */
static int read_old(void *context, uint32_t offset, uint8_t *buffer, uint32_t len)
{
    return host_read_at((const struct host_file *)context, offset, buffer, len);
}

static int refuse(gmcf_status status, const gmcf_decoder *decoder)
{
    gmcf_error error;
    char text[TEXT_BYTES];

    host_print("error: ");
    if (gmcf_decoder_error(decoder, &error) == GMCF_DONE && error.code == status) {
        gmcf_error_format(&error, text, sizeof text);
        host_print(text);
    } else {
        host_print(gmcf_error_text(status));
    }
    host_print("\n");
    return 1;
}

static int fail(const char *what)
{
    host_print("error: the host could not ");
    host_print(what);
    host_print("\n");
    return 1;
}

static int apply(struct host_file *old, struct host_file *patch, struct host_file *new_file, uint32_t *new_len)
{
    gmcf_decoder *decoder = (gmcf_decoder *)decoder_memory;
    gmcf_storage storage = {old->len, old, read_old};
    gmcf_status status = gmcf_decoder_init(decoder_memory, sizeof decoder_memory, GMCF_PROFILE_SMALL, &storage);

    *new_len = 0;
    while (status >= 0) {
        const uint8_t *rest = input;
        size_t left;

        if (host_read(patch, input, CHUNK_BYTES, &left) != 0) {
            return fail("read the update");
        }
        if (left == 0) {
            status = gmcf_decoder_finish(decoder);
            break;
        }
        do {
            size_t consumed, written;

            status = gmcf_decoder_update(decoder, rest, left, &consumed, output, CHUNK_BYTES, &written);
            rest += consumed;
            left -= consumed;
            if (written > 0 && host_write(new_file, output, written) != 0) {
                return fail("write the new file");
            }
            *new_len += (uint32_t)written;
            if (status == GMCF_DONE) {
                return 0;
            }
        } while (status == GMCF_NEED_OUTPUT);
    }
    return refuse(status, decoder);
}

int main(void)
{
    struct host_file old, patch, new_file;
    char line[128];
    const char *names[3];
    uint32_t new_len, stack;

    if (host_arguments(line, sizeof line, names, 3) != 0) {
        host_print("error: the command line must be: demo OLD PATCH NEW\n");
        return 2;
    }
    host_print("board: lm3s6965evb (Cortex-M3), in C\n");
    if (host_open(&old, names[0], HOST_READ) != 0) {
        return fail("open the old image");
    }
    host_print_number("old: ", old.len, " bytes\n");
    if (host_open(&patch, names[1], HOST_READ) != 0) {
        return fail("open the update");
    }
    host_print_number("patch: ", patch.len, " bytes\n");
    if (host_open(&new_file, names[2], HOST_WRITE) != 0) {
        return fail("make the new file");
    }
    host_paint_stack();
    if (apply(&old, &patch, &new_file, &new_len) != 0) {
        return 1;
    }
    stack = host_peak_stack();
    host_print_number("new: ", new_len, " bytes\n");
    host_print_number("decoder ram: ", (uint32_t)gmcf_decoder_size(GMCF_PROFILE_SMALL), " bytes\n");
    host_print_number("buffers: ", sizeof input + sizeof output, " bytes\n");
    host_print_number("peak stack: ", stack, " bytes\n");
    return 0;
}

/* The decoder calls this when it finds itself in a state that cannot be. */
void gmcf_panic(void)
{
    host_print("error: the decoder stopped\n");
    host_exit(1);
}
