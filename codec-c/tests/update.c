/*
 * Takes a signed update without the link, first with arguments that are wrong, then with the power cut after every so
 * many operations of the flash:
 *
 *     update FLASH UPDATE FORGED SLOTS
 *
 * FLASH is what `gmcf flash` lays down for examples/device.c, FORGED an update that no key of the device has signed,
 * SLOTS is 1 or 2.
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
            printf("update.c:%d: failed: %s\n", __LINE__, #condition);       \
            failures++;                                                      \
        }                                                                    \
    } while (0)

/* As in examples/device.c. */
enum { PRODUCT = 7, WRITE = 4, ERASE = 4096, STATE = 8192, DOWNLOAD = 131072, SLOT = 262144, SCRATCH = 131072, ATTEMPTS = 3 };

static const gmcf_layout two_slots = {
    {0, STATE},
    {STATE, DOWNLOAD},
    {{STATE + DOWNLOAD, SLOT}, {STATE + DOWNLOAD + SLOT, SLOT}},
    {0, 0},
};
static const gmcf_layout one_slot = {
    {0, STATE},
    {STATE, DOWNLOAD},
    {{STATE + DOWNLOAD + SCRATCH, SLOT}, {0, 0}},
    {STATE + DOWNLOAD, SCRATCH},
};
static const gmcf_layout *layout;

/* A byte more than needed on both sides shows what is written outside. */
static uint64_t updater_memory[GMCF_UPDATER_BYTES / 8 + 2], decoder_memory[(GMCF_DECODER_SMALL_BYTES + 7) / 8 + 2];
static uint64_t link_memory[GMCF_LINK_BYTES / 8];

#define UPDATER ((void *)(updater_memory + 1))
#define DECODER ((void *)(decoder_memory + 1))
#define GUARD UINT64_C(0x5a5a5a5a5a5a5a5a)

static struct {
    uint8_t *cells, *written; /* one byte of `written` for each write size: it was written since its block was erased */
    uint32_t len;
    long left; /* operations until the power fails */
    gmcf_status inside[4];
} nor;

static int flash_read(void *context, uint32_t offset, uint8_t *buffer, uint32_t len)
{
    CHECK(context == &nor && offset <= nor.len && len <= nor.len - offset);
    memcpy(buffer, nor.cells + offset, len);
    return nor.left > 0 ? 0 : -1;
}

/* Whether the power lasts for one more operation. Of the last one only half is done. */
static uint32_t power(uint32_t len)
{
    return --nor.left > 0 ? len : nor.left == 0 ? len / 2 / WRITE * WRITE : 0;
}

static int flash_write(void *context, uint32_t offset, const uint8_t *bytes, uint32_t len)
{
    uint32_t done = power(len), at;

    CHECK(context == &nor && offset % WRITE == 0 && len % WRITE == 0 && offset <= nor.len && len <= nor.len - offset);
    for (at = 0; at < done; at++) {
        if (at % WRITE == 0) {
            CHECK(!nor.written[(offset + at) / WRITE]);
            nor.written[(offset + at) / WRITE] = 1;
        }
        nor.cells[offset + at] &= bytes[at];
    }
    return done == len ? 0 : -1;
}

static int flash_erase(void *context, uint32_t offset, uint32_t len)
{
    uint32_t done = power(len);

    CHECK(context == &nor && offset % ERASE == 0 && len % ERASE == 0 && offset <= nor.len && len <= nor.len - offset);
    memset(nor.cells + offset, 0xff, done);
    memset(nor.written + offset / WRITE, 0, done / WRITE);
    return done == len ? 0 : -1;
}

static gmcf_flash driver = {0, WRITE, ERASE, &nor, flash_read, flash_write, flash_erase};
static gmcf_config config = {PRODUCT, GMCF_PROFILE_SMALL, ATTEMPTS, DECODER, GMCF_DECODER_SMALL_BYTES};

static gmcf_status open_updater(gmcf_error *error)
{
    return gmcf_updater_open(UPDATER, GMCF_UPDATER_BYTES, &driver, layout, &config, error);
}

struct bytes {
    uint8_t *start;
    uint32_t len;
};

static struct bytes load(const char *name)
{
    struct bytes bytes = {NULL, 0};
    FILE *file = fopen(name, "rb");
    long len = file != NULL && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;

    if (len <= 0 || fseek(file, 0, SEEK_SET) != 0 || (bytes.start = malloc((size_t)len)) == NULL ||
        fread(bytes.start, 1, (size_t)len, file) != (size_t)len) {
        printf("%s cannot be read\n", name);
        exit(2);
    }
    fclose(file);
    bytes.len = (uint32_t)len;
    return bytes;
}

/* From whatever the device is at to the image that is confirmed, or to where the power fails: then it returns 0. */
static int drive(const struct bytes *update)
{
    gmcf_updater *updater = UPDATER;
    gmcf_boot_result booted;
    gmcf_info info;
    gmcf_error error;
    int turn;

    for (turn = 0; turn < 4; turn++) {
        uint32_t at;

        if (gmcf_boot(&driver, layout, ATTEMPTS, UPDATER, GMCF_UPDATER_BYTES, &booted, NULL) != GMCF_DONE ||
            open_updater(NULL) != GMCF_DONE) {
            return 0;
        }
        if (booted.action == GMCF_BOOT_RESUME) {
            if (gmcf_updater_install(updater) != GMCF_DONE) {
                return 0;
            }
            continue;
        }
        /* One of the two is whole, always. */
        if (nor.left > 0) {
            CHECK(booted.action == GMCF_BOOT_RUN && (booted.version == 1 || booted.version == 2));
        }
        if (gmcf_updater_info(updater, &info) != GMCF_DONE || nor.left <= 0) {
            return 0;
        }
        CHECK(info.product == PRODUCT && info.profile == GMCF_PROFILE_SMALL && info.version == booted.version);
        if (info.version == 2) {
            return (info.state == GMCF_STATE_CONFIRMED || gmcf_updater_confirm(updater) == GMCF_DONE) &&
                   gmcf_updater_info(updater, &info) == GMCF_DONE && info.state == GMCF_STATE_CONFIRMED;
        }
        if (info.state < GMCF_STATE_DECODING || info.state > GMCF_STATE_READY) {
            if (gmcf_updater_offer(updater, update->start, &at) != GMCF_DONE) {
                return 0;
            }
            while (at < update->len - GMCF_MANIFEST_BYTES) {
                uint32_t n = update->len - GMCF_MANIFEST_BYTES - at;

                n = n < 200 ? n : 200;
                if (gmcf_updater_receive(updater, at, update->start + GMCF_MANIFEST_BYTES + at, n) != GMCF_DONE) {
                    return 0;
                }
                at += n;
            }
        }
        if ((layout == &two_slots ? gmcf_updater_install : gmcf_updater_prepare)(updater) != GMCF_DONE) {
            CHECK(gmcf_updater_error(updater, &error) == GMCF_DONE && error.code < 0);
            return 0;
        }
    }
    return 0;
}

/* A flash function that does what it must not. */
static int read_and_use(void *context, uint32_t offset, uint8_t *buffer, uint32_t len)
{
    const uint8_t *reply;
    size_t consumed, reply_len;
    gmcf_info info;

    nor.inside[0] = gmcf_updater_info(UPDATER, &info);
    nor.inside[1] = gmcf_updater_install(UPDATER);
    nor.inside[2] =
        gmcf_link_push((gmcf_link *)link_memory, UPDATER, (const uint8_t *)"", 1, &consumed, &reply, &reply_len);
    return flash_read(context, offset, buffer, len);
}

static void wrong_arguments(const struct bytes *update, const struct bytes *forged)
{
    gmcf_updater *updater = UPDATER;
    gmcf_link *link = (gmcf_link *)link_memory;
    gmcf_layout other = *layout;
    gmcf_config wrong = config;
    gmcf_boot_result booted;
    gmcf_error error = {0};
    gmcf_info info;
    const uint8_t *reply;
    size_t consumed, reply_len;
    uint32_t at;

    CHECK(gmcf_write_size() == WRITE && gmcf_erase_size() == ERASE);
    CHECK(gmcf_updater_size() <= GMCF_UPDATER_BYTES && gmcf_updater_align() == GMCF_UPDATER_ALIGN);
    CHECK(gmcf_link_size() <= GMCF_LINK_BYTES);
    CHECK(gmcf_updater_info(updater, &info) == GMCF_ERROR_NOT_AN_UPDATER);
    CHECK(gmcf_updater_install(NULL) == GMCF_ERROR_NULL);

    driver.write_size = 8;
    CHECK(open_updater(NULL) == GMCF_ERROR_SIZES);
    CHECK(gmcf_boot(&driver, layout, ATTEMPTS, UPDATER, GMCF_UPDATER_BYTES, &booted, NULL) == GMCF_ERROR_SIZES);
    driver.write_size = WRITE;
    driver.erase = NULL;
    CHECK(open_updater(NULL) == GMCF_ERROR_NULL);
    driver.erase = flash_erase;
    driver.capacity -= ERASE;
    CHECK(open_updater(&error) == GMCF_ERROR_LAYOUT && error.code == GMCF_ERROR_LAYOUT && error.field[0] != 0);
    driver.capacity += ERASE;

    CHECK(gmcf_updater_open(NULL, GMCF_UPDATER_BYTES, &driver, layout, &config, NULL) == GMCF_ERROR_NULL);
    CHECK(gmcf_updater_open(UPDATER, gmcf_updater_size() - 1, &driver, layout, &config, NULL) == GMCF_ERROR_MEMORY);
    CHECK(gmcf_updater_open((uint8_t *)UPDATER + 4, GMCF_UPDATER_BYTES - 8, &driver, layout, &config, NULL) ==
          GMCF_ERROR_MEMORY);
    CHECK(gmcf_updater_open(UPDATER, SIZE_MAX - 16, &driver, layout, &config, NULL) == GMCF_ERROR_LENGTH);
    wrong.profile = 3;
    CHECK(gmcf_updater_open(UPDATER, GMCF_UPDATER_BYTES, &driver, layout, &wrong, NULL) == GMCF_ERROR_PROFILE);
    wrong = config;
    wrong.decoder_len = 1000;
    CHECK(gmcf_updater_open(UPDATER, GMCF_UPDATER_BYTES, &driver, layout, &wrong, NULL) == GMCF_ERROR_MEMORY);
    wrong.decoder_len = config.decoder_len;
    wrong.decoder = UPDATER;
    CHECK(gmcf_updater_open(UPDATER, GMCF_UPDATER_BYTES, &driver, layout, &wrong, NULL) == GMCF_ERROR_OVERLAP);
    wrong = config;
    wrong.attempts = 256;
    CHECK(gmcf_updater_open(UPDATER, GMCF_UPDATER_BYTES, &driver, layout, &wrong, &error) == GMCF_ERROR_OUT_OF_RANGE);
    CHECK(strcmp(error.field, "attempts") == 0 && error.found == 256 && error.limit == 255);
    other.slots[1].len = other.scratch.len = ERASE;
    CHECK(gmcf_updater_open(UPDATER, GMCF_UPDATER_BYTES, &driver, &other, &config, &error) == GMCF_ERROR_LAYOUT);
    CHECK(gmcf_boot(&driver, layout, 0, UPDATER, GMCF_UPDATER_BYTES, &booted, &error) == GMCF_ERROR_OUT_OF_RANGE);
    CHECK(gmcf_updater_info(updater, &info) == GMCF_ERROR_NOT_AN_UPDATER);

    CHECK(open_updater(NULL) == GMCF_DONE);
    CHECK(gmcf_updater_error(updater, &error) == GMCF_DONE && error.code == 0);
    CHECK(gmcf_updater_confirm(updater) == GMCF_ERROR_WRONG_STATE);
    CHECK(gmcf_updater_install(updater) == GMCF_ERROR_WRONG_STATE);
    CHECK(gmcf_updater_receive(updater, 0, update->start, 1) == GMCF_ERROR_WRONG_STATE);
    CHECK(gmcf_updater_rotate(updater, update->start, 1) == GMCF_ERROR_TRUNCATED);
    CHECK(gmcf_updater_rotate(updater, update->start, SIZE_MAX) == GMCF_ERROR_LENGTH);
    CHECK(gmcf_updater_offer(updater, NULL, &at) == GMCF_ERROR_NULL);
    CHECK(gmcf_updater_offer(updater, forged->start, &at) == GMCF_ERROR_BAD_SIGNATURE);
    CHECK(gmcf_updater_error(updater, &error) == GMCF_DONE && error.code == GMCF_ERROR_BAD_SIGNATURE && error.index == 0);
    CHECK(gmcf_updater_offer(updater, update->start, &at) == GMCF_DONE && at == 0);
    CHECK(gmcf_updater_receive(updater, 0, NULL, 1) == GMCF_ERROR_NULL);
    CHECK(gmcf_updater_receive(updater, 0, UPDATER, 1) == GMCF_ERROR_OVERLAP);
    CHECK(gmcf_updater_receive(updater, 1, update->start, 1) == GMCF_ERROR_GAP);
    CHECK(gmcf_updater_receive(updater, 0, update->start, update->len) == GMCF_ERROR_NO_ROOM);
    CHECK(gmcf_updater_receive(updater, 0, NULL, 0) == GMCF_DONE);
    CHECK(gmcf_updater_info(updater, &info) == GMCF_DONE && info.state == GMCF_STATE_RECEIVING && info.failure == 0);

    CHECK(gmcf_link_init(NULL, GMCF_LINK_BYTES, 1) == GMCF_ERROR_NULL);
    CHECK(gmcf_link_init(link_memory, gmcf_link_size() - 1, 1) == GMCF_ERROR_MEMORY);
    CHECK(gmcf_link_push(link, updater, update->start, 1, &consumed, &reply, &reply_len) == GMCF_ERROR_NOT_A_LINK);
    CHECK(gmcf_link_init(link_memory, sizeof link_memory, 1) == GMCF_DONE);
    CHECK(gmcf_link_push(link, updater, NULL, 1, &consumed, &reply, &reply_len) == GMCF_ERROR_NULL);
    CHECK(gmcf_link_push(link, updater, (uint8_t *)link, 1, &consumed, &reply, &reply_len) == GMCF_ERROR_OVERLAP);
    CHECK(gmcf_link_push(link, (gmcf_updater *)decoder_memory, update->start, 1, &consumed, &reply, &reply_len) ==
          GMCF_ERROR_NOT_AN_UPDATER);
    CHECK(gmcf_link_push(link, updater, update->start, 100, &consumed, &reply, &reply_len) == GMCF_NEED_INPUT);
    CHECK(consumed == 100 && reply_len == 0);

    /* Called back, and used. The record says that an update is complete, so all of it is read. */
    driver.read = read_and_use;
    CHECK(open_updater(NULL) == GMCF_DONE && nor.inside[0] == GMCF_ERROR_NOT_AN_UPDATER);
    CHECK(gmcf_updater_offer(updater, update->start, &at) == GMCF_DONE && nor.inside[0] == GMCF_ERROR_BUSY);
    CHECK(nor.inside[1] == GMCF_ERROR_BUSY && nor.inside[2] == GMCF_ERROR_BUSY);
    driver.read = flash_read;
    CHECK(open_updater(NULL) == GMCF_DONE && gmcf_updater_info(updater, &info) == GMCF_DONE);
}

int main(int argc, char **argv)
{
    struct bytes first, update, forged;
    long cut, cuts = 0, enough = 1000000000;
    size_t end = GMCF_UPDATER_BYTES / 8 + 1, decoder_end = (GMCF_DECODER_SMALL_BYTES + 7) / 8 + 1;

    if (argc != 5) {
        printf("usage: update FLASH UPDATE FORGED SLOTS\n");
        return 2;
    }
    first = load(argv[1]);
    update = load(argv[2]);
    forged = load(argv[3]);
    layout = argv[4][0] == '2' ? &two_slots : &one_slot;
    nor.len = driver.capacity = first.len;
    nor.cells = malloc(first.len);
    nor.written = malloc(first.len / WRITE);
    if (nor.cells == NULL || nor.written == NULL) {
        return 2;
    }
    memset(updater_memory, 0x5a, sizeof updater_memory);
    memset(decoder_memory, 0x5a, sizeof decoder_memory);

    nor.left = enough;
    memcpy(nor.cells, first.start, first.len);
    memset(nor.written, 0, first.len / WRITE);
    wrong_arguments(&update, &forged);

    /* The power fails at every so many operations, then no more; the device gets there from wherever it is left. */
    for (cut = 1; cuts < 100000; cut += 1 + cut / 8) {
        memcpy(nor.cells, first.start, first.len);
        memset(nor.written, 0, first.len / WRITE);
        nor.left = cut;
        if (drive(&update)) {
            break;
        }
        CHECK(nor.left <= 0);
        cuts++;
        nor.left = enough;
        if (!drive(&update)) {
            printf("not there after a cut at operation %ld\n", cut);
            failures++;
            break;
        }
    }
    CHECK(cuts > 20);
    CHECK(updater_memory[0] == GUARD && updater_memory[end] == GUARD);
    CHECK(decoder_memory[0] == GUARD && decoder_memory[decoder_end] == GUARD);
    printf("%ld power cuts\n", cuts);
    return failures == 0 ? 0 : 1;
}
