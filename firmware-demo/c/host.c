#include "host.h"

#include <string.h>

enum {
    SYS_OPEN = 0x01,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_SEEK = 0x0a,
    SYS_FLEN = 0x0c,
    SYS_CLOCK = 0x10,
    SYS_TIME = 0x11,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT = 0x18
};

#define CONSOLE_OUT 4u /* mode of SYS_OPEN */
#define STOPPED_APPLICATION_EXIT 0x20026u
#define STOPPED_RUN_TIME_ERROR 0x20023u
#define PAINT 0x5afe57acu

static int call(uint32_t operation, uintptr_t argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;

    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return (int)r0;
}

int host_open(struct host_file *file, const char *name, enum host_mode mode)
{
    uintptr_t block[3] = {(uintptr_t)name, (uintptr_t)mode, strlen(name)};
    int len;

    file->handle = call(SYS_OPEN, (uintptr_t)block);
    if (file->handle < 0) {
        return -1;
    }
    block[0] = (uintptr_t)file->handle;
    len = call(SYS_FLEN, (uintptr_t)block);
    file->len = (uint32_t)len;
    return len < 0 ? -1 : 0;
}

int host_read(struct host_file *file, uint8_t *buffer, size_t len, size_t *found)
{
    uintptr_t block[3] = {(uintptr_t)file->handle, (uintptr_t)buffer, len};
    /* The call returns the bytes that it did not read. */
    size_t left = (size_t)call(SYS_READ, (uintptr_t)block);

    *found = 0;
    if (left > len) {
        return -1;
    }
    *found = len - left;
    return 0;
}

int host_read_at(const struct host_file *file, uint32_t offset, uint8_t *buffer, uint32_t len)
{
    uintptr_t seek[2] = {(uintptr_t)file->handle, offset};
    uintptr_t block[3] = {(uintptr_t)file->handle, (uintptr_t)buffer, len};

    if (call(SYS_SEEK, (uintptr_t)seek) != 0) {
        return -1;
    }
    return call(SYS_READ, (uintptr_t)block) == 0 ? 0 : -1;
}

int host_write(struct host_file *file, const uint8_t *bytes, size_t len)
{
    uintptr_t block[3] = {(uintptr_t)file->handle, (uintptr_t)bytes, len};

    return call(SYS_WRITE, (uintptr_t)block) == 0 ? 0 : -1;
}

int host_write_at(const struct host_file *file, uint32_t offset, const uint8_t *bytes, uint32_t len)
{
    uintptr_t seek[2] = {(uintptr_t)file->handle, offset};
    uintptr_t block[3] = {(uintptr_t)file->handle, (uintptr_t)bytes, len};

    if (call(SYS_SEEK, (uintptr_t)seek) != 0) {
        return -1;
    }
    return call(SYS_WRITE, (uintptr_t)block) == 0 ? 0 : -1;
}

uint32_t host_seed(void)
{
    return (uint32_t)call(SYS_TIME, 0) ^ (uint32_t)call(SYS_CLOCK, 0) << 20;
}

int host_arguments(char *line, size_t len, const char *names[], int count)
{
    uintptr_t block[2] = {(uintptr_t)line, len};
    int word;

    if (call(SYS_GET_CMDLINE, (uintptr_t)block) != 0) {
        return -1;
    }
    for (word = -1; word < count; word++) {
        if (word >= 0) {
            names[word] = line;
        }
        if (*line == 0) {
            return -1;
        }
        while (*line != 0 && *line != ' ') {
            line++;
        }
        if (*line == ' ') {
            *line++ = 0;
        }
    }
    return 0;
}

void host_print(const char *text)
{
    /* The host's standard output, by the name that semihosting has for it. */
    static struct host_file console;

    if (console.handle == 0) {
        uintptr_t block[3] = {(uintptr_t)":tt", CONSOLE_OUT, 3};

        console.handle = call(SYS_OPEN, (uintptr_t)block);
    }
    host_write(&console, (const uint8_t *)text, strlen(text));
}

void host_print_number(const char *before, uint32_t number, const char *after)
{
    char digits[11];
    char *first = digits + sizeof digits - 1;

    *first = 0;
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    host_print(before);
    host_print(first);
    host_print(after);
}

void host_exit(int status)
{
    for (;;) {
        call(SYS_EXIT, status == 0 ? STOPPED_APPLICATION_EXIT : STOPPED_RUN_TIME_ERROR);
    }
}

/* From the linker script. */
extern uint32_t _stack_end[], _stack_start[];

static uint32_t *stack_pointer(void)
{
    uint32_t *pointer;

    __asm__ volatile("mov %0, sp" : "=r"(pointer));
    return pointer;
}

static uint32_t *painted_top;

__attribute__((noinline)) void host_paint_stack(void)
{
    volatile uint32_t *word;

    painted_top = stack_pointer();
    /* Its own frame is left alone. */
    for (word = _stack_end; word < painted_top - 16; word++) {
        *word = PAINT;
    }
}

__attribute__((noinline)) uint32_t host_peak_stack(void)
{
    const volatile uint32_t *word = _stack_end;

    while (word < painted_top && *word == PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)painted_top - (uintptr_t)word);
}

void *host_free_memory(void)
{
    return _stack_end;
}

static uint32_t watched;
static int is_watched;

__attribute__((noinline)) void host_watch_stack(void *end)
{
    uint32_t *now = stack_pointer(), used;
    volatile uint32_t *word = end;

    while (word < now && *word == PAINT) {
        word++;
    }
    used = (uint32_t)((uintptr_t)_stack_start - (uintptr_t)word);
    if (is_watched && used > watched) {
        watched = used;
    }
    is_watched = 1;
    for (word = end; word < now - 16; word++) {
        *word = PAINT;
    }
}

uint32_t host_watched_stack(void)
{
    return watched;
}

/* The PL011 of the LM3S6965. */

#define UART0 0x4000c000u
#define UART_DATA (*(volatile uint32_t *)(UART0 + 0x00))
#define UART_FLAGS (*(volatile uint32_t *)(UART0 + 0x18))
#define UART_LINE (*(volatile uint32_t *)(UART0 + 0x2c))
#define UART_CONTROL (*(volatile uint32_t *)(UART0 + 0x30))

enum {
    BUSY = 1 << 3,
    RX_EMPTY = 1 << 4,
    TX_FULL = 1 << 5,
    EIGHT_BITS_QUEUED = 3 << 5 | 1 << 4,
    ENABLE = 1 << 9 | 1 << 8 | 1
};

void uart_open(void)
{
    UART_LINE = EIGHT_BITS_QUEUED;
    UART_CONTROL = ENABLE;
}

size_t uart_receive(uint8_t *buffer, size_t len)
{
    size_t n = 0;

    while (n < len && (n == 0 || (UART_FLAGS & RX_EMPTY) == 0)) {
        while ((UART_FLAGS & RX_EMPTY) != 0) {
        }
        buffer[n++] = (uint8_t)UART_DATA;
    }
    return n;
}

void uart_send(const uint8_t *bytes, size_t len)
{
    while (len-- > 0) {
        while ((UART_FLAGS & TX_FULL) != 0) {
        }
        UART_DATA = *bytes++;
    }
    while ((UART_FLAGS & BUSY) != 0) {
    }
}

#define AIRCR (*(volatile uint32_t *)0xe000ed0cu)
#define SYSTEM_RESET_REQUEST 0x05fa0004u

void host_reset(void)
{
    AIRCR = SYSTEM_RESET_REQUEST;
    for (;;) {
    }
}

/* What the hardware starts with. */

extern uint32_t _data_start[], _data_end[], _data_load[], _bss_start[], _bss_end[];
extern int main(void);

uint32_t host_statics(void)
{
    return (uint32_t)((uintptr_t)_bss_end - (uintptr_t)_data_start);
}

void reset(void)
{
    uint32_t *word;
    const uint32_t *from = _data_load;

    for (word = _data_start; word < _data_end; word++) {
        *word = *from++;
    }
    for (word = _bss_start; word < _bss_end; word++) {
        *word = 0;
    }
    host_exit(main());
}

/* A stack that outgrew the memory left for it ends here, if not worse. */
static void fault(void)
{
    host_print("error: fault\n");
    host_exit(1);
}

typedef void (*handler)(void);

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    handler handlers[15];
} vectors = {_stack_start, {reset, fault, fault, fault, fault, fault}};
