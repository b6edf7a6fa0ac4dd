/* Move the edge of an image that was turned to where JPEGs have it: what filled incomplete MCUs up at
 * the right or the bottom is then at the left or the top. Pixels move by less than an MCU, within
 * the cosines of two neighbouring blocks: docs/jpeg-engine.md, "Orientation". */
#include <math.h>
#include <stdlib.h>

#include "quantise.h"

/* What the coefficients of a block become in one direction, [from][to], if it is moved. */
typedef float matrix[8][8];

struct shift {
    int vertical;
    uint32_t blocks;  /* by which a component is moved, and then: */
    matrix first;     /* what stays of a block */
    matrix next;      /* what comes from the next one */
    matrix last;      /* the last block, its last pixels repeated */
    matrix beyond;    /* blocks after that */
    int aligned;      /* nothing comes from the next one */
    /* Blocks are added up line by line in the direction of the shift. */
    uint8_t line[BLOCK], along[BLOCK];  /* where each coefficient stands, in zigzag order */
    float old[BLOCK], new[BLOCK];  /* what a value stands for, and values per unit */
};

/* Let the pixels from `low` to `high` of the new block be those of the old one from `low + offset`
 * on; behind the last pixel, it is repeated. */
static void set_matrix(matrix to, int low, int high, int offset)
{
    double cosine[8][8];
    for (int u = 0; u < 8; u++)
        for (int x = 0; x < 8; x++)
            cosine[u][x] = cos((2 * x + 1) * u * acos(-1.0) / 16) * (u ? 0.5 : sqrt(0.125));
    for (int u = 0; u < 8; u++)
        for (int w = 0; w < 8; w++) {
            double sum = 0;
            for (int x = low; x < high; x++)
                sum += cosine[u][x + offset < 7 ? x + offset : 7] * cosine[w][x];
            to[u][w] = (float)sum;
        }
}

static void set_shift(struct shift *shift, const struct image *image, int c, int vertical,
                      uint32_t pixels)
{
    const uint16_t *steps = image->tables[image->component[c].table];
    int rest = (int)pixels & 7;
    shift->vertical = vertical;
    shift->blocks = pixels / 8;
    shift->aligned = !rest;
    set_matrix(shift->first, 0, 8 - rest, rest);
    set_matrix(shift->next, 8 - rest, 8, rest - 8);
    set_matrix(shift->last, 0, 8, rest);
    set_matrix(shift->beyond, 0, 8, 8);
    for (int k = 0; k < BLOCK; k++) {
        int row = ZIGZAG[k] >> 3, column = ZIGZAG[k] & 7;
        shift->line[k] = (uint8_t)(vertical ? column : row);
        shift->along[k] = (uint8_t)(vertical ? row : column);
        shift->old[k] = (float)steps[k] / (float)image->fineness;
        shift->new[shift->line[k] * 8 + shift->along[k]] = (float)FINENESS / (float)steps[k];
    }
}

/* Find a block of a component, by its column and row. */
static const uint32_t *find_block(const struct image *image, int c, const uint32_t *at,
                                  size_t *block)
{
    const struct component *component = image->component + c;
    uint32_t h = (uint32_t)component->h, v = (uint32_t)component->v;
    size_t mcu = (size_t)(at[1] / v) * image->mcus_wide + at[0] / h;
    const uint32_t *tokens = image->tokens + image->first_token[mcu];
    size_t end = mcu * (size_t)image->mcu_blocks + (size_t)component->begin + at[1] % v * h
                 + at[0] % h;
    for (*block = mcu * (size_t)image->mcu_blocks; *block < end; ++*block)
        tokens += image->counts[*block];
    return tokens;
}

/* Add one coefficient, moved, to a block. */
static inline void add_moved(float *restrict sum, const struct shift *shift, uint32_t k,
                             int32_t value, const matrix by)
{
    float factor = (float)value * shift->old[k];
    const float *from = by[shift->along[k]];
    float *to = sum + shift->line[k] * 8;
    for (int i = 0; i < 8; i++)
        to[i] += factor * from[i];
}

static void add_block(const struct image *image, const struct shift *shift, int c,
                      const uint32_t *at, const matrix by, float *sum)
{
    size_t block;
    const uint32_t *tokens = find_block(image, c, at, &block);
    add_moved(sum, shift, 0, image->means[block], by);
    for (int i = 0; i < image->counts[block]; i++)
        add_moved(sum, shift, place_of(tokens[i]), value_of(tokens[i]), by);
}

static int32_t limited(int32_t level, int32_t least, int32_t most)
{
    return level < least ? least : level > most ? most : level;
}

/* Write what does not become 0 anyway, since results have no finer steps than the source. */
static int to_tokens(const float *sum, const struct shift *shift, int16_t *mean, uint32_t *tokens)
{
    uint32_t *out = tokens;
    int32_t levels[BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        float level = sum[i] * shift->new[i];
        levels[i] = (int32_t)(level + (level < 0 ? -0.5f : 0.5f));
    }
    *mean = (int16_t)limited(levels[0], MIN_DC * FINENESS, MAX_DC * FINENESS);
    for (uint32_t k = 1; k < BLOCK; k++) {
        int32_t level = levels[shift->line[k] * 8 + shift->along[k]];
        level = limited(level, -MAX_AC * FINENESS, MAX_AC * FINENESS);
        *out = k << 16 | (uint16_t)level;
        out += magnitude(level) * (65536 / FINENESS) >= THRESHOLD;
    }
    return (int)(out - tokens);
}

/* Copy a block that moves as a whole. */
static int copy_tokens(const uint32_t *from, int count, int factor, uint32_t *to)
{
    for (int i = 0; i < count; i++)
        to[i] = place_of(from[i]) << 16 | (uint16_t)(value_of(from[i]) * factor);
    return count;
}

/* Make one block from those that it is moved over; return how many tokens it has. */
static int move_block(const struct image *from, const struct shift *shift, int c, uint32_t *at, int16_t *mean, uint32_t *tokens)
{
    const struct component *component = from->component + c;
    uint32_t *moving = at + shift->vertical;
    uint32_t end = (shift->vertical ? component->height : component->width) - 1;
    float sum[BLOCK] = {0};
    *moving += shift->blocks;
    if (*moving >= end) {
        int is_last = *moving == end;
        *moving = end;
        add_block(from, shift, c, at, is_last ? shift->last : shift->beyond, sum);
    } else if (shift->aligned) {
        size_t block;
        const uint32_t *source = find_block(from, c, at, &block);
        int factor = FINENESS / from->fineness;
        *mean = (int16_t)(from->means[block] * factor);
        return copy_tokens(source, from->counts[block], factor, tokens);
    } else {
        add_block(from, shift, c, at, shift->first, sum);
        ++*moving;
        add_block(from, shift, c, at, shift->next, sum);
    }
    return to_tokens(sum, shift, mean, tokens);
}

/* Compute all blocks again, moved. */
static int move_blocks(const struct image *from, struct image *to,
                       const struct shift *shifts)
{
    size_t room = (size_t)from->first_token[from->mcus] + BLOCK, used = 0, block = 0;
    int verdict = tokens_allocate(to, room);
    for (size_t mcu = 0; !verdict && mcu < from->mcus; mcu++) {
        to->first_token[mcu] = (uint32_t)used;
        for (int i = 0; i < from->mcu_blocks; i++, block++) {
            const struct unit *unit = from->unit + i;
            int c = unit->component;
            uint32_t h = (uint32_t)from->component[c].h, v = (uint32_t)from->component[c].v;
            uint32_t at[2] = {(uint32_t)(mcu % from->mcus_wide) * h + unit->column,
                              (uint32_t)(mcu / from->mcus_wide) * v + unit->row};
            if (used + BLOCK > room) {
                uint32_t *tokens = realloc(to->tokens, 2 * room * sizeof *tokens);
                if (!tokens)
                    return ENGINE_NO_MEMORY;
                to->tokens = tokens;
                room *= 2;
            }
            int count = move_block(from, shifts + c, c, at, to->means + block,
                                   to->tokens + used);
            to->counts[block] = (uint8_t)count;
            used += (size_t)count;
        }
    }
    if (!verdict)
        to->first_token[to->mcus] = (uint32_t)used;
    return verdict;
}

static int shift_image(struct image *image, int vertical, uint32_t pixels)
{
    struct shift shifts[MAX_COMPONENTS];
    struct image from = *image;
    const struct component *first = image->component;
    for (int c = 0; c < image->facts.components; c++) {
        int own = vertical ? first[c].v : first[c].h, most = vertical ? first->v : first->h;
        set_shift(shifts + c, image, c, vertical, pixels * (uint32_t)own / (uint32_t)most);
    }
    int verdict = move_blocks(&from, image, shifts);
    image->fineness = FINENESS;
    image_release_tokens(&from);
    return verdict;
}

int edges_move(struct image *image, uint32_t pixels_left, uint32_t pixels_above)
{
    int verdict = ENGINE_OK;
    if (pixels_left)
        verdict = shift_image(image, 0, pixels_left);
    if (!verdict && pixels_above)
        verdict = shift_image(image, 1, pixels_above);
    return verdict;
}
