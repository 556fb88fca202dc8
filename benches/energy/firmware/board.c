/* See board.h. Under QEMU's -icount shift=0 SysTick advances once in a fixed number of instructions; that number is
 * measured with a loop of known length, as firmware-demo/src/count.rs does. */
#include "board.h"

#include <string.h>

#define SYST_CSR (*(volatile uint32_t *)0xe000e010)
#define SYST_RVR (*(volatile uint32_t *)0xe000e014)
#define SYST_CVR (*(volatile uint32_t *)0xe000e018)
#define ICSR (*(volatile uint32_t *)0xe000ed04)
#define ICSR_PENDSTSET (1u << 26)

/* SysTick counts down from here: 24 bits, the most that it has. */
#define RELOAD 0x00ffffffu
#define PERIOD (RELOAD + 1)
/* Turns of the calibration loop, two instructions each. */
#define TURNS 2000000u
/* Empty pauses from which the cost of one is estimated. */
#define PAUSES 4096u

/* No return address, and unlikely as data. */
#define PAINT 0x5afe57acu
/* Bytes below the stack pointer that are left alone: the frame of the function that paints. */
#define PAINT_MARGIN 64

#define COMMAND_LINE_BYTES 256

enum { SYS_OPEN = 1, SYS_WRITE0 = 4, SYS_WRITE = 5, SYS_READ = 6, SYS_SEEK = 10, SYS_FLEN = 12, SYS_GET_CMDLINE = 21,
       SYS_EXIT = 24 };
#define ADP_STOPPED_APPLICATION_EXIT 0x20026
#define ADP_STOPPED_RUN_TIME_ERROR 0x20023

extern uint32_t data_start, data_end, data_load, bss_start, bss_end, stack_end, stack_start;

int main(void);

static volatile uint32_t wraps;
static uint64_t calibration, pause_cost, started, paused, pause_started;
static uint32_t pauses, pause_depth;
static uint32_t *stack_top;

static int semihost(int operation, const void *block) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void print(const char *text) {
    semihost(SYS_WRITE0, text);
}

void fail(const char *why) {
    print("error: ");
    print(why);
    print("\n");
    for (;;)
        semihost(SYS_EXIT, (const void *)ADP_STOPPED_RUN_TIME_ERROR);
}

void succeed(void) {
    for (;;)
        semihost(SYS_EXIT, (const void *)ADP_STOPPED_APPLICATION_EXIT);
}

static void print_number(uint64_t value, unsigned digits) {
    char text[24];
    char *at = text + sizeof text - 1;
    *at = 0;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
        if (digits)
            digits--;
    } while (value || digits);
    print(at);
}

void print_line(const char *label, uint32_t value, const char *unit) {
    print(label);
    print(": ");
    print_number(value, 0);
    print(unit);
    print("\n");
}

/* Ticks since SysTick was started. */
__attribute__((noinline)) static uint64_t now(void) {
    for (;;) {
        uint32_t before = wraps;
        uint32_t current = SYST_CVR;
        /* A wrap between the two reads, or one whose interrupt has not been taken yet: read again. */
        if (!(ICSR & ICSR_PENDSTSET) && wraps == before)
            /* The interrupt comes when the counter reaches zero, one tick before it is reloaded. */
            return (uint64_t)before * PERIOD + (current ? PERIOD - current : 0);
    }
}

/* Takes 2 * turns instructions. */
static void spin(uint32_t turns) {
    __asm__ volatile("1: subs %0, %0, #1\n bne 1b" : "+r"(turns) : : "cc");
}

void pause_begin(void) {
    if (pause_depth++ == 0)
        pause_started = now();
}

void pause_end(void) {
    if (--pause_depth == 0) {
        pauses++;
        paused += now() - pause_started;
    }
}

static void count_start(void) {
    paused = 0;
    pauses = 0;
    started = now();
}

static uint64_t count(uint64_t end) {
    uint64_t counted = end - started - paused, pausing = pause_cost * pauses / PAUSES;
    return counted > pausing ? (counted - pausing) * (2 * TURNS) / calibration : 0;
}

static void calibrate(void) {
    SYST_RVR = RELOAD;
    SYST_CVR = 0;
    SYST_CSR = 7; /* enabled, with its interrupt, from the core's clock */
    uint64_t start = now();
    spin(TURNS);
    calibration = now() - start;
    count_start();
    for (uint32_t i = 0; i < PAUSES; i++) {
        pause_begin();
        pause_end();
    }
    pause_cost = now() - started - paused;

    /* The counter proves itself: work of known length between pauses of other lengths. */
    uint32_t known = 0;
    count_start();
    for (uint32_t i = 0; i < PAUSES; i++) {
        uint32_t turns = 50 + i % 61;
        spin(turns);
        known += 2 * turns;
        pause_begin();
        spin(10 + i % 97);
        pause_end();
    }
    uint64_t counted = count(now());
    /* The loop itself and its call take some instructions a turn. */
    if (counted < known - known / 100 || counted > known + 24 * PAUSES)
        fail("the instruction counter is wrong");
}

__attribute__((noinline)) static void paint(void) {
    uint32_t *end = (uint32_t *)((char *)__builtin_frame_address(0) - PAINT_MARGIN);
    for (uint32_t *word = &stack_end; word < end; word++)
        *(volatile uint32_t *)word = PAINT;
}

void measure_start(void) {
    stack_top = __builtin_frame_address(0);
    paint();
    count_start();
}

void measure_report(size_t state, size_t buffers, uint32_t output) {
    uint64_t instructions = count(now());
    const volatile uint32_t *word = &stack_end;
    while (*word == PAINT)
        word++;
    if (word == &stack_end)
        fail("the stack reached its end");
    uint32_t stack = (uint32_t)((const char *)stack_top - (const char *)word);
    uint64_t per_byte = instructions * 100 / (output ? output : 1);
    print_line("new", output, " bytes");
    print_line("decoder ram", state, " bytes");
    print_line("buffers", buffers, " bytes");
    print_line("peak stack", stack, " bytes");
    print_line("ram in all", state + buffers + stack, " bytes");
    print_line("host calls", pauses, "");
    print("instructions: ");
    print_number(instructions, 0);
    print("\ninstructions per byte: ");
    print_number(per_byte / 100, 0);
    print(".");
    print_number(per_byte % 100, 2);
    print("\n");
}

struct host_file host_open(const char *name, enum open_mode mode) {
    struct host_file file;
    uint32_t open[3] = {(uint32_t)name, mode, strlen(name)};
    file.handle = semihost(SYS_OPEN, open);
    if (file.handle < 0)
        fail("the host could not open a file");
    int length = semihost(SYS_FLEN, &file.handle);
    if (length < 0)
        fail("the host could not tell a file's length");
    file.length = (uint32_t)length;
    return file;
}

static void seek(const struct host_file *file, uint32_t offset) {
    uint32_t block[2] = {(uint32_t)file->handle, offset};
    if (semihost(SYS_SEEK, block) != 0)
        fail("the host could not seek in a file");
}

size_t host_read_at(const struct host_file *file, uint32_t offset, void *buffer, size_t size) {
    pause_begin();
    seek(file, offset);
    uint32_t block[3] = {(uint32_t)file->handle, (uint32_t)buffer, size};
    uint32_t left = (uint32_t)semihost(SYS_READ, block);
    if (left > size)
        fail("the host could not read a file");
    pause_end();
    return size - left;
}

void host_write_at(const struct host_file *file, uint32_t offset, const void *bytes, size_t size) {
    pause_begin();
    seek(file, offset);
    uint32_t block[3] = {(uint32_t)file->handle, (uint32_t)bytes, size};
    if (semihost(SYS_WRITE, block) != 0)
        fail("the host could not write a file");
    pause_end();
}

const char *argument(unsigned index) {
    static char line[COMMAND_LINE_BYTES];
    static bool split;
    if (!split) {
        uint32_t block[2] = {(uint32_t)line, sizeof line - 1};
        if (semihost(SYS_GET_CMDLINE, block) != 0)
            fail("no command line");
        for (char *at = line; *at; at++)
            if (*at == ' ')
                *at = 0;
        split = true;
    }
    const char *word = line;
    while (index--)
        word += strlen(word) + 1;
    return word < line + sizeof line && *word ? word : NULL;
}

static void systick(void) {
    wraps++;
}

static void fault(void) {
    fail("a fault");
}

/* Where the machine begins. */
_Noreturn void reset(void);

_Noreturn void reset(void) {
    memcpy(&data_start, &data_load, (size_t)((char *)&data_end - (char *)&data_start));
    memset(&bss_start, 0, (size_t)((char *)&bss_end - (char *)&bss_start));
    calibrate();
    main();
    fail("main returned");
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_start, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault, 0, 0, 0, 0,
    (void *)fault, (void *)fault, 0, (void *)fault, (void *)systick,
};
