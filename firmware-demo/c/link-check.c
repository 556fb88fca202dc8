/*
 * The C interface and nothing else, the counterpart of ../src/bin/link-check.rs. What it takes of the flash beyond that
 * one is what the interface costs. PARTS is 1 for what no update goes without, 2 for all of gmcf_decoder_*, 3 for the
 * errors' words too: the linker leaves out what is not called. It is never run.
 */
#include <gmcf.h>

static uint64_t memory[(GMCF_DECODER_SMALL_BYTES + 7) / 8];
/* Out of the optimiser's sight. */
static volatile size_t len;

static int read_old(void *context, uint32_t offset, uint8_t *buffer, uint32_t bytes)
{
    (void)context;
    (void)offset;
    (void)buffer;
    (void)bytes;
    return 0;
}

void _start(void)
{
    gmcf_decoder *decoder = (gmcf_decoder *)memory;
    gmcf_storage old = {(uint32_t)len, 0, read_old};
    uint8_t output[64];
    size_t consumed, written;

    len = (size_t)gmcf_decoder_init(memory, sizeof memory, GMCF_PROFILE_SMALL, &old);
    for (;;) {
        len = (size_t)gmcf_decoder_update(decoder, (const uint8_t *)len, len, &consumed, output, sizeof output, &written);
        len = (size_t)gmcf_decoder_finish(decoder);
#if PARTS >= 2
        {
            gmcf_error error;
            uint32_t new_len;

            len = (size_t)gmcf_decoder_new_len(decoder, &new_len);
            len = (size_t)gmcf_decoder_error(decoder, &error);
            len = gmcf_decoder_size((uint32_t)len) + gmcf_decoder_align();
#if PARTS >= 3
            {
                char text[160];

                len = gmcf_error_format(&error, text, sizeof text);
                len = (size_t)gmcf_error_text((int32_t)len);
            }
#endif
        }
#endif
    }
}
