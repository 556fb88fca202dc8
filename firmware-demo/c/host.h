/* Files of the host, reached by semihosting, and what else the firmware needs of its board. */
#ifndef HOST_H
#define HOST_H

#include <stddef.h>
#include <stdint.h>

struct host_file {
    int handle;
    uint32_t len; /* bytes, when it was opened */
};

/* Modes of SYS_OPEN. */
enum host_mode { HOST_READ = 1, HOST_UPDATE = 3, HOST_WRITE = 5 };

/* These return 0, or -1 when the host cannot. */
int host_open(struct host_file *file, const char *name, enum host_mode mode);
/* Reads on; *found becomes the bytes there were, 0 at the end. */
int host_read(struct host_file *file, uint8_t *buffer, size_t len, size_t *found);
/* Reads exactly len bytes. */
int host_read_at(const struct host_file *file, uint32_t offset, uint8_t *buffer, uint32_t len);
int host_write(struct host_file *file, const uint8_t *bytes, size_t len);
int host_write_at(const struct host_file *file, uint32_t offset, const uint8_t *bytes, uint32_t len);
/* So many words of the command line after the program's own; they lie in `line`. */
int host_arguments(char *line, size_t len, const char *names[], int count);
/* Another number at every start. */
uint32_t host_seed(void);

void host_print(const char *text);
void host_print_number(const char *before, uint32_t number, const char *after);
void host_exit(int status);

/* Fills the free stack; then says how many bytes of it were used since. */
void host_paint_stack(void);
uint32_t host_peak_stack(void);
/* The memory between the statics and the stack: its start. */
void *host_free_memory(void);
/* Notes how much of the stack was used since the last call, down to `end`, if this is not the first. */
void host_watch_stack(void *end);
uint32_t host_watched_stack(void);
/* Bytes of RAM that statics take. */
uint32_t host_statics(void);

/* UART0. */
void uart_open(void);
size_t uart_receive(uint8_t *buffer, size_t len); /* waits for at least one byte */
void uart_send(const uint8_t *bytes, size_t len);
/* Restarts the board. */
void host_reset(void);

#endif
