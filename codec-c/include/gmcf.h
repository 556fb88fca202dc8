/*
 * gmcf: rebuilds a firmware image from the old one and a GMCF update, in memory that the caller lends; and takes updates
 * that cannot brick a device: gmcf_boot, gmcf_updater_* and gmcf_link_*, in a library built with the feature `update`.
 *
 * See README.md of codec-c for a whole program.
 */

#ifndef GMCF_H
#define GMCF_H

/* Made by codec-c/check-header.sh from codec-c/src: change that instead. */

#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX > 0xffffffff
#define GMCF_64_BIT
#endif

#ifdef __cplusplus
extern "C" {
#endif
// Called, if ever, when the decoder finds itself in a state that cannot be, whatever its input. A program may define it,
// to restart the device or to say so; the library's own stops at a trap. When it returns, the library loops for ever.
void gmcf_panic(void);
#ifdef __cplusplus
}
#endif

// 16 KiB of RAM in all: Cortex-M0 class.
#define GMCF_PROFILE_TINY 0

// 64 KiB of RAM in all: Cortex-M3 and M4 class.
#define GMCF_PROFILE_SMALL 1

// 256 KiB of RAM in all: Cortex-M7 class.
#define GMCF_PROFILE_MEDIUM 2

// Bytes of memory that a decoder of profile tiny takes, at most.
#define GMCF_DECODER_TINY_BYTES 13056

// Bytes of memory that a decoder of profile small takes, at most.
#define GMCF_DECODER_SMALL_BYTES 61568

// Bytes of memory that a decoder of profile medium takes, at most.
#define GMCF_DECODER_MEDIUM_BYTES 249984

// Alignment of that memory, bytes: an array of uint64_t has it.
#define GMCF_DECODER_ALIGN 8

// Bytes of a field's name, with the 0 at its end.
#define GMCF_FIELD_BYTES 24

// Bytes of an image's identity.
#define GMCF_ID_BYTES 16

// Bytes of the longest frame that the link takes, delimiter included. The host asks for it and cuts updates accordingly.
#define GMCF_LINK_FRAME_BYTES 128

// Pieces of an update that the link takes in any order, counted from the first one that lacks.
#define GMCF_LINK_WINDOW 2

// Bytes of memory that a link takes, at most.
#define GMCF_LINK_BYTES 512

// Alignment of that memory, bytes: an array of uint64_t has it.
#define GMCF_LINK_ALIGN 8

#if defined(GMCF_64_BIT)
// Bytes of memory that an updater takes at most, and gmcf_boot; for flash with a write size above 16 bytes four write
// sizes more. What is lent beyond gmcf_updater_size makes flash accesses fewer.
#define GMCF_UPDATER_BYTES 1280
#endif

#if !defined(GMCF_64_BIT)
// Bytes of memory that an updater takes at most, and gmcf_boot; for flash with a write size above 16 bytes four write
// sizes more. What is lent beyond gmcf_updater_size makes flash accesses fewer.
#define GMCF_UPDATER_BYTES 960
#endif

// Alignment of that memory, bytes: an array of uint64_t has it.
#define GMCF_UPDATER_ALIGN 8

// Bytes of a manifest: what an update starts with.
#define GMCF_MANIFEST_BYTES 132

// Bytes of an image's identity by which an update names it.
#define GMCF_OLD_ID_BYTES 4

// What a call returns: 0 or more when all is well, less than 0 for an error. The numbers are never reused.
enum gmcf_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // The new file is complete, and its digest is right; or there was nothing to complain of.
    GMCF_DONE = 0,
    // All input was taken; more is needed.
    GMCF_NEED_INPUT = 1,
    // The output is full.
    GMCF_NEED_OUTPUT = 2,
    // gmcf_link_push: send the reply, then call again with the rest.
    GMCF_SEND = 3,
    // gmcf_link_push: send the reply, then restart the device.
    GMCF_RESTART = 4,
    // The update ends inside `field`: so many bytes were found, so many are needed.
    GMCF_ERROR_TRUNCATED = -1,
    // Not a GMCF file. `found` is the bytes at its start, the first one highest; `index` is how many.
    GMCF_ERROR_BAD_MAGIC = -2,
    // The version `found` is not known to this decoder.
    GMCF_ERROR_UNKNOWN_VERSION = -3,
    // `field` is `found`, which this decoder does not know.
    GMCF_ERROR_UNKNOWN = -4,
    // `field` is `found`, outside its range.
    GMCF_ERROR_OUT_OF_RANGE = -5,
    // The update was made for a larger decoder: it needs `found` of `field`, and there is `limit`.
    GMCF_ERROR_OVER_BUDGET = -6,
    // A buffer for `field` has `found` bytes, and needs `limit`.
    GMCF_ERROR_BUFFER_TOO_SMALL = -7,
    // The update needs an old image, and the storage is empty.
    GMCF_ERROR_OLD_MISSING = -8,
    // The update was made against another old image. `found` and `limit`: the first `index` bytes of the identity
    // of the one at hand, and of the one expected; the first byte is the highest.
    GMCF_ERROR_WRONG_OLD = -9,
    // What was rebuilt is wrong: discard it. `found` and `limit` as above.
    GMCF_ERROR_DIGEST_MISMATCH = -10,
    // Residue `index` is `found`, and should be `limit`.
    GMCF_ERROR_RESIDUE_MISMATCH = -11,
    // Link `index` of a chain does not start where the link before it ends.
    GMCF_ERROR_CHAIN_GAP = -12,
    // Link `index` of a chain leads back to an earlier content.
    GMCF_ERROR_CHAIN_LOOP = -13,
    // Link `index` of a chain belongs at another place.
    GMCF_ERROR_CHAIN_ORDER = -14,
    // `field` is damaged.
    GMCF_ERROR_CORRUPT = -15,
    // The old image could not be read: `found` is the offset, `limit` the bytes asked for.
    GMCF_ERROR_STORAGE = -16,
    // The decoder has already finished or failed; start a new one.
    GMCF_ERROR_FINISHED = -17,
    // `field` needs a library that was built with more features.
    GMCF_ERROR_FEATURE_MISSING = -18,
    // The flash driver failed to do what `field` says (read, write, erase): `found` is the offset, `limit` the bytes.
    GMCF_ERROR_FLASH = -33,
    // The region `field` of the layout is `found`, which `limit` does not allow: it is too small, not aligned to erase
    // blocks, or lies over another one.
    GMCF_ERROR_LAYOUT = -34,
    // The update was not what it should be. Only `failure` of gmcf_info says no more than this.
    GMCF_ERROR_MALFORMED = -35,
    // The signature is not the one of the key in slot `index`.
    GMCF_ERROR_BAD_SIGNATURE = -36,
    // There is no key in slot `index`.
    GMCF_ERROR_NO_KEY = -37,
    // The update is for product `found`, this is product `limit`.
    GMCF_ERROR_WRONG_PRODUCT = -38,
    // Version, or number of a new key, is `found`; the least that is accepted is `limit`.
    GMCF_ERROR_DOWNGRADE = -39,
    // `found` bytes are needed in `field`, which has `limit`.
    GMCF_ERROR_NO_ROOM = -40,
    // This cannot be done in state `found`, a gmcf_state.
    GMCF_ERROR_WRONG_STATE = -41,
    // The bytes at offset `found` do not continue those up to `limit`.
    GMCF_ERROR_GAP = -42,
    // `field` (payload, image, block) has another digest than was signed.
    GMCF_ERROR_WRONG_DIGEST = -43,
    // No slot holds a whole image, or the flash holds no progress record.
    GMCF_ERROR_NOTHING_TO_BOOT = -44,
    // An error that is newer than this interface.
    GMCF_ERROR_OTHER = -63,
    // A pointer is NULL that must not be.
    GMCF_ERROR_NULL = -64,
    // The profile is not known, or not compiled into this library.
    GMCF_ERROR_PROFILE = -65,
    // The memory that is lent is too small, or not aligned.
    GMCF_ERROR_MEMORY = -66,
    // This is no decoder: it was not made by gmcf_decoder_init, or was written over.
    GMCF_ERROR_NOT_A_DECODER = -67,
    // A buffer cannot be that long, or runs over the end of the address space.
    GMCF_ERROR_LENGTH = -68,
    // Two of the buffers, or a buffer and what it is for, overlap.
    GMCF_ERROR_OVERLAP = -69,
    // Called from a function that it had called itself.
    GMCF_ERROR_BUSY = -70,
    // The library was built for a flash with other write or erase sizes.
    GMCF_ERROR_SIZES = -71,
    // This is no updater: it was not made by gmcf_updater_open, or was written over.
    GMCF_ERROR_NOT_AN_UPDATER = -72,
    // This is no link: it was not made by gmcf_link_init, or was written over.
    GMCF_ERROR_NOT_A_LINK = -73,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum gmcf_status gmcf_status;
#else
typedef int32_t gmcf_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a boot loader is to do.
enum gmcf_boot_action
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Run the image. It has been read and has the digest that was signed.
    GMCF_BOOT_RUN = 0,
    // One slot only: open an updater, call gmcf_updater_install, then gmcf_boot again. Blocks are being replaced, and
    // neither image is whole.
    GMCF_BOOT_RESUME = 1,
    // No slot holds a whole image. Only an update that needs no old image helps.
    GMCF_BOOT_WAIT = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum gmcf_boot_action gmcf_boot_action;
#else
typedef int32_t gmcf_boot_action;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a device is about.
enum gmcf_state
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Nothing: the first image runs.
    GMCF_STATE_IDLE = 0,
    // An update was accepted and arrives.
    GMCF_STATE_RECEIVING = 1,
    // It is complete and authentic, and is being rebuilt.
    GMCF_STATE_DECODING = 2,
    // One slot only: blocks are being replaced. The image cannot run before the last one.
    GMCF_STATE_MOVING = 3,
    // All is written; the new image is being read back.
    GMCF_STATE_VERIFYING = 4,
    // The new image is whole and boots next.
    GMCF_STATE_READY = 5,
    // The new image was booted and has not been confirmed.
    GMCF_STATE_TRIAL = 6,
    // The new image was confirmed: it is the one that boots.
    GMCF_STATE_CONFIRMED = 7,
    // The new image was not confirmed in its attempts: the one before boots again.
    GMCF_STATE_ROLLED_BACK = 8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum gmcf_state gmcf_state;
#else
typedef int32_t gmcf_state;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A decoder, in memory that the caller lends to gmcf_decoder_init.
typedef struct gmcf_decoder gmcf_decoder;

// A link, in memory that the caller lends to gmcf_link_init.
typedef struct gmcf_link gmcf_link;

// An updater, in memory that the caller lends to gmcf_updater_open.
typedef struct gmcf_updater gmcf_updater;

// The old image: what the device runs today.
typedef struct gmcf_storage {
    // Bytes that can be read. 0 when there is no old image; then `read_at` may be NULL.
    uint32_t len;
    // Given to `read_at` as it is; may be NULL.
    void *context;
    // Copies the `len` bytes from `offset` on to `buffer`, and returns 0; anything else when they cannot be read.
    //
    // `offset + len` is never more than the storage's `len`. It must not use the decoder that calls it: that is
    // refused with GMCF_ERROR_BUSY.
    int (*read_at)(void *context, uint32_t offset, uint8_t *buffer, uint32_t len);
} gmcf_storage;

// What was refused, and why.
typedef struct gmcf_error {
    // One of `gmcf_status`; 0 when nothing was refused.
    int32_t code;
    // Which link of a chain, which residue or which key; of values that are bytes, how many; otherwise 0.
    uint32_t index;
    // What was found, as the code explains it; otherwise 0.
    uint64_t found;
    // What was allowed, needed or expected, as the code explains it; otherwise 0.
    uint64_t limit;
    // The name that the format's description gives to the field. Empty when the error is not about a field.
    char field[GMCF_FIELD_BYTES];
} gmcf_error;

// The flash, as the device's driver reaches it. The functions return 0; anything else when they could not.
//
// They must not use the updater or the link that calls them: that is refused with GMCF_ERROR_BUSY.
typedef struct gmcf_flash {
    // Bytes of the whole flash, from offset 0.
    uint32_t capacity;
    // Bytes that can be written at once, and at multiples of which writes start: what gmcf_write_size says.
    uint32_t write_size;
    // Bytes that are erased at once: what gmcf_erase_size says.
    uint32_t erase_size;
    // Given to the functions as it is; may be NULL.
    void *context;
    // Copies `len` bytes from `offset` on to `buffer`. Both may be any number.
    int (*read)(void *context, uint32_t offset, uint8_t *buffer, uint32_t len);
    // Writes `len` bytes, whole write sizes, to erased flash, and returns when they are there. Nothing is written twice
    // between two erases.
    int (*write)(void *context, uint32_t offset, const uint8_t *bytes, uint32_t len);
    // Sets `len` bytes, whole erase blocks, to 0xff, and returns when they are.
    int (*erase)(void *context, uint32_t offset, uint32_t len);
} gmcf_flash;

// A part of the flash. It starts and ends where an erase block does.
typedef struct gmcf_region {
    // Bytes from the start of the flash.
    uint32_t offset;
    // Bytes; 0 where there is no such region.
    uint32_t len;
} gmcf_region;

// Where everything lies. With two slots, an update is rebuilt in the one that does not run: set `slots`, leave
// `scratch` empty. With one, it is rebuilt in place: set `slots[0]` and `scratch`, leave `slots[1]` empty.
//
// `gmcf flash` lays the regions one behind the other from offset 0: state, download, then slot A and slot B, or scratch
// and slot.
typedef struct gmcf_layout {
    // The progress record: two halves, each whole erase blocks and at least 1024 bytes.
    struct gmcf_region state;
    // The update as it arrives.
    struct gmcf_region download;
    // The images.
    struct gmcf_region slots[2];
    // What a change in place needs while it goes on.
    struct gmcf_region scratch;
} gmcf_layout;

// What boots.
typedef struct gmcf_boot_result {
    // One of `gmcf_boot_action`. What follows is 0 unless it is GMCF_BOOT_RUN.
    int32_t action;
    // Slot, 0 or 1.
    uint32_t slot;
    // Bytes from the start of the flash to the image.
    uint32_t offset;
    // Bytes of the image.
    uint32_t len;
    // Its version.
    uint32_t version;
    // 1 when it must be confirmed, or else is rolled back.
    uint32_t trial;
    // Its identity.
    uint8_t id[GMCF_ID_BYTES];
} gmcf_boot_result;

// What a device is, and the memory that its decoder uses.
typedef struct gmcf_config {
    // Product number: updates for others are refused.
    uint32_t product;
    // GMCF_PROFILE_*: the largest whose updates are taken.
    uint32_t profile;
    // Boots in which a new image must be confirmed, 1 to 255. With two slots only.
    uint32_t attempts;
    // Memory of the decoder: GMCF_DECODER_*_BYTES of the profile, or exactly gmcf_decoder_size; aligned to
    // GMCF_DECODER_ALIGN.
    //
    // It is used only while gmcf_updater_install, gmcf_updater_prepare or gmcf_link_push go on, and what it holds between
    // these calls does not matter: it is yours then. It is not used either while signatures are checked, so the stack
    // may reach into it then, where a device has no other memory.
    void *decoder;
    // Bytes there.
    size_t decoder_len;
} gmcf_config;

// What a device says of itself.
typedef struct gmcf_info {
    // Product number.
    uint32_t product;
    // Version of the image that runs.
    uint32_t version;
    // One of `gmcf_state`.
    int32_t state;
    // GMCF_PROFILE_*.
    uint32_t profile;
    // Bytes of the offered update's payload that are there; 0 when none is being received.
    uint32_t received;
    // Why the last update was given up, one of `gmcf_status`; 0 when it was not.
    int32_t failure;
    // Identity of the image that runs.
    uint8_t image[GMCF_OLD_ID_BYTES];
} gmcf_info;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Bytes of memory that a decoder of `profile` takes, exactly. 0 when the profile is not compiled into this library.
size_t gmcf_decoder_size(uint32_t profile);

// Alignment in bytes that the memory of a decoder needs.
size_t gmcf_decoder_align(void);

// Makes a decoder of `profile` in the `len` bytes at `memory`, which is then used as a gmcf_decoder.
//
// `old` is copied; what its `context` points to must stay as long as the decoder is used. NULL when there is no old
// image. The decoder holds nothing but this memory: to give it up, forget it. To start again, call this again.
//
// Returns GMCF_DONE, GMCF_ERROR_NULL, GMCF_ERROR_PROFILE or GMCF_ERROR_MEMORY.
//
// # Safety
// `memory` points to `len` bytes that can be read and written and that nothing else uses; `old` to a gmcf_storage
// whose function does what is said of it there; or they are NULL.
gmcf_status gmcf_decoder_init(void *memory, size_t len, uint32_t profile, const struct gmcf_storage *old);

// Takes input, yields output. How the two are cut into pieces never changes the result.
//
// `*consumed` becomes the bytes of `in` that were taken (call again with the rest), `*written` the bytes of `out` that
// are new; after an error both are 0. Nothing is written before header, memory budget and the identity of the old
// image have been checked. After an error, discard what was written before.
//
// Returns GMCF_DONE when the new file is complete and its digest is right, GMCF_NEED_INPUT when all of `in` was taken,
// GMCF_NEED_OUTPUT when `out` is full, or an error; gmcf_decoder_error tells more. `in` may be NULL when `in_len` is 0,
// `out` likewise.
//
// # Safety
// `decoder` was made by gmcf_decoder_init; `in` points to `in_len` bytes, `out` to `out_len` bytes that can be
// written; `consumed` and `written` to two size_t that are in none of these. Where one is NULL, that is an error.
gmcf_status gmcf_decoder_update(struct gmcf_decoder *decoder,
                                const uint8_t *in,
                                size_t in_len,
                                size_t *consumed,
                                uint8_t *out,
                                size_t out_len,
                                size_t *written);

// To be called when there is no more input: says what is missing, if anything.
//
// Returns GMCF_DONE when the new file is complete, otherwise GMCF_ERROR_TRUNCATED; GMCF_ERROR_FINISHED after an error.
//
// # Safety
// `decoder` is NULL, or was made by gmcf_decoder_init.
gmcf_status gmcf_decoder_finish(struct gmcf_decoder *decoder);

// Writes to `*len` how many bytes the new file has, so that room can be made before its first byte comes.
//
// Returns GMCF_DONE, or GMCF_NEED_INPUT while that is not known: until the header of the update was accepted. An
// update with an empty output goes so far.
//
// # Safety
// `decoder` is NULL, or was made by gmcf_decoder_init; `len` is NULL, or points to a uint32_t.
gmcf_status gmcf_decoder_new_len(const struct gmcf_decoder *decoder, uint32_t *len);

// Writes to `*error` why the decoder refused: its first error. The code there is 0 when it did not refuse.
//
// What was wrong with the arguments of a call is not kept: its code says all.
//
// # Safety
// `decoder` is NULL, or was made by gmcf_decoder_init; `error` is NULL, or points to a gmcf_error.
gmcf_status gmcf_decoder_error(const struct gmcf_decoder *decoder, struct gmcf_error *error);

// A few words for a code that a function of this interface returned; never NULL, never to be freed.
const char *gmcf_error_text(int32_t code);

// Writes what `error` says to `buffer`, and a 0 behind it: code, field and values in words.
//
// As much as fits into `len` bytes is written; nothing when `len` is 0 or a pointer is NULL. Returns the bytes of the
// whole text without the 0, as snprintf does.
//
// # Safety
// `error` points to a gmcf_error, and `buffer` to `len` bytes that can be written; or they are NULL.
size_t gmcf_error_format(const struct gmcf_error *error, char *buffer, size_t len);

// Picks what runs, and records a trial before it starts. A new image has `attempts` boots to be confirmed in, 1 to 255.
//
// `memory` is used for the time of the call: gmcf_updater_size() bytes; it may be that of the updater that is opened
// afterwards. `error` becomes why it failed; NULL when that does not matter.
//
// Returns GMCF_DONE, or GMCF_ERROR_NULL, _SIZES, _LENGTH, _OUT_OF_RANGE, _LAYOUT, _NO_ROOM, _FLASH when the record
// cannot be written, _NOTHING_TO_BOOT when there is none.
//
// # Safety
// `flash` points to a gmcf_flash whose functions do what is said of them there, `layout` to a gmcf_layout, `memory` to
// `len` bytes that can be written and that nothing else uses, `result` to a gmcf_boot_result, `error` to a gmcf_error;
// or they are NULL.
gmcf_status gmcf_boot(const struct gmcf_flash *flash,
                      const struct gmcf_layout *layout,
                      uint32_t attempts,
                      void *memory,
                      size_t len,
                      struct gmcf_boot_result *result,
                      struct gmcf_error *error);

// Bytes that the flash writes at once, as the library was built: GMCF_WRITE_SIZE in the environment, or 4.
uint32_t gmcf_write_size(void);

// Bytes that the flash erases at once, as the library was built: GMCF_ERASE_SIZE in the environment, or 4096.
uint32_t gmcf_erase_size(void);

// Bytes of memory that a link needs.
size_t gmcf_link_size(void);

// Makes the device's end of a link in the `len` bytes at `memory`, which is then used as a gmcf_link.
//
// `seed`: a number that the last start of the device did not have, as far as it can tell (random, a boot counter, a
// clock). It keeps out what is late from before the restart.
//
// Returns GMCF_DONE, GMCF_ERROR_NULL or GMCF_ERROR_MEMORY.
//
// # Safety
// `memory` is NULL, or points to `len` bytes that can be read and written and that nothing else uses.
gmcf_status gmcf_link_init(void *memory, size_t len, uint32_t seed);

// Takes bytes from the host, up to the end of the first message that is to be answered, and does what they ask for. How
// they are cut into pieces does not matter; bytes that make no message do nothing.
//
// `*consumed` becomes the bytes of `in` that were taken, `*reply` and `*reply_len` what is to be sent; it stays there
// until the next call. An update is installed in here, which takes its time.
//
// Returns GMCF_NEED_INPUT when all was taken and nothing is to be sent; GMCF_SEND when the reply is to be sent and the
// rest to be given to the next call; GMCF_RESTART when the device is to restart after it has sent the reply. Otherwise an
// error: of the arguments only. What the host asked for and was refused is told to the host; gmcf_updater_error knows it.
//
// # Safety
// `link` was made by gmcf_link_init, `updater` by gmcf_updater_open; `in` points to `in_len` bytes; `consumed`, `reply`
// and `reply_len` to two size_t and a pointer that are in none of these; or they are NULL.
gmcf_status gmcf_link_push(struct gmcf_link *link,
                           struct gmcf_updater *updater,
                           const uint8_t *in,
                           size_t in_len,
                           size_t *consumed,
                           const uint8_t **reply,
                           size_t *reply_len);

// Bytes of memory that an updater needs at least.
size_t gmcf_updater_size(void);

// Alignment in bytes that the memory of an updater needs.
size_t gmcf_updater_align(void);

// Makes an updater in the `len` bytes at `memory`, which is then used as a gmcf_updater, and takes up what the progress
// record says. The memory must not be moved or copied, and nothing else may use it. To give the updater up, forget it.
// To start again, call this again.
//
// `flash`, `layout` and `config` are copied; what they point to must stay as long as the updater is used. `error`
// becomes why it failed; NULL when that does not matter.
//
// Returns GMCF_DONE, or GMCF_ERROR_NULL, _SIZES, _MEMORY (also for the decoder's), _OVERLAP, _PROFILE, _OUT_OF_RANGE,
// _LAYOUT, _FLASH; _NOTHING_TO_BOOT when the flash holds no record at all.
//
// # Safety
// `memory` points to `len` bytes that can be read and written and that nothing else uses; `flash` to a gmcf_flash whose
// functions do what is said of them there; `layout`, `config` and `error` to a gmcf_layout, a gmcf_config, a gmcf_error;
// the decoder's memory is as said in gmcf_config. Or they are NULL.
gmcf_status gmcf_updater_open(void *memory,
                              size_t len,
                              const struct gmcf_flash *flash,
                              const struct gmcf_layout *layout,
                              const struct gmcf_config *config,
                              struct gmcf_error *error);

// Takes the offer of an update: checks its signature, product, version and room before anything is erased.
//
// `manifest` is the first GMCF_MANIFEST_BYTES bytes of the update. `*offset` becomes the byte of the rest, the payload,
// from which on it is wanted: above 0 when a part was received before.
//
// Returns GMCF_DONE, or why the update is refused.
//
// # Safety
// `updater` was made by gmcf_updater_open, `manifest` points to GMCF_MANIFEST_BYTES bytes, `offset` to a uint32_t; or
// they are NULL.
gmcf_status gmcf_updater_offer(struct gmcf_updater *updater, const uint8_t *manifest, uint32_t *offset);

// Stores the payload's bytes from `offset` on, which continue what is there. Pieces may be of any length.
//
// Returns GMCF_DONE, or GMCF_ERROR_GAP, _NO_ROOM, _WRONG_STATE, _FLASH.
//
// # Safety
// `updater` was made by gmcf_updater_open, `bytes` points to `len` bytes; or they are NULL.
gmcf_status gmcf_updater_receive(struct gmcf_updater *updater, uint32_t offset, const uint8_t *bytes, size_t len);

// Rebuilds the new image from the update that was received, and makes it the one to boot. Takes the decoder's memory,
// and as long as that takes: seconds or minutes. After a power cut, call it again: it goes on.
//
// With one slot, blocks are replaced: whoever runs from that slot calls gmcf_updater_prepare instead, and this from a
// boot loader, when gmcf_boot says GMCF_BOOT_RESUME.
//
// Returns GMCF_DONE, or why not. Unless an update in place has started to replace blocks, the image that runs is then as
// it was, and the update is forgotten when it can never succeed.
//
// # Safety
// `updater` is NULL, or was made by gmcf_updater_open. Nothing uses the decoder's memory meanwhile.
gmcf_status gmcf_updater_install(struct gmcf_updater *updater);

// Does of gmcf_updater_install what can be done while the old image runs: with one slot, all but replacing blocks. Then
// restart. Does nothing when that is done.
//
// Returns as gmcf_updater_install.
//
// # Safety
// As for gmcf_updater_install.
gmcf_status gmcf_updater_prepare(struct gmcf_updater *updater);

// The image that runs is good: it stays. To be called in the first boots of a new image, once it is known to work.
//
// Returns GMCF_DONE, also when it was confirmed before; GMCF_ERROR_WRONG_STATE when nothing is on trial; _FLASH.
//
// # Safety
// `updater` is NULL, or was made by gmcf_updater_open.
gmcf_status gmcf_updater_confirm(struct gmcf_updater *updater);

// Takes a statement that replaces one of the device's two keys, as `gmcf key rotate` makes it.
//
// Returns GMCF_DONE, or why it is refused.
//
// # Safety
// `updater` was made by gmcf_updater_open, `statement` points to `len` bytes; or they are NULL.
gmcf_status gmcf_updater_rotate(struct gmcf_updater *updater, const uint8_t *statement, size_t len);

// Writes to `*info` what the device says of itself.
//
// # Safety
// `updater` is NULL, or was made by gmcf_updater_open; `info` is NULL, or points to a gmcf_info.
gmcf_status gmcf_updater_info(struct gmcf_updater *updater, struct gmcf_info *info);

// Writes to `*error` what was refused last since the updater was opened, over the link or not, and why. The code there
// is 0 when nothing was. What was wrong with the arguments of a call is not kept: its code says all.
//
// # Safety
// `updater` is NULL, or was made by gmcf_updater_open; `error` is NULL, or points to a gmcf_error.
gmcf_status gmcf_updater_error(struct gmcf_updater *updater, struct gmcf_error *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* GMCF_H */
