/* The board: host files by semihosting, the instruction counter, the painted stack. Same methods as firmware-demo. */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of patch lent to a decoder at a time, as many as firmware-demo lends on this board. */
#define CHUNK_BYTES 256

enum open_mode { OPEN_READ = 1, OPEN_UPDATE = 3, OPEN_WRITE = 5 };

/* A file of the host. It stays open: the image ends with the machine. */
struct host_file {
    int handle;
    uint32_t length; /* bytes when it was opened */
};

/* Opens `name`, or ends the run with an error that names it. */
struct host_file host_open(const char *name, enum open_mode mode);
/* Reads at most `size` bytes from `offset` on, and returns how many there were. The counter stands still. */
size_t host_read_at(const struct host_file *file, uint32_t offset, void *buffer, size_t size);
/* Writes all of it, or ends the run. The counter stands still. */
void host_write_at(const struct host_file *file, uint32_t offset, const void *bytes, size_t size);

/* Word `index` of the command line (0 is the image's own name), or NULL. */
const char *argument(unsigned index);

/* Starts counting instructions from zero, and paints the stack below the caller. */
void measure_start(void);
/* The counter stands still between these two. They nest: only the outermost pair counts. */
void pause_begin(void);
void pause_end(void);
/* Stops, and prints what `measure_start` began: instructions, host calls, stack. `state` and `buffers` are the
 * decoder's own bytes and those lent to it; `output` is the new image's length. */
void measure_report(size_t state, size_t buffers, uint32_t output);

void print_line(const char *label, uint32_t value, const char *unit);
/* Ends the run with exit status 1. */
_Noreturn void fail(const char *why);
/* Ends the run with exit status 0. */
_Noreturn void succeed(void);

#endif
