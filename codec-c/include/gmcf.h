/*
 * gmcf: rebuilds a firmware image from the old one and a GMCF update, in memory that the caller lends.
 *
 * See README.md of codec-c for a whole program.
 */

#ifndef GMCF_H
#define GMCF_H

/* Made by codec-c/check-header.sh from codec-c/src: change that instead. */

#include <stddef.h>
#include <stdint.h>

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
    // An error that is newer than this interface.
    GMCF_ERROR_OTHER = -63,
    // A pointer is NULL that must not be.
    GMCF_ERROR_NULL = -64,
    // The profile is not known, or not compiled into this library.
    GMCF_ERROR_PROFILE = -65,
    // The memory for the decoder is too small, or not aligned.
    GMCF_ERROR_MEMORY = -66,
    // This is no decoder: it was not made by gmcf_decoder_init, or was written over.
    GMCF_ERROR_NOT_A_DECODER = -67,
    // A buffer cannot be that long, or runs over the end of the address space.
    GMCF_ERROR_LENGTH = -68,
    // Two of the decoder, the input and the output overlap.
    GMCF_ERROR_OVERLAP = -69,
    // The decoder was called from the function that reads its old image.
    GMCF_ERROR_BUSY = -70,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum gmcf_status gmcf_status;
#else
typedef int32_t gmcf_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A decoder, in memory that the caller lends to gmcf_decoder_init.
typedef struct gmcf_decoder gmcf_decoder;

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

// What a decoder refused, and why.
typedef struct gmcf_error {
    // One of `gmcf_status`; 0 when nothing was refused.
    int32_t code;
    // Which link of a chain, or which residue; of values that are bytes, how many; otherwise 0.
    uint32_t index;
    // What was found, as the code explains it; otherwise 0.
    uint64_t found;
    // What was allowed, needed or expected, as the code explains it; otherwise 0.
    uint64_t limit;
    // The name that the format's description gives to the field. Empty when the error is not about a field.
    char field[GMCF_FIELD_BYTES];
} gmcf_error;

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

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* GMCF_H */
