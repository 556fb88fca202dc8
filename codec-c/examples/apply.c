/*
 * Applies a GMCF update to a file:
 *
 *     apply OLD UPDATE NEW [BYTES]
 *
 * OLD may be - when the update brings the whole file. BYTES is how many are read and written at a time; it makes no
 * difference to the result. Exit status: 0 done, 1 the update was refused, 2 a file or the command line is wrong.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gmcf.h>

enum { MOST_BYTES = 4096 };

/* A device names its one profile here; its memory is one more static. uint64_t has the alignment that it needs. */
static uint64_t memory[(GMCF_DECODER_MEDIUM_BYTES + 7) / 8];
static const uint32_t profile = GMCF_PROFILE_MEDIUM;

/* How the decoder reads the old image. On a device: memcpy from memory-mapped flash, or a call of the flash driver. */
static int read_old(void *context, uint32_t offset, uint8_t *buffer, uint32_t len)
{
    FILE *file = context;

    if (fseek(file, (long)offset, SEEK_SET) != 0 || fread(buffer, 1, len, file) != len) {
        return -1;
    }
    return 0;
}

/* Says why the decoder refused. */
static void explain(const gmcf_decoder *decoder, gmcf_status status)
{
    gmcf_error error;
    char text[160];

    if (gmcf_decoder_error(decoder, &error) == GMCF_DONE && error.code == status) {
        gmcf_error_format(&error, text, sizeof text);
        fprintf(stderr, "error %d: %s\n", (int)status, text);
    } else {
        fprintf(stderr, "error %d: %s\n", (int)status, gmcf_error_text(status));
    }
}

/* Returns 0, 1 or 2, as the program does. */
static int apply(const gmcf_storage *old, FILE *update, FILE *new_file, size_t bytes)
{
    static uint8_t input[MOST_BYTES], output[MOST_BYTES];
    gmcf_decoder *decoder = (gmcf_decoder *)memory;
    gmcf_status status = gmcf_decoder_init(memory, sizeof memory, profile, old);
    int asked = 0;

    while (status >= 0) {
        size_t left = fread(input, 1, bytes, update);
        const uint8_t *rest = input;

        if (left == 0) {
            /* No more comes: what is missing, if anything? */
            status = gmcf_decoder_finish(decoder);
            break;
        }
        do {
            size_t consumed, written;
            uint32_t new_len;

            status = gmcf_decoder_update(decoder, rest, left, &consumed, output, bytes, &written);
            rest += consumed;
            left -= consumed;
            if (!asked && gmcf_decoder_new_len(decoder, &new_len) == GMCF_DONE) {
                /* On a device: is there room, and is it erased? Budget and old image have been found right. */
                asked = 1;
                printf("%lu bytes will come\n", (unsigned long)new_len);
            }
            /* After an error nothing was written, and what came before is to be discarded. */
            if (fwrite(output, 1, written, new_file) != written) {
                fprintf(stderr, "the new file cannot be written: %s\n", strerror(errno));
                return 2;
            }
            if (status == GMCF_DONE) {
                return 0; /* complete, and its digest is right */
            }
        } while (status == GMCF_NEED_OUTPUT);
    }
    explain(decoder, status);
    return 1;
}

static long length(FILE *file)
{
    long end = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;

    return fseek(file, 0, SEEK_SET) == 0 && end <= INT32_MAX ? end : -1;
}

int main(int argc, char **argv)
{
    gmcf_storage old = {0, NULL, read_old};
    FILE *old_file = NULL, *update, *new_file;
    long bytes = argc == 5 ? strtol(argv[4], NULL, 10) : MOST_BYTES;
    int status;

    if (argc < 4 || argc > 5 || bytes < 1 || bytes > MOST_BYTES) {
        fprintf(stderr, "usage: apply OLD UPDATE NEW [BYTES], BYTES from 1 to %d\n", MOST_BYTES);
        return 2;
    }
    if (strcmp(argv[1], "-") != 0) {
        long len;

        old_file = fopen(argv[1], "rb");
        len = old_file == NULL ? -1 : length(old_file);
        if (len < 0) {
            fprintf(stderr, "%s cannot be read\n", argv[1]);
            return 2;
        }
        old.len = (uint32_t)len;
        old.context = old_file;
    }
    update = fopen(argv[2], "rb");
    new_file = fopen(argv[3], "wb");
    if (update == NULL || new_file == NULL) {
        fprintf(stderr, "%s cannot be opened\n", update == NULL ? argv[2] : argv[3]);
        return 2;
    }
    status = apply(&old, update, new_file, (size_t)bytes);
    if (fclose(new_file) != 0 && status == 0) {
        fprintf(stderr, "the new file cannot be written: %s\n", strerror(errno));
        status = 2;
    }
    if (status != 0) {
        remove(argv[3]);
    }
    return status;
}
