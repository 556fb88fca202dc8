/*
 * A device that takes updates from `gmcf push`, with a file for its flash and TCP for its serial port:
 *
 *     device FLASH SLOTS
 *
 * FLASH is what `gmcf flash` lays down; SLOTS is 1 or 2. It says what it boots and where it listens. To cut its power,
 * kill it. Exit status: 1 when it cannot go on, 2 when the command line is wrong.
 */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <gmcf.h>

/* What `gmcf flash` and `gmcf release` read from a device file. */
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

/* uint64_t has the alignment that they need. */
static uint64_t updater_memory[GMCF_UPDATER_BYTES / 8];
static uint64_t link_memory[GMCF_LINK_BYTES / 8];
static uint64_t decoder_memory[(GMCF_DECODER_SMALL_BYTES + 7) / 8];

static const gmcf_config config = {PRODUCT, GMCF_PROFILE_SMALL, ATTEMPTS, decoder_memory, sizeof decoder_memory};

/* The flash driver. */
static int flash_read(void *context, uint32_t offset, uint8_t *buffer, uint32_t len)
{
    return pread(*(int *)context, buffer, len, (off_t)offset) == (ssize_t)len ? 0 : -1;
}

/* Like flash, it can clear bits, and not set them. */
static int flash_write(void *context, uint32_t offset, const uint8_t *bytes, uint32_t len)
{
    uint8_t cells[WRITE];
    uint32_t at, i;

    for (at = 0; at < len; at += WRITE) {
        if (flash_read(context, offset + at, cells, WRITE) != 0) {
            return -1;
        }
        for (i = 0; i < WRITE; i++) {
            cells[i] &= bytes[at + i];
        }
        if (pwrite(*(int *)context, cells, WRITE, (off_t)(offset + at)) != WRITE) {
            return -1;
        }
    }
    return 0;
}

static int flash_erase(void *context, uint32_t offset, uint32_t len)
{
    static uint8_t block[ERASE];
    uint32_t at;

    memset(block, 0xff, ERASE);
    for (at = 0; at < len; at += ERASE) {
        if (pwrite(*(int *)context, block, ERASE, (off_t)(offset + at)) != ERASE) {
            return -1;
        }
    }
    return 0;
}

/* Says why something could not be done. */
static int explain(const char *what, gmcf_status status, const gmcf_error *error)
{
    char text[160];

    if (error->code == status) {
        gmcf_error_format(error, text, sizeof text);
        printf("%s: error %d: %s\n", what, (int)status, text);
    } else {
        printf("%s: error %d: %s\n", what, (int)status, gmcf_error_text(status));
    }
    return -1;
}

/* What a boot loader does: picks the image, and goes on with an update in place that was interrupted. */
static int boot(const gmcf_flash *flash, const gmcf_layout *layout, gmcf_boot_result *image)
{
    gmcf_updater *updater = (gmcf_updater *)updater_memory;
    gmcf_error error = {0};
    gmcf_status status = gmcf_boot(flash, layout, ATTEMPTS, updater_memory, sizeof updater_memory, image, &error);

    if (status == GMCF_DONE && image->action == GMCF_BOOT_RESUME) {
        printf("boot: blocks are being replaced\n");
        status = gmcf_updater_open(updater_memory, sizeof updater_memory, flash, layout, &config, &error);
        if (status == GMCF_DONE && gmcf_updater_install(updater) != GMCF_DONE) {
            /* Blocks were replaced, and the rest cannot be: the device waits for a whole image. */
            gmcf_updater_error(updater, &error);
            explain("install", error.code, &error);
        }
        if (status == GMCF_DONE) {
            status = gmcf_boot(flash, layout, ATTEMPTS, updater_memory, sizeof updater_memory, image, &error);
        }
    }
    return status == GMCF_DONE ? 0 : explain("boot", status, &error);
}

/* Sends all of it. */
static int send_all(int port, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(port, bytes, len);

        if (n <= 0) {
            return -1;
        }
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Serves whoever is at the other end. Returns the last status: GMCF_RESTART, GMCF_NEED_INPUT when nobody is there any
 * more, or an error. */
static gmcf_status serve(gmcf_link *link, gmcf_updater *updater, int port)
{
    uint8_t input[64];
    gmcf_status status = GMCF_NEED_INPUT;
    ssize_t n;

    while ((n = read(port, input, sizeof input)) > 0) {
        const uint8_t *rest = input, *reply;
        size_t left = (size_t)n, consumed, reply_len;

        do {
            status = gmcf_link_push(link, updater, rest, left, &consumed, &reply, &reply_len);
            rest += consumed;
            left -= consumed;
            if (status < 0 || send_all(port, reply, reply_len) != 0 || status == GMCF_RESTART) {
                return status;
            }
        } while (status == GMCF_SEND);
    }
    return status;
}

/* From one start to the next. Returns 0 to be started again. */
static int run(const gmcf_flash *flash, const gmcf_layout *layout, int listener, int *port, uint32_t seed)
{
    gmcf_updater *updater = (gmcf_updater *)updater_memory;
    gmcf_link *link = (gmcf_link *)link_memory;
    gmcf_boot_result image;
    gmcf_error error = {0};
    gmcf_status status;

    if (boot(flash, layout, &image) != 0) {
        return -1;
    }
    if (image.action == GMCF_BOOT_RUN) {
        /* On a device: the boot loader jumps to the image, which does what follows. */
        printf("boot: slot %c, version %lu, %s\n", image.slot == 0 ? 'A' : 'B', (unsigned long)image.version,
               image.trial ? "trial" : "settled");
    } else {
        printf("boot: no slot holds a whole image\n");
    }
    status = gmcf_updater_open(updater_memory, sizeof updater_memory, flash, layout, &config, &error);
    if (status != GMCF_DONE) {
        return explain("open", status, &error);
    }
    gmcf_link_init(link_memory, sizeof link_memory, seed);
    for (;;) {
        if (*port < 0 && (*port = accept(listener, NULL, NULL)) < 0) {
            return -1;
        }
        status = serve(link, updater, *port);
        if (status == GMCF_RESTART) {
            return 0;
        }
        if (status < 0) {
            return explain("link", status, &error);
        }
        close(*port);
        *port = -1;
        if (gmcf_updater_error(updater, &error) == GMCF_DONE && error.code != 0) {
            explain("refused", error.code, &error);
        }
    }
}

int main(int argc, char **argv)
{
    int slots = argc == 3 && strlen(argv[2]) == 1 ? argv[2][0] - '0' : 0;
    int file, listener, port = -1;
    struct sockaddr_in address = {0};
    socklen_t len = sizeof address;
    gmcf_flash flash = {0, WRITE, ERASE, &file, flash_read, flash_write, flash_erase};
    uint32_t seed = (uint32_t)time(NULL) ^ (uint32_t)getpid() << 16;

    if (slots != 1 && slots != 2) {
        fprintf(stderr, "usage: device FLASH SLOTS, SLOTS 1 or 2\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    file = open(argv[1], O_RDWR);
    if (file < 0) {
        fprintf(stderr, "%s cannot be opened\n", argv[1]);
        return 2;
    }
    flash.capacity = (uint32_t)lseek(file, 0, SEEK_END);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0) {
        fprintf(stderr, "there is no port\n");
        return 1;
    }
    printf("port: %u\n", (unsigned)ntohs(address.sin_port));
    while (run(&flash, slots == 2 ? &two_slots : &one_slot, listener, &port, seed++) == 0) {
        /* All memory is made anew, as after a restart. */
        memset(updater_memory, 0x5a, sizeof updater_memory);
        memset(link_memory, 0x5a, sizeof link_memory);
        memset(decoder_memory, 0x5a, sizeof decoder_memory);
    }
    return 1;
}
