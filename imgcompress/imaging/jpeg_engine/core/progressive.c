/* Decode the scans of a progressive image to tokens: T.81, annex G. */
#include <stdlib.h>

#include "bits.h"

/* Each scan is one pass over the image; real files have about ten. */
enum { MAX_SCANS = 100, UNSENT = -1 };
/* Coefficients are gathered in full, 136 bytes for a block; a file of fewer bytes than this share of
 * them is refused, and with it the small file that asks for much memory. */
enum { WORTH = 256, ALWAYS_WORTH = 1 << 20 };

/* A block while it is gathered: its coefficients in zigzag order, and a bit for each of them but the
 * mean that is not zero. */
struct block {
    uint64_t present;
    int16_t value[BLOCK];
};

/* The blocks of all components, and how far each coefficient is known. */
struct canvas {
    struct block *blocks;
    size_t begin[MAX_COMPONENTS];  /* where the blocks of a component begin */
    int8_t low[MAX_COMPONENTS][BLOCK];
};

static inline void more_bits(struct bits *in)
{
    if (in->held < 32)
        bits_refill(in);
}

/* Note what a scan brings; refuse it where libjpeg would warn of its order (jdphuff.c). */
static int begin_scan(const struct image *image, const struct scan *scan, struct canvas *canvas)
{
    int is_dc = scan->first == 0;
    if (is_dc ? scan->last != 0 : scan->count != 1)
        return ENGINE_DAMAGED;
    if (scan->last >= BLOCK || scan->first > scan->last || scan->low > 13)
        return ENGINE_DAMAGED;
    if (scan->high && scan->high != scan->low + 1)
        return ENGINE_DAMAGED;
    for (int i = 0; i < scan->count; i++) {
        int c = scan->component[i];
        const struct component *component = image->component + c;
        const struct decoder *decoder = is_dc ? image->dc + component->dc
                                              : image->ac + component->ac;
        if (!decoder->present && !(is_dc && scan->high))
            return ENGINE_DAMAGED;
        if (!is_dc && canvas->low[c][0] == UNSENT)
            return ENGINE_DAMAGED;
        for (int k = scan->first; k <= scan->last; k++) {
            if (canvas->low[c][k] != (scan->high ? scan->high : UNSENT))
                return ENGINE_DAMAGED;
            canvas->low[c][k] = (int8_t)scan->low;
        }
    }
    return ENGINE_OK;
}

static int dc_first(struct bits *in, const struct decoder *decoder, int low, int32_t *mean,
                    struct block *block)
{
    more_bits(in);
    int size = bits_symbol(in, decoder);
    if (size < 0 || size > MAX_DC_SIZE)
        return ENGINE_DAMAGED;
    *mean += size ? extended(bits_take(in, (unsigned)size), (unsigned)size) : 0;
    int32_t value = *mean * (1 << low);
    if (value > MAX_DC || value < MIN_DC)
        return ENGINE_DAMAGED;
    block->value[0] = (int16_t)value;
    return ENGINE_OK;
}

static int ac_first(struct bits *stream, const struct decoder *decoder, const struct scan *scan,
                    uint32_t *run_of_ends, struct block *block)
{
    struct bits in = *stream;
    for (int k = scan->first; k <= scan->last; k++) {
        more_bits(&in);
        int symbol = bits_symbol(&in, decoder);
        if (symbol < 0)
            return ENGINE_DAMAGED;
        int run = symbol >> 4, size = symbol & 15;
        if (!size && run < 15) {
            *run_of_ends = (1u << run) - 1 + (run ? bits_take(&in, (unsigned)run) : 0);
            break;
        }
        k += run;
        if (k > scan->last || size > MAX_AC_SIZE)
            return ENGINE_DAMAGED;
        if (!size)
            continue;
        int32_t value = extended(bits_take(&in, (unsigned)size), (unsigned)size)
                        * (1 << scan->low);
        if (value > MAX_AC || value < -MAX_AC)
            return ENGINE_DAMAGED;
        block->value[k] = (int16_t)value;
        block->present |= (uint64_t)1 << k;
    }
    *stream = in;
    return ENGINE_OK;
}

/* Read the next bit of each coefficient of `places` that is known already. */
static inline void refine(struct bits *in, int low, uint64_t places, struct block *block)
{
    for (places &= block->present; places; places &= places - 1) {
        int16_t *value = block->value + __builtin_ctzll(places);
        more_bits(in);
        if (bits_take(in, 1))
            *value = (int16_t)(*value + (*value > 0 ? 1 << low : -(1 << low)));
    }
}

/* Return a bit for each place from `first` on to `last`, at most 63. */
static inline uint64_t places_of(int first, int last)
{
    return first > last ? 0 : ~(uint64_t)0 << first & ~(uint64_t)0 >> (BLOCK - 1 - last);
}

static int ac_refine(struct bits *stream, const struct decoder *decoder, const struct scan *scan,
                     uint32_t *run_of_ends, struct block *block)
{
    struct bits in = *stream;
    int k = scan->first;
    while (!*run_of_ends && k <= scan->last) {
        more_bits(&in);
        int symbol = bits_symbol(&in, decoder);
        if (symbol < 0 || (symbol & 15) > 1)
            return ENGINE_DAMAGED;
        int run = symbol >> 4, value = 0;
        if (symbol & 15)
            value = bits_take(&in, 1) ? 1 << scan->low : -(1 << scan->low);
        else if (run < 15) {
            *run_of_ends = (1u << run) + (run ? bits_take(&in, (unsigned)run) : 0);
            break;
        }
        /* The symbol is about the zero behind `run` others; what is known lies between. */
        uint64_t zeros = ~block->present & places_of(k, scan->last);
        for (; run && zeros; run--)
            zeros &= zeros - 1;
        if (!zeros)
            return ENGINE_DAMAGED;
        int place = __builtin_ctzll(zeros);
        refine(&in, scan->low, places_of(k, place), block);
        block->value[place] = (int16_t)value;
        block->present |= (uint64_t)(value != 0) << place;
        k = place + 1;
    }
    if (*run_of_ends) {
        refine(&in, scan->low, places_of(k, scan->last), block);
        --*run_of_ends;
    }
    *stream = in;
    return ENGINE_OK;
}

/* What stays the same, and what is carried on, from block to block of an interval. */
struct pass {
    struct bits in;
    int32_t means[MAX_COMPONENTS];
    uint32_t run_of_ends;
};

static inline int decode_block(const struct image *image, const struct scan *scan,
                               struct pass *pass, int c, struct block *block)
{
    const struct component *component = image->component + c;
    struct bits *in = &pass->in;
    int verdict = ENGINE_OK;
    if (scan->first == 0 && !scan->high)
        verdict = dc_first(in, image->dc + component->dc, scan->low, pass->means + c, block);
    else if (scan->first == 0) {
        more_bits(in);
        block->value[0] = (int16_t)(block->value[0] | (int16_t)(bits_take(in, 1) << scan->low));
    } else if (scan->high)
        verdict = ac_refine(in, image->ac + component->ac, scan, &pass->run_of_ends, block);
    else if (pass->run_of_ends)
        pass->run_of_ends--;
    else
        verdict = ac_first(in, image->ac + component->ac, scan, &pass->run_of_ends, block);
    return verdict ? verdict : bits_left(in) < 0 ? ENGINE_DAMAGED : ENGINE_OK;
}

/* Return a block of a component, by its row and column. */
static inline struct block *block_at(const struct image *image, const struct canvas *canvas, int c,
                                     size_t row, size_t column)
{
    return canvas->blocks + canvas->begin[c] + row * image->component[c].width + column;
}

/* Return a block of an MCU. */
static inline struct block *block_of(const struct image *image, const struct canvas *canvas,
                                     size_t mcu_row, size_t mcu_column, const struct unit *unit)
{
    const struct component *component = image->component + unit->component;
    return block_at(image, canvas, unit->component, mcu_row * (size_t)component->v + unit->row,
                    mcu_column * (size_t)component->h + unit->column);
}

/* Decode the blocks of one MCU of a scan of several components. */
static int decode_mcu(const struct image *image, const struct scan *scan,
                      const struct canvas *canvas, struct pass *pass, size_t mcu_row,
                      size_t mcu_column)
{
    int verdict = ENGINE_OK;
    for (int i = 0; !verdict && i < scan->count; i++) {
        int c = scan->component[i];
        const struct unit *unit = image->unit + image->component[c].begin;
        for (; !verdict && unit < image->unit + image->mcu_blocks && unit->component == c; unit++)
            verdict = decode_block(image, scan, pass, c,
                                   block_of(image, canvas, mcu_row, mcu_column, unit));
    }
    return verdict;
}

static int decode_scan(struct image *image, const struct scan *scan, const struct canvas *canvas)
{
    /* A component alone has MCUs of one block, and none that only fill others: T.81, A.2. */
    int alone = scan->count == 1, c = scan->component[0];
    size_t wide = alone ? image->component[c].own_width : image->mcus_wide;
    size_t high = alone ? image->component[c].own_height : image->mcus_high;
    size_t restart = (size_t)image->facts.restart_interval, mcu = 0, row = 0, column = 0;
    for (size_t interval = 0; mcu < wide * high; interval++) {
        struct pass pass = {0};
        int marker = bits_begin(&pass.in, image);
        size_t end = restart && restart < wide * high - mcu ? mcu + restart : wide * high;
        for (; mcu < end; mcu++) {
            int verdict = alone ? decode_block(image, scan, &pass, c,
                                               block_at(image, canvas, c, row, column))
                                : decode_mcu(image, scan, canvas, &pass, row, column);
            if (verdict)
                return marker ? verdict : ENGINE_TRUNCATED;
            if (++column == wide) {
                column = 0;
                row++;
            }
        }
        if (pass.run_of_ends)
            return ENGINE_DAMAGED;
        int verdict = bits_finish(&pass.in, image, marker, interval, mcu == wide * high);
        if (verdict)
            return verdict;
    }
    return ENGINE_OK;
}

/* Tell whether all is known of the first component, and of the others what was sent at all: an
 * encoder leaves out the details of colour where it found none (T.81, G.1.1.1). */
static int is_complete(const struct image *image, const struct canvas *canvas)
{
    for (int c = 0; c < image->facts.components; c++)
        for (int k = 0; k < BLOCK; k++)
            if (canvas->low[c][k] && !(canvas->low[c][k] == UNSENT && c && k))
                return 0;
    return 1;
}

static int to_tokens(struct image *image, const struct canvas *canvas)
{
    size_t count = 0, block = 0;
    for (size_t b = 0; b < image->blocks; b++)
        count += (size_t)__builtin_popcountll(canvas->blocks[b].present);
    int verdict = tokens_allocate(image, count + 1);
    if (verdict)
        return verdict;
    uint32_t *out = image->tokens;
    for (size_t mcu = 0; mcu < image->mcus; mcu++) {
        size_t mcu_row = mcu / image->mcus_wide, mcu_column = mcu % image->mcus_wide;
        image->first_token[mcu] = (uint32_t)(out - image->tokens);
        for (int i = 0; i < image->mcu_blocks; i++, block++) {
            const struct block *from = block_of(image, canvas, mcu_row, mcu_column,
                                                image->unit + i);
            const uint32_t *begin = out;
            for (uint64_t left = from->present; left; left &= left - 1) {
                uint32_t k = (uint32_t)__builtin_ctzll(left);
                *out++ = k << 16 | (uint16_t)from->value[k];
            }
            image->means[block] = from->value[0];
            image->counts[block] = (uint8_t)(out - begin);
        }
    }
    image->first_token[image->mcus] = (uint32_t)(out - image->tokens);
    return ENGINE_OK;
}

static int decode_scans(struct image *image, struct scan *scan, struct canvas *canvas)
{
    for (int found = 1; found;) {
        if (image->scanned > MAX_SCANS)
            return ENGINE_DAMAGED;
        int verdict = begin_scan(image, scan, canvas);
        if (!verdict)
            verdict = decode_scan(image, scan, canvas);
        if (!verdict)
            verdict = read_to_scan(image, scan, &found);
        if (verdict)
            return verdict;
    }
    return is_complete(image, canvas) ? to_tokens(image, canvas) : ENGINE_TRUNCATED;
}

int decode_progressive(struct image *image, struct scan *scan)
{
    struct canvas canvas;
    size_t block = 0;
    if (image->blocks / WORTH * sizeof(struct block) > image->size + ALWAYS_WORTH)
        return ENGINE_SPARSE;
    memset(canvas.low, UNSENT, sizeof canvas.low);
    for (int c = 0; c < image->facts.components; c++) {
        canvas.begin[c] = block;
        block += (size_t)image->component[c].width * image->component[c].height;
    }
    canvas.blocks = calloc(image->blocks, sizeof *canvas.blocks);
    if (!canvas.blocks)
        return ENGINE_NO_MEMORY;
    int verdict = decode_scans(image, scan, &canvas);
    free(canvas.blocks);
    return verdict;
}
