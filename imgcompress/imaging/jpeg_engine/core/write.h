/* Write a baseline JPEG. */
#ifndef WRITE_H
#define WRITE_H

#include "quantise.h"

/* Codes of means and of the other coefficients: [0] of the first component, [1] of the others. */
struct codes {
    struct code dc[2], ac[2];
};

/* All blocks of the result: differences of means, and the quantised tokens. */
struct blocks {
    int16_t *differences;
    uint8_t *counts;
    uint32_t *tokens;
};

/* Which blocks are written without the tokens that are marked: a share of the MCUs, by a hash. */
struct thinning {
    double wanted, available;  /* bits to be saved, and about those that all MCUs would save */
};

size_t header_size(const struct image *image, const struct quantisation *quantisation,
                   const struct codes *codes);

/* Write the whole image; return its size, or 0 if it would take more than `room`. */
size_t write_image(const struct image *image, const struct quantisation *quantisation,
                   const struct codes *codes, const struct blocks *blocks,
                   const struct thinning *thinning, uint8_t *out, size_t room);

struct writer {
    uint8_t *next;
    uint64_t waiting;  /* bits that make no four bytes yet, the last one lowest */
    unsigned count;    /* how many of them, below 32 */
};

/* A result that is written while the image is decoded, with codes that fit every image. */
struct stream {
    const struct image *image;
    struct quantisation quantisation;
    struct codes codes;
    struct writer writer;
    int32_t means[MAX_COMPONENTS];
    uint8_t *data, *last;  /* what is written, and from where on an MCU might not fit */
};

/* Begin, as soon as the header is read; return whether there was memory. */
int stream_begin(struct stream *stream, const struct image *image, double percent);
/* Write the next MCU that was decoded, unless the result is larger than its source already. */
void stream_mcu(struct stream *stream, size_t mcu);
/* Return the size of the whole, or 0 where it is not smaller than its source. */
size_t stream_end(struct stream *stream);

#endif
