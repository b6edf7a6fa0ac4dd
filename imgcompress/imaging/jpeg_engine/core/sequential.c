/* Decode the one scan of a sequential image to tokens: T.81, annex F. */
#include <stdlib.h>

#include "bits.h"
#include "write.h"

/* Take memory for what is decoded, with room for so many tokens. */
int tokens_allocate(struct image *image, size_t tokens)
{
    image->tokens = malloc(tokens * sizeof *image->tokens);
    image->first_token = malloc((image->mcus + 1) * sizeof *image->first_token);
    image->counts = malloc(image->blocks);
    image->means = malloc(image->blocks * sizeof *image->means);
    return image->tokens && image->first_token && image->counts && image->means
               ? ENGINE_OK : ENGINE_NO_MEMORY;
}

/* Decode one block; return how many tokens it has, or -1. At most 63 are written. */
static inline int decode_block(struct bits *stream, const struct decoder *dc,
                               const struct decoder *ac, int32_t *difference, uint32_t *tokens)
{
    struct bits in = *stream;
    uint32_t *out = tokens;
    unsigned place = 1;
    bits_refill(&in);
    int size = bits_symbol(&in, dc);
    if (size < 0 || size > MAX_DC_SIZE)
        return -1;
    *difference = size ? extended(bits_take(&in, (unsigned)size), (unsigned)size) : 0;
    for (;;) {
        bits_refill(&in);
        /* 56 bits hold two short codes with their values, or one long one. */
        for (int pair = 0; pair < 2; pair++) {
            uint32_t entry = ac->coefficient[in.window >> (64 - LOOKUP_BITS)];
            if (entry < 1u << 24) {
                if (entry) {
                    bits_drop(&in, entry);
                    goto done;
                }
                if (pair)
                    break;
                int symbol = bits_symbol(&in, ac);
                if (symbol == 0)
                    goto done;
                size = symbol & 15;
                if (symbol < 0 || size > MAX_AC_SIZE || (!size && symbol != 0xF0))
                    return -1;
                place += (unsigned)symbol >> 4;
                if (size) {
                    int32_t value = extended(bits_take(&in, (unsigned)size), (unsigned)size);
                    *out++ = place << 16 | (uint16_t)value;
                }
                place++;
                if (place >= BLOCK)
                    goto full;
                break;
            }
            uint32_t bits = (uint32_t)((in.window << (entry & 255)) >> 32);
            unsigned shift = entry >> 24;
            int32_t value = (int32_t)(bits >> shift);
            value -= bits >> 31 ? 0 : (int32_t)(0xFFFFFFFFu >> shift);
            bits_drop(&in, entry >> 8 & 255);
            place += entry >> 16 & 255;
            *out++ = place << 16 | (uint16_t)value;
            place++;
            if (place >= BLOCK)
                goto full;
        }
    }
full:
    /* A run of zeros must not lead beyond the block, nor to its end without a coefficient. */
    if (place > BLOCK || out == tokens || out[-1] >> 16 != BLOCK - 1)
        return -1;
done:
    *stream = in;
    return (int)(out - tokens);
}

static int decode_mcu(struct image *image, struct bits *in, size_t mcu, int32_t *means,
                      uint32_t **tokens)
{
    size_t block = mcu * (size_t)image->mcu_blocks;
    uint32_t *next = *tokens;
    image->first_token[mcu] = (uint32_t)(next - image->tokens);
    for (int i = 0; i < image->mcu_blocks; i++, block++) {
        int c = image->unit[i].component;
        const struct component *component = image->component + c;
        int32_t difference;
        int count = decode_block(in, image->dc + component->dc, image->ac + component->ac,
                                 &difference, next);
        if (count < 0)
            return ENGINE_DAMAGED;
        means[c] += difference;
        if (means[c] > MAX_DC || means[c] < MIN_DC)
            return ENGINE_DAMAGED;
        image->means[block] = (int16_t)means[c];
        image->counts[block] = (uint8_t)count;
        next += count;
    }
    *tokens = next;
    return bits_left(in) < 0 ? ENGINE_DAMAGED : ENGINE_OK;
}

static int check_scan(const struct image *image, const struct scan *scan)
{
    if (scan->count != image->facts.components)
        return ENGINE_SCANS;
    if (scan->first != 0 || scan->last != BLOCK - 1 || scan->high || scan->low)
        return ENGINE_DAMAGED;
    for (int c = 0; c < scan->count; c++) {
        const struct component *component = image->component + c;
        if (!image->dc[component->dc].present || !image->ac[component->ac].present)
            return ENGINE_DAMAGED;
    }
    return ENGINE_OK;
}

int decode_sequential(struct image *image, const struct scan *scan)
{
    /* A block takes 2 bits or more, and so does a token: that bounds the memory by the file. */
    size_t bytes = image->size - image->position, most = image->blocks * (BLOCK - 1);
    int verdict = check_scan(image, scan);
    if (verdict)
        return verdict;
    if (image->blocks > bytes * 4)
        return ENGINE_TRUNCATED;
    most = most < bytes * 4 ? most : bytes * 4;
    /* One MCU may be decoded from the padding before that is noticed. */
    verdict = tokens_allocate(image, most + MAX_MCU_BLOCKS * BLOCK);
    if (verdict)
        return verdict;

    uint32_t *tokens = image->tokens;
    size_t restart = (size_t)image->facts.restart_interval, mcu = 0;
    for (size_t interval = 0; mcu < image->mcus; interval++) {
        struct bits in;
        int marker = bits_begin(&in, image);
        int32_t means[MAX_COMPONENTS] = {0};
        size_t end = restart && restart < image->mcus - mcu ? mcu + restart : image->mcus;
        for (; mcu < end; mcu++) {
            verdict = decode_mcu(image, &in, mcu, means, &tokens);
            if (verdict)
                return marker ? verdict : ENGINE_TRUNCATED;
            if (image->stream)
                stream_mcu(image->stream, mcu);
        }
        verdict = bits_finish(&in, image, marker, interval, mcu == image->mcus);
        if (verdict)
            return verdict;
    }
    image->first_token[image->mcus] = (uint32_t)(tokens - image->tokens);
    struct scan other;
    int found;
    verdict = read_to_scan(image, &other, &found);
    return found ? ENGINE_SCANS : verdict;
}
