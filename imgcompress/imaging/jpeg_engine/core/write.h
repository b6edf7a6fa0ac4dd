/* Write a baseline JPEG. */
#ifndef WRITE_H
#define WRITE_H

#include "image.h"

/* What the result is coded by: steps of each component; codes [0] are for the first component, [1]
 * for the others. */
struct coding {
    uint16_t steps[MAX_COMPONENTS][BLOCK];
    struct code dc[2], ac[2];
};

/* All blocks of the result: differences of means, and the tokens that are left, with new values. */
struct blocks {
    int16_t *differences;
    uint8_t *counts;
    uint32_t *tokens;
};

/* Which blocks are written without the tokens that are marked: a share of the MCUs, by chance. */
struct thinning {
    double wanted, available;  /* bits to be saved, and about those that all MCUs would save */
    uint32_t share;            /* of the MCUs, in 1 / 65536; the last one that was in use */
};

size_t header_size(const struct image *image, const struct coding *coding);

/* Write the whole image; return its size, or 0 where it would take more than `room`. */
size_t write_image(const struct image *image, const struct coding *coding,
                   const struct blocks *blocks, struct thinning *thinning, uint8_t *out,
                   size_t room);

#endif
