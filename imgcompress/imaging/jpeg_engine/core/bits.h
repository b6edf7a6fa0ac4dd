/* Read entropy-coded data bit by bit. */
#ifndef BITS_H
#define BITS_H

#include <string.h>

#include "image.h"

/* Readers look ahead: behind the data there are so many zero bytes. An MCU takes at most
 * 10 x (27 + 63 x 26) bits, 2081 bytes, and a look 8 more; what was read too much is noticed then. */
enum { PADDING = 4096 };

struct bits {
    uint64_t window;  /* the next bits, from the top */
    unsigned held;    /* how many of them there are, below 64 */
    const uint8_t *next, *end;
};

static inline uint64_t first_bytes(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Bring the window to 56 bits or more. */
static inline void bits_refill(struct bits *in)
{
    uint64_t word = first_bytes(in->next);
    in->window |= word >> in->held;
    in->next += (63 - in->held) >> 3;
    in->held |= 56;
}

static inline void bits_drop(struct bits *in, unsigned count)
{
    in->window <<= count;
    in->held -= count;
}

/* Return `count` bits, 1 to 16, as a number. */
static inline uint32_t bits_take(struct bits *in, unsigned count)
{
    uint32_t value = (uint32_t)(in->window >> (64 - count));
    bits_drop(in, count);
    return value;
}

/* Return what bits of this size mean: T.81, F.2.2.1, EXTEND. */
static inline int32_t extended(uint32_t value, unsigned size)
{
    return value >> (size - 1) ? (int32_t)value : (int32_t)value - (int32_t)((1u << size) - 1);
}

/* Return length << 8 | symbol of the code at the top of the window, or -1. */
static int long_symbol(const struct decoder *decoder, uint64_t window)
{
    int top = (int)(window >> 48);
    for (int length = 1; length <= 16; length++) {
        int code = top >> (16 - length);
        if (code <= decoder->last_code[length])
            return length << 8 | decoder->symbols[(code + decoder->first_place[length]) & 255];
    }
    return -1;
}

/* Return the next symbol, or -1 for bits that are none. */
static inline int bits_symbol(struct bits *in, const struct decoder *decoder)
{
    int found = decoder->symbol[in->window >> (64 - LOOKUP_BITS)];
    if (!found)
        found = long_symbol(decoder, in->window);
    if (found < 0)
        return -1;
    bits_drop(in, (unsigned)found >> 8);
    return found & 255;
}

/* Tell how many bits are left; negative if more were read than there are. */
static inline ptrdiff_t bits_left(const struct bits *in)
{
    return (in->end - in->next) * 8 + (ptrdiff_t)in->held;
}

/* Begin with the bytes up to the next marker, freed of stuffing; return the marker, which is not
 * read yet, or 0 where the data end before one. `image->entropy` holds them. */
static inline int bits_begin(struct bits *in, struct image *image)
{
    uint8_t *out = image->entropy;
    int marker = 0;
    while (image->position < image->size) {
        const uint8_t *from = image->data + image->position;
        size_t left = image->size - image->position;
        const uint8_t *found = memchr(from, 0xFF, left);
        size_t plain = found ? (size_t)(found - from) : left;
        memcpy(out, from, plain);
        out += plain;
        image->position += plain;
        if (left - plain < 2)
            break;
        if (found[1]) {
            marker = found[1];
            break;
        }
        *out++ = 0xFF;
        image->position += 2;
    }
    memset(out, 0, PADDING);
    *in = (struct bits){0, 0, image->entropy, out};
    return marker;
}

/* Check that an interval was read to its end, and that what should follow it does; pass over a
 * restart marker. `interval` counts from 0. */
static inline int bits_finish(const struct bits *in, struct image *image, int marker,
                              size_t interval, int is_last)
{
    ptrdiff_t left = bits_left(in);
    if (left < 0 || left > 7)
        return marker ? ENGINE_DAMAGED : ENGINE_TRUNCATED;
    if (!marker)
        return ENGINE_TRUNCATED;
    if (is_last)
        return marker >= 0xD0 && marker <= 0xD7 ? ENGINE_DAMAGED : ENGINE_OK;
    if (marker != (int)(0xD0 + (interval & 7)))
        return ENGINE_DAMAGED;
    image->position += 2;
    return ENGINE_OK;
}

#endif
