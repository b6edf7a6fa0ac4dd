/* Quantise coefficients more coarsely: docs/jpeg-engine.md, steps 2 and 3. */
#ifndef QUANTISE_H
#define QUANTISE_H

#include "image.h"

struct quantisation {
    uint16_t steps[MAX_COMPONENTS][BLOCK];  /* of the result */
    uint32_t ratio[MAX_COMPONENTS][BLOCK];  /* new value / old value, in 1 / 65536; at most 1 */
    int lossless;    /* every step is the source's */
    int own_tables;  /* no step is the source's rather than ours */
};

/* In 1 / 65536 of a step: values below THRESHOLD become 0, others are rounded up from 1 - ROUNDING
 * on. The threshold must exceed that, or tokens of value 0 would be left. Values below THIN may be
 * dropped as well, if a result is slightly above its budget. */
enum { THRESHOLD = 41288, ROUNDING = 27525, THIN = 57672 };  /* 0.63, 0.42, 0.88 */

/* An image that was moved by part of a block has values in this part of its steps. */
enum { FINENESS = 4 };

/* Set in a token of the result that may be dropped as well. */
enum { MARK_BIT = 24, MARK = 1 << MARK_BIT };

/* The range of percentages: at the finest one, every step is the source's. */
static const double FINEST = 0.4, COARSEST = 3000;

static inline double within_range(double percent)
{
    return percent > FINEST ? percent < COARSEST ? percent : COARSEST : FINEST;
}

/* Quantise by `percent` of the engine's table. */
void quantisation_set(struct quantisation *quantisation, const struct image *image, double percent);

static inline uint32_t place_of(uint32_t token)
{
    return token >> 16 & (BLOCK - 1);
}

static inline int32_t value_of(uint32_t token)
{
    return (int16_t)(token & 0xFFFF);
}

static inline uint32_t magnitude(int32_t value)
{
    return (uint32_t)(value < 0 ? -value : value);
}

/* Return how many bits a value's magnitude has; 0 for 0. */
static inline unsigned size_of(int32_t value)
{
    return value ? 32u - (unsigned)__builtin_clz(magnitude(value)) : 0u;
}

static inline int32_t quantised_mean(int32_t mean, uint32_t ratio)
{
    int32_t level = (int32_t)((magnitude(mean) * ratio + 32768) >> 16);
    return mean < 0 ? -level : level;
}

/* Quantise a block's tokens, drop those that become 0, and mark those that may; return how many are
 * left. One more than that may be written. */
static inline int quantise_block(const uint32_t *tokens, int count, const uint32_t *ratio,
                                 uint32_t *out)
{
    uint32_t *next = out;
    for (int i = 0; i < count; i++) {
        uint32_t place = tokens[i] >> 16;
        int32_t value = value_of(tokens[i]), sign = -(value < 0);
        uint32_t scaled = (uint32_t)((value ^ sign) - sign) * ratio[place];
        int32_t level = (int32_t)((scaled + ROUNDING) >> 16);
        /* The top bit of a difference replaces branches, which could not be predicted. */
        uint32_t mark = (scaled - THIN) >> 31 << MARK_BIT;
        *next = mark | place << 16 | (uint16_t)((level ^ sign) - sign);
        next += (THRESHOLD - 1 - scaled) >> 31;
    }
    return (int)(next - out);
}

#endif
