/* Decode the scans of a progressive image to tokens: T.81, annex G. */
#include <stdlib.h>

#include "bits.h"

/* Each scan is one pass over the image; real files have about ten. */
enum { MAX_SCANS = 100, UNSENT = -1 };
/* Coefficients are gathered in full, 128 bytes for a block; a file of fewer bytes than this share of
 * them is refused, and with it the small file that asks for much memory. */
enum { WORTH = 256, ALWAYS_WORTH = 1 << 20 };

/* The coefficients of all components, in zigzag order, and how far each of them is known. */
struct canvas {
    int16_t (*blocks)[BLOCK];
    size_t begin[MAX_COMPONENTS];  /* where the blocks of a component begin */
    int8_t low[MAX_COMPONENTS][BLOCK];
};

static void more_bits(struct bits *in)
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
                    int16_t *block)
{
    more_bits(in);
    int size = bits_symbol(in, decoder);
    if (size < 0 || size > MAX_DC_SIZE)
        return ENGINE_DAMAGED;
    *mean += size ? extended(bits_take(in, (unsigned)size), (unsigned)size) : 0;
    int32_t value = *mean * (1 << low);
    if (value > MAX_DC || value < -MAX_DC)
        return ENGINE_DAMAGED;
    block[0] = (int16_t)value;
    return ENGINE_OK;
}

static int ac_first(struct bits *in, const struct decoder *decoder, const struct scan *scan,
                    uint32_t *run_of_ends, int16_t *block)
{
    if (*run_of_ends) {
        --*run_of_ends;
        return ENGINE_OK;
    }
    for (int k = scan->first; k <= scan->last; k++) {
        more_bits(in);
        int symbol = bits_symbol(in, decoder);
        if (symbol < 0)
            return ENGINE_DAMAGED;
        int run = symbol >> 4, size = symbol & 15;
        if (!size && run < 15) {
            *run_of_ends = (1u << run) - 1 + (run ? bits_take(in, (unsigned)run) : 0);
            return ENGINE_OK;
        }
        k += run;
        if (k > scan->last || size > MAX_AC_SIZE)
            return ENGINE_DAMAGED;
        if (!size)
            continue;
        int32_t value = extended(bits_take(in, (unsigned)size), (unsigned)size) * (1 << scan->low);
        if (value > MAX_AC || value < -MAX_AC)
            return ENGINE_DAMAGED;
        block[k] = (int16_t)value;
    }
    return ENGINE_OK;
}

/* Read the next bit of a coefficient that is known already. */
static void refine(struct bits *in, int low, int16_t *coefficient)
{
    more_bits(in);
    if (bits_take(in, 1))
        *coefficient = (int16_t)(*coefficient + (*coefficient > 0 ? 1 << low : -(1 << low)));
}

/* Pass over `zeros` coefficients that are still zero, and refine the others on the way; return the
 * place of the zero behind them, or one after the band's end. */
static int skip_zeros(struct bits *in, const struct scan *scan, int k, int zeros, int16_t *block)
{
    for (; k <= scan->last; k++) {
        if (block[k])
            refine(in, scan->low, block + k);
        else if (zeros-- == 0)
            break;
    }
    return k;
}

static int ac_refine(struct bits *in, const struct decoder *decoder, const struct scan *scan,
                     uint32_t *run_of_ends, int16_t *block)
{
    int k = scan->first;
    while (!*run_of_ends && k <= scan->last) {
        more_bits(in);
        int symbol = bits_symbol(in, decoder);
        if (symbol < 0 || (symbol & 15) > 1)
            return ENGINE_DAMAGED;
        int run = symbol >> 4, value = 0;
        if (symbol & 15)
            value = bits_take(in, 1) ? 1 << scan->low : -(1 << scan->low);
        else if (run < 15) {
            *run_of_ends = (1u << run) + (run ? bits_take(in, (unsigned)run) : 0);
            break;
        }
        k = skip_zeros(in, scan, k, run, block);
        if (k > scan->last)
            return ENGINE_DAMAGED;
        block[k++] = (int16_t)value;
    }
    if (*run_of_ends) {
        skip_zeros(in, scan, k, BLOCK, block);
        --*run_of_ends;
    }
    return ENGINE_OK;
}

/* What stays the same, and what is carried on, from block to block of an interval. */
struct pass {
    struct bits in;
    int32_t means[MAX_COMPONENTS];
    uint32_t run_of_ends;
};

static int decode_block(const struct image *image, const struct scan *scan, struct pass *pass,
                        int c, int16_t *block)
{
    const struct component *component = image->component + c;
    struct bits *in = &pass->in;
    int verdict = ENGINE_OK;
    if (scan->first == 0 && !scan->high)
        verdict = dc_first(in, image->dc + component->dc, scan->low, pass->means + c, block);
    else if (scan->first == 0) {
        more_bits(in);
        block[0] = (int16_t)(block[0] | (int16_t)(bits_take(in, 1) << scan->low));
    } else if (!scan->high)
        verdict = ac_first(in, image->ac + component->ac, scan, &pass->run_of_ends, block);
    else
        verdict = ac_refine(in, image->ac + component->ac, scan, &pass->run_of_ends, block);
    return verdict ? verdict : bits_left(in) < 0 ? ENGINE_DAMAGED : ENGINE_OK;
}

/* Decode the blocks of one MCU of a scan: one, if there is one component alone. */
static int decode_mcu(const struct image *image, const struct scan *scan, struct canvas *canvas,
                      struct pass *pass, size_t mcu)
{
    if (scan->count == 1) {
        int c = scan->component[0];
        const struct component *component = image->component + c;
        size_t row = mcu / component->own_width, column = mcu % component->own_width;
        return decode_block(image, scan, pass, c,
                            canvas->blocks[canvas->begin[c] + row * component->width + column]);
    }
    size_t mcu_row = mcu / image->mcus_wide, mcu_column = mcu % image->mcus_wide;
    for (int i = 0; i < scan->count; i++) {
        int c = scan->component[i];
        const struct component *component = image->component + c;
        for (int j = 0; j < component->h * component->v; j++) {
            size_t row = mcu_row * (size_t)component->v + (size_t)(j / component->h);
            size_t column = mcu_column * (size_t)component->h + (size_t)(j % component->h);
            int verdict = decode_block(image, scan, pass, c, canvas->blocks[
                canvas->begin[c] + row * component->width + column]);
            if (verdict)
                return verdict;
        }
    }
    return ENGINE_OK;
}

static int decode_scan(struct image *image, const struct scan *scan, struct canvas *canvas)
{
    const struct component *component = image->component + scan->component[0];
    size_t mcus = scan->count > 1 ? image->mcus
                                  : (size_t)component->own_width * component->own_height;
    size_t restart = (size_t)image->facts.restart_interval, mcu = 0;
    for (size_t interval = 0; mcu < mcus; interval++) {
        struct pass pass = {0};
        int marker = bits_begin(&pass.in, image);
        size_t end = restart && restart < mcus - mcu ? mcu + restart : mcus;
        for (; mcu < end; mcu++) {
            int verdict = decode_mcu(image, scan, canvas, &pass, mcu);
            if (verdict)
                return marker ? verdict : ENGINE_TRUNCATED;
        }
        if (pass.run_of_ends)
            return ENGINE_DAMAGED;
        int verdict = bits_finish(&pass.in, image, marker, interval, mcu == mcus);
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
        for (int k = 1; k < BLOCK; k++)
            count += canvas->blocks[b][k] != 0;
    int verdict = tokens_allocate(image, count + 1);
    if (verdict)
        return verdict;
    uint32_t *out = image->tokens;
    for (size_t mcu = 0; mcu < image->mcus; mcu++) {
        size_t mcu_row = mcu / image->mcus_wide, mcu_column = mcu % image->mcus_wide;
        image->first_token[mcu] = (uint32_t)(out - image->tokens);
        for (int i = 0, j = 0; i < image->mcu_blocks; i++, j++, block++) {
            int c = image->block_component[i];
            const struct component *component = image->component + c;
            if (i && image->block_component[i - 1] != c)
                j = 0;
            size_t row = mcu_row * (size_t)component->v + (size_t)(j / component->h);
            size_t column = mcu_column * (size_t)component->h + (size_t)(j % component->h);
            const int16_t *from = canvas->blocks[canvas->begin[c] + row * component->width
                                                 + column];
            const uint32_t *begin = out;
            for (uint32_t k = 1; k < BLOCK; k++)
                if (from[k])
                    *out++ = k << 16 | (uint16_t)from[k];
            image->means[block] = from[0];
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
    if (image->blocks / WORTH * (2 * BLOCK) > image->size + ALWAYS_WORTH)
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
