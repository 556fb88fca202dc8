/*
 * What the interface says to arguments that are wrong, and what it leaves alone then. Takes a delta for profile tiny and
 * its old image:
 *
 *     misuse UPDATE OLD
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gmcf.h>

static int failures;

#define CHECK(condition)                                                     \
    do {                                                                     \
        if (!(condition)) {                                                  \
            printf("misuse.c:%d: failed: %s\n", __LINE__, #condition);       \
            failures++;                                                      \
        }                                                                    \
    } while (0)

/* gmcf_decoder_update with its lengths, which must be 0 after an error. */
static gmcf_status update(void *decoder, const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
    size_t consumed = 77, written = 78;
    gmcf_status status = gmcf_decoder_update((gmcf_decoder *)decoder, in, in_len, &consumed, out, out_len, &written);

    CHECK(status >= 0 || (consumed == 0 && written == 0));
    CHECK(consumed <= in_len && written <= out_len);
    return status;
}

struct image {
    const uint8_t *bytes;
    uint32_t len;
    gmcf_decoder *decoder;
    gmcf_status seen[5];
    uint32_t calls, fails_at;
};

/* A reader that does what it must not: use its decoder. */
static int read_image(void *context, uint32_t offset, uint8_t *buffer, uint32_t len)
{
    struct image *image = (struct image *)context;
    uint8_t byte = 0, place = 0;
    gmcf_error error;
    uint32_t new_len;

    CHECK(len > 0 && offset <= image->len && len <= image->len - offset);
    if (image->calls++ == image->fails_at) {
        return 1;
    }
    image->seen[0] = update(image->decoder, &byte, 1, &place, 1);
    image->seen[1] = gmcf_decoder_finish(image->decoder);
    image->seen[2] = gmcf_decoder_error(image->decoder, &error);
    image->seen[3] = gmcf_decoder_new_len(image->decoder, &new_len);
    memcpy(buffer, image->bytes + offset, len);
    return 0;
}

static uint64_t memory[(GMCF_DECODER_MEDIUM_BYTES + 7) / 8 + 2];
static uint8_t container[8192], old_bytes[65536];

static size_t load(const char *name, uint8_t *place, size_t room)
{
    FILE *file = fopen(name, "rb");
    size_t len = file == NULL ? 0 : fread(place, 1, room, file);

    if (len == 0 || len == room) {
        printf("%s cannot be read\n", name);
        exit(2);
    }
    fclose(file);
    return len;
}

static void making(void)
{
    const uint32_t profiles[] = {GMCF_PROFILE_TINY, GMCF_PROFILE_SMALL, GMCF_PROFILE_MEDIUM};
    const size_t bounds[] = {GMCF_DECODER_TINY_BYTES, GMCF_DECODER_SMALL_BYTES, GMCF_DECODER_MEDIUM_BYTES};
    gmcf_storage no_reader = {1, NULL, NULL}, empty = {0, NULL, NULL};
    char *bytes = (char *)memory;
    size_t i, at;

    CHECK(gmcf_decoder_align() == GMCF_DECODER_ALIGN);
    for (i = 0; i < 3; i++) {
        size_t size = gmcf_decoder_size(profiles[i]);

        CHECK(size > 0 && size <= bounds[i]);
        CHECK(gmcf_decoder_init(NULL, size, profiles[i], NULL) == GMCF_ERROR_NULL);
        CHECK(gmcf_decoder_init(memory, size - 1, profiles[i], NULL) == GMCF_ERROR_MEMORY);
        CHECK(gmcf_decoder_init(memory, 0, profiles[i], NULL) == GMCF_ERROR_MEMORY);
        CHECK(gmcf_decoder_init(memory, size, profiles[i], &no_reader) == GMCF_ERROR_NULL);
        CHECK(gmcf_decoder_init(memory, size, profiles[i], &empty) == GMCF_DONE);
        for (at = 1; at < GMCF_DECODER_ALIGN; at++) {
            CHECK(gmcf_decoder_init(bytes + at, size, profiles[i], NULL) == GMCF_ERROR_MEMORY);
        }
        /* No byte outside of the size it names, whatever was there before. */
        memset(memory, 0xa5, sizeof memory);
        CHECK(gmcf_decoder_init(memory + 1, size, profiles[i], NULL) == GMCF_DONE);
        for (at = 0; at < 8; at++) {
            CHECK((uint8_t)bytes[at] == 0xa5 && (uint8_t)bytes[8 + size + at] == 0xa5);
        }
    }
    CHECK(gmcf_decoder_size(3) == 0 && gmcf_decoder_size(UINT32_MAX) == 0);
    CHECK(gmcf_decoder_init(memory, sizeof memory, 3, NULL) == GMCF_ERROR_PROFILE);
    CHECK(gmcf_decoder_init(memory, sizeof memory, UINT32_MAX, NULL) == GMCF_ERROR_PROFILE);
}

static void no_decoder(void)
{
    uint8_t byte = 0, place = 0;
    gmcf_error error;
    uint32_t new_len;
    int fill;

    for (fill = 0; fill <= 0xff; fill += 0xff) {
        memset(memory, fill, sizeof memory);
        CHECK(update(memory, &byte, 1, &place, 1) == GMCF_ERROR_NOT_A_DECODER);
        CHECK(gmcf_decoder_finish((gmcf_decoder *)memory) == GMCF_ERROR_NOT_A_DECODER);
        CHECK(gmcf_decoder_error((gmcf_decoder *)memory, &error) == GMCF_ERROR_NOT_A_DECODER);
        CHECK(gmcf_decoder_new_len((gmcf_decoder *)memory, &new_len) == GMCF_ERROR_NOT_A_DECODER);
    }
    CHECK(update((char *)memory + 4, &byte, 1, &place, 1) == GMCF_ERROR_NOT_A_DECODER);
    CHECK(update(NULL, &byte, 1, &place, 1) == GMCF_ERROR_NULL);
    CHECK(gmcf_decoder_finish(NULL) == GMCF_ERROR_NULL);
    CHECK(gmcf_decoder_error(NULL, &error) == GMCF_ERROR_NULL);
    CHECK(gmcf_decoder_new_len(NULL, &new_len) == GMCF_ERROR_NULL);
}

static void arguments(void)
{
    gmcf_decoder *decoder = (gmcf_decoder *)memory;
    uint8_t bytes[16] = {0};
    uint8_t *inside = (uint8_t *)memory + 64;
    size_t count;
    gmcf_error error;
    uint32_t new_len;

    CHECK(gmcf_decoder_init(memory, sizeof memory, GMCF_PROFILE_TINY, NULL) == GMCF_DONE);
    CHECK(gmcf_decoder_update(decoder, bytes, 1, NULL, bytes + 8, 1, &count) == GMCF_ERROR_NULL);
    CHECK(gmcf_decoder_update(decoder, bytes, 1, &count, bytes + 8, 1, NULL) == GMCF_ERROR_NULL);
    CHECK(gmcf_decoder_error(decoder, NULL) == GMCF_ERROR_NULL);
    CHECK(gmcf_decoder_new_len(decoder, NULL) == GMCF_ERROR_NULL);
    CHECK(update(decoder, NULL, 1, bytes, 1) == GMCF_ERROR_NULL);
    CHECK(update(decoder, bytes, 1, NULL, 1) == GMCF_ERROR_NULL);
    CHECK(update(decoder, bytes, SIZE_MAX, bytes + 8, 1) == GMCF_ERROR_LENGTH);
    CHECK(update(decoder, bytes, SIZE_MAX / 2 + 1, bytes + 8, 1) == GMCF_ERROR_LENGTH);
    CHECK(update(decoder, bytes, 1, bytes + 8, SIZE_MAX) == GMCF_ERROR_LENGTH);
    CHECK(update(decoder, bytes, 8, bytes, 8) == GMCF_ERROR_OVERLAP);
    CHECK(update(decoder, bytes, 8, bytes + 7, 8) == GMCF_ERROR_OVERLAP);
    CHECK(update(decoder, bytes + 7, 8, bytes, 8) == GMCF_ERROR_OVERLAP);
    CHECK(update(decoder, inside, 1, bytes, 1) == GMCF_ERROR_OVERLAP);
    CHECK(update(decoder, bytes, 1, inside, 1) == GMCF_ERROR_OVERLAP);
    /* None of these reached the decoder: it waits for its first byte. */
    CHECK(gmcf_decoder_error(decoder, &error) == GMCF_DONE && error.code == 0 && error.field[0] == 0);
    CHECK(gmcf_decoder_new_len(decoder, &new_len) == GMCF_NEED_INPUT);
    CHECK(update(decoder, NULL, 0, NULL, 0) == GMCF_NEED_INPUT);
    CHECK(update(decoder, bytes, 0, bytes, 0) == GMCF_NEED_INPUT);
    CHECK(update(decoder, bytes + 8, 0, bytes, 16) == GMCF_NEED_INPUT);
    CHECK(update(decoder, inside, 0, inside, 0) == GMCF_NEED_INPUT);
    CHECK(gmcf_decoder_finish(decoder) == GMCF_ERROR_TRUNCATED);
    CHECK(gmcf_decoder_error(decoder, &error) == GMCF_DONE && error.code == GMCF_ERROR_TRUNCATED);
    CHECK(strcmp(error.field, "header") == 0 && error.found == 0 && error.limit == 1);
    /* A zero is no GMCF file; the reason outlasts later calls. */
    CHECK(update(decoder, bytes, 8, bytes + 8, 8) == GMCF_ERROR_BAD_MAGIC);
    CHECK(update(decoder, bytes, 8, bytes + 8, 8) == GMCF_ERROR_FINISHED);
    CHECK(gmcf_decoder_finish(decoder) == GMCF_ERROR_FINISHED);
    CHECK(gmcf_decoder_error(decoder, &error) == GMCF_DONE && error.code == GMCF_ERROR_BAD_MAGIC);
}

/* Decodes as far as `image` lets it. */
static gmcf_status decode(struct image *image, const uint8_t *in, size_t len, size_t *made)
{
    gmcf_storage old = {image->len, image, read_image};
    gmcf_status status;
    uint8_t out[256];

    *made = 0;
    image->decoder = (gmcf_decoder *)memory;
    CHECK(gmcf_decoder_init(memory, sizeof memory, GMCF_PROFILE_TINY, &old) == GMCF_DONE);
    /* It was copied. */
    memset(&old, 0xff, sizeof old);
    do {
        size_t consumed, written;

        status = gmcf_decoder_update(image->decoder, in, len, &consumed, out, sizeof out, &written);
        in += consumed;
        len -= consumed;
        *made += written;
    } while (status == GMCF_NEED_OUTPUT);
    return status;
}

static void reading(size_t container_len, size_t old_len)
{
    struct image image = {old_bytes, (uint32_t)old_len, NULL, {0}, 0, UINT32_MAX};
    gmcf_error error;
    uint32_t new_len = 0, reads, fails_at[5] = {0, 1, 2, 0, 0};
    size_t made, i;

    CHECK(decode(&image, container, container_len, &made) == GMCF_DONE);
    CHECK(image.seen[0] == GMCF_ERROR_BUSY && image.seen[1] == GMCF_ERROR_BUSY);
    CHECK(image.seen[2] == GMCF_ERROR_BUSY && image.seen[3] == GMCF_ERROR_BUSY);
    CHECK(gmcf_decoder_new_len(image.decoder, &new_len) == GMCF_DONE && new_len == made && made > 0);
    CHECK(gmcf_decoder_finish(image.decoder) == GMCF_DONE);
    CHECK(gmcf_decoder_error(image.decoder, &error) == GMCF_DONE && error.code == 0);

    /* A reader that fails, early, in the middle and at last. */
    reads = image.calls;
    CHECK(reads > 100);
    fails_at[3] = reads / 2;
    fails_at[4] = reads - 1;
    for (i = 0; i < 5; i++) {
        image.calls = 0;
        image.fails_at = fails_at[i];
        CHECK(decode(&image, container, container_len, &made) == GMCF_ERROR_STORAGE);
        CHECK(gmcf_decoder_error(image.decoder, &error) == GMCF_DONE && error.code == GMCF_ERROR_STORAGE);
        CHECK(error.limit > 0 && error.found + error.limit <= old_len);
    }
    /* One byte less than the update needs. */
    image.len--;
    image.calls = 0;
    image.fails_at = UINT32_MAX;
    CHECK(decode(&image, container, container_len, &made) == GMCF_ERROR_STORAGE && made == 0);
}

int main(int argc, char **argv)
{
    size_t container_len, old_len;

    if (argc != 3) {
        return 2;
    }
    container_len = load(argv[1], container, sizeof container);
    old_len = load(argv[2], old_bytes, sizeof old_bytes);
    making();
    no_decoder();
    arguments();
    reading(container_len, old_len);
    printf("%d failures\n", failures);
    return failures > 0;
}
