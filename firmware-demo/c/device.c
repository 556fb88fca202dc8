/*
 * A device that takes updates from `gmcf push` over its serial port, on QEMU's lm3s6965evb: a Cortex-M3 with 64 KiB of
 * RAM. Its flash is a host file, what `gmcf flash` lays down for the device file of this board (see ../device.sh).
 *
 * The command line is: device FLASH
 *
 * The decoder of profile small takes nearly all of the RAM, but only while an update is rebuilt. It has no memory of its
 * own: it is lent what lies between the statics and the stack, which the stack needs while signatures are checked.
 */
#include <gmcf.h>

#include "host.h"

/* As boards/BOARDS.tsv has it for lm3s6965evb. */
enum { PRODUCT = 2, WRITE = 4, ERASE = 4096, STATE = 16384, DOWNLOAD = 65536, SLOT = 196608, ATTEMPTS = 3 };

enum { PIECE_BYTES = 64, TEXT_BYTES = 160 };

static const gmcf_layout layout = {
    {0, STATE},
    {STATE, DOWNLOAD},
    {{STATE + DOWNLOAD, SLOT}, {STATE + DOWNLOAD + SLOT, SLOT}},
    {0, 0},
};

static uint64_t updater_memory[GMCF_UPDATER_BYTES / 8];
static uint64_t link_memory[GMCF_LINK_BYTES / 8];

#ifdef MEASURE
/* Set when the device has started: from then on the slots are only read by the decoder, and after it. */
static int has_started;
#endif

/* The flash driver. */
static int flash_read(void *context, uint32_t offset, uint8_t *buffer, uint32_t len)
{
#ifdef MEASURE
    static int is_decoding;

    is_decoding |= has_started && offset >= STATE + DOWNLOAD;
    if (is_decoding) {
        host_watch_stack((uint8_t *)host_free_memory() + gmcf_decoder_size(GMCF_PROFILE_SMALL));
    }
#endif
    return host_read_at((const struct host_file *)context, offset, buffer, len);
}

/* Like flash, it can clear bits, and not set them. */
static int flash_write(void *context, uint32_t offset, const uint8_t *bytes, uint32_t len)
{
    static uint8_t cells[PIECE_BYTES];

    while (len > 0) {
        uint32_t n = len < PIECE_BYTES ? len : PIECE_BYTES, i;

        if (flash_read(context, offset, cells, n) != 0) {
            return -1;
        }
        for (i = 0; i < n; i++) {
            cells[i] &= bytes[i];
        }
        if (host_write_at((const struct host_file *)context, offset, cells, n) != 0) {
            return -1;
        }
        offset += n;
        bytes += n;
        len -= n;
    }
    return 0;
}

static int flash_erase(void *context, uint32_t offset, uint32_t len)
{
    static uint8_t erased[PIECE_BYTES];
    uint32_t at;

    for (at = 0; at < PIECE_BYTES; at++) {
        erased[at] = 0xff;
    }
    for (at = 0; at < len; at += PIECE_BYTES) {
        if (host_write_at((const struct host_file *)context, offset + at, erased, PIECE_BYTES) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Not inlined: its text would lie on the stack all the time. */
__attribute__((noinline)) static int refuse(gmcf_status status, const gmcf_error *error)
{
    char text[TEXT_BYTES];

    host_print("error: ");
    if (error->code == status) {
        gmcf_error_format(error, text, sizeof text);
        host_print(text);
    } else {
        host_print(gmcf_error_text(status));
    }
    host_print("\n");
    return 1;
}

/* Says what was refused, once. */
__attribute__((noinline)) static void tell_refusal(gmcf_updater *updater)
{
    static int32_t told;
    gmcf_error error;

    if (gmcf_updater_error(updater, &error) == GMCF_DONE && error.code != told) {
        told = error.code;
        refuse(error.code, &error);
    }
}

/* Picks the image and opens the updater. */
__attribute__((noinline)) static int start(gmcf_flash *flash)
{
    gmcf_config config = {PRODUCT, GMCF_PROFILE_SMALL, ATTEMPTS, host_free_memory(),
                          gmcf_decoder_size(GMCF_PROFILE_SMALL)};
    gmcf_error error = {0, 0, 0, 0, {0}};
    gmcf_boot_result image;
    gmcf_status status = gmcf_boot(flash, &layout, ATTEMPTS, updater_memory, sizeof updater_memory, &image, &error);
    gmcf_info info;

    if (status != GMCF_DONE) {
        return refuse(status, &error);
    }
    if (image.action == GMCF_BOOT_RUN) {
        /* A boot loader would jump there. These images are for other boards. */
        host_print(image.slot == 0 ? "boot: slot A" : "boot: slot B");
        host_print_number(", version ", image.version, image.trial ? ", trial\n" : ", settled\n");
    } else {
        host_print("boot: no slot holds a whole image\n");
    }
    status = gmcf_updater_open(updater_memory, sizeof updater_memory, flash, &layout, &config, &error);
    if (status != GMCF_DONE) {
        return refuse(status, &error);
    }
    gmcf_updater_info((gmcf_updater *)updater_memory, &info);
    host_print_number("state: ", (uint32_t)info.state, "");
    host_print_number(", ", info.received, " bytes received\n");
    return 0;
}

#ifdef MEASURE
static uint32_t before_install;
static int is_told;

/* Until the decoder writes there, the paint tells of all of the stack. */
__attribute__((noinline)) static void measure(void)
{
    gmcf_info info;

    gmcf_updater_info((gmcf_updater *)updater_memory, &info);
    if (info.state == GMCF_STATE_RECEIVING) {
        before_install = host_peak_stack();
    }
    if (info.state == GMCF_STATE_READY && !is_told) {
        uint32_t decoder = (uint32_t)gmcf_decoder_size(GMCF_PROFILE_SMALL);

        is_told = 1;
        host_print_number("decoder: ", decoder, " bytes\n");
        host_print_number("statics: ", host_statics(), " bytes\n");
        host_print_number("stack beside the decoder: ", host_watched_stack(), " bytes\n");
        host_print_number("stack while signatures are checked: ", before_install, " bytes\n");
        host_print_number("ram in all: ", host_statics() + decoder + host_watched_stack(), " bytes\n");
    }
}
#endif

static int serve(void)
{
    gmcf_updater *updater = (gmcf_updater *)updater_memory;
    gmcf_link *link = (gmcf_link *)link_memory;
    static uint8_t input[32];
    gmcf_status status;

    do {
        const uint8_t *rest = input, *reply;
        size_t left = uart_receive(input, sizeof input), consumed, reply_len;

        do {
            status = gmcf_link_push(link, updater, rest, left, &consumed, &reply, &reply_len);
            rest += consumed;
            left -= consumed;
            uart_send(reply, reply_len);
            tell_refusal(updater);
#ifdef MEASURE
            measure();
#endif
        } while (status == GMCF_SEND);
    } while (status == GMCF_NEED_INPUT);
    return status == GMCF_RESTART ? 0 : -1;
}

int main(void)
{
    static struct host_file file;
    static char line[64];
    const char *name[1];
    gmcf_flash flash = {0, WRITE, ERASE, &file, flash_read, flash_write, flash_erase};

    if (host_arguments(line, sizeof line, name, 1) != 0) {
        host_print("error: the command line must be: device FLASH\n");
        return 2;
    }
    if (host_open(&file, name[0], HOST_UPDATE) != 0) {
        host_print("error: the host could not open the flash\n");
        return 1;
    }
    flash.capacity = file.len;
    uart_open();
#ifdef MEASURE
    host_paint_stack();
#endif
    if (start(&flash) != 0) {
        return 1;
    }
#ifdef MEASURE
    has_started = 1;
#endif
    gmcf_link_init(link_memory, sizeof link_memory, host_seed());
    if (serve() != 0) {
        host_print("error: the link\n");
        return 1;
    }
    host_reset();
    return 1;
}

/* The library calls this when it finds itself in a state that cannot be. */
void gmcf_panic(void)
{
    host_print("error: the library stopped\n");
    host_exit(1);
}
