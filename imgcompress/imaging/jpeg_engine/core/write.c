/* Write a baseline JPEG: T.81, annexes B and F.1, with a JFIF header. */
#include <stdlib.h>
#include <string.h>

#include "write.h"

static const uint8_t START[] = {0xFF, 0xD8, 0xFF, 0xE0, 0, 16, 'J', 'F', 'I', 'F', 0,
                                1, 1, 0, 0, 1, 0, 1, 0, 0};
/* The most that one block may take, stuffing included: 64 codes of 16 bits with their values. */
enum { BLOCK_BYTES = 2 * (64 * 26 + 64) / 8 + 16 };

static int codes_of(const struct image *image)
{
    return image->facts.components > 1 ? 2 : 1;
}

/* Return how many tables of steps are written: the last two components mostly share theirs. */
static int tables_of(const struct image *image, const struct quantisation *quantisation)
{
    const uint16_t(*steps)[BLOCK] = quantisation->steps;
    return image->facts.components == 1 ? 1 : memcmp(steps[1], steps[2], sizeof *steps) ? 3 : 2;
}

size_t header_size(const struct image *image, const struct quantisation *quantisation,
                   const struct codes *codes)
{
    size_t components = (size_t)image->facts.components;
    size_t tables = (size_t)tables_of(image, quantisation);
    size_t size = sizeof START + 4 + tables * (1 + BLOCK) + 10 + 3 * components + 4;
    for (int i = 0; i < codes_of(image); i++)
        size += 34 + (size_t)(codes->dc[i].count + codes->ac[i].count);
    return size + 8 + 2 * components + 2;
}

static uint8_t *put_number(uint8_t *out, size_t number)
{
    *out++ = (uint8_t)(number >> 8);
    *out++ = (uint8_t)number;
    return out;
}

static uint8_t *put_marker(uint8_t *out, int marker, size_t length)
{
    *out++ = 0xFF;
    *out++ = (uint8_t)marker;
    return put_number(out, length);
}

static uint8_t *put_code(uint8_t *out, int name, const struct code *code)
{
    *out++ = (uint8_t)name;
    memcpy(out, code->lengths, 16);
    memcpy(out + 16, code->symbols, (size_t)code->count);
    return out + 16 + code->count;
}

static uint8_t *put_header(uint8_t *out, const struct image *image,
                           const struct quantisation *quantisation, const struct codes *codes)
{
    int components = image->facts.components, tables = tables_of(image, quantisation);
    memcpy(out, START, sizeof START);
    out = put_marker(out + sizeof START, 0xDB, 2 + (size_t)tables * (1 + BLOCK));
    for (int i = 0; i < tables; i++) {
        *out++ = (uint8_t)i;
        for (int k = 0; k < BLOCK; k++)
            *out++ = (uint8_t)quantisation->steps[i][k];
    }
    out = put_marker(out, 0xC0, 8 + 3 * (size_t)components);
    *out++ = 8;
    out = put_number(out, (size_t)image->facts.height);
    out = put_number(out, (size_t)image->facts.width);
    *out++ = (uint8_t)components;
    for (int c = 0; c < components; c++) {
        *out++ = (uint8_t)(c + 1);
        *out++ = (uint8_t)image->facts.sampling[c];
        *out++ = (uint8_t)(c < tables ? c : tables - 1);
    }
    uint8_t *segment = out;
    out += 4;
    for (int i = 0; i < codes_of(image); i++) {
        out = put_code(out, i, codes->dc + i);
        out = put_code(out, 0x10 | i, codes->ac + i);
    }
    put_marker(segment, 0xC4, (size_t)(out - segment) - 2);
    out = put_marker(out, 0xDA, 6 + 2 * (size_t)components);
    *out++ = (uint8_t)components;
    for (int c = 0; c < components; c++) {
        *out++ = (uint8_t)(c + 1);
        *out++ = c ? 0x11 : 0;
    }
    *out++ = 0;
    *out++ = 63;
    *out++ = 0;
    return out;
}

/* Write up to 32 bits. */
static inline void put_bits(struct writer *out, uint32_t bits, unsigned count)
{
    out->waiting = out->waiting << count | bits;
    out->count += count;
    if (out->count < 32)
        return;
    out->count -= 32;
    uint32_t word = (uint32_t)(out->waiting >> out->count);
    /* Four bytes at once, unless one of them is FF and has to be stuffed. */
    int has_ff = ((word & ~(word + 0x01010101u)) & 0x80808080u) != 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        uint8_t byte = (uint8_t)(word >> shift);
        *out->next++ = byte;
        if (has_ff && byte == 0xFF)
            *out->next++ = 0;
    }
}

/* Fill the last byte with ones (T.81, F.1.2.3), and end the image; return where. */
static uint8_t *put_end(struct writer *out)
{
    unsigned spare = (8 - (out->count & 7)) & 7;
    out->waiting = out->waiting << spare | ((1u << spare) - 1);
    for (unsigned count = out->count + spare; count; count -= 8) {
        uint8_t byte = (uint8_t)(out->waiting >> (count - 8));
        *out->next++ = byte;
        if (byte == 0xFF)
            *out->next++ = 0;
    }
    *out->next++ = 0xFF;
    *out->next++ = 0xD9;
    return out->next;
}

/* Write a code and the value's bits: T.81, F.1.2.1. */
static inline void put_value(struct writer *out, const struct code *code, unsigned run,
                             int32_t value)
{
    unsigned size = size_of(value), symbol = run << 4 | size;
    uint32_t bits = (uint32_t)(value - (value < 0)) & ((1u << size) - 1);
    put_bits(out, (uint32_t)code->bits[symbol] << size | bits, code->length[symbol] + size);
}

static inline void put_block(struct writer *stream, int32_t difference, const uint32_t *tokens,
                             int count, const struct code *dc, const struct code *ac)
{
    struct writer out = *stream;
    uint32_t last = 0;
    put_value(&out, dc, 0, difference);
    for (int i = 0; i < count; i++) {
        uint32_t place = place_of(tokens[i]), run = place - last - 1;
        for (; run > 15; run -= 16)
            put_bits(&out, ac->bits[0xF0], ac->length[0xF0]);
        put_value(&out, ac, run, value_of(tokens[i]));
        last = place;
    }
    if (last < BLOCK - 1)
        put_bits(&out, ac->bits[0], ac->length[0]);
    *stream = out;
}

/* Return the bits of a block's coefficients. */
static uint32_t block_bits(const uint32_t *tokens, int count, const struct code *ac)
{
    uint32_t last = 0, bits = 0;
    for (int i = 0; i < count; i++) {
        uint32_t place = place_of(tokens[i]), run = place - last - 1;
        unsigned size = size_of(value_of(tokens[i]));
        for (; run > 15; run -= 16)
            bits += ac->length[0xF0];
        bits += ac->length[run << 4 | size] + size;
        last = place;
    }
    return last < BLOCK - 1 ? bits + ac->length[0] : bits;
}

/* Copy the tokens that are not marked, if what is longer then has codes; return how many. */
static int thin_out(const uint32_t *tokens, int count, const struct code *ac, uint32_t *kept)
{
    int left = 0;
    uint32_t last = 0;
    for (int i = 0; i < count; i++)
        if (tokens[i] < MARK)
            kept[left++] = tokens[i];
    for (int i = 0; i < left; i++) {
        uint32_t run = place_of(kept[i]) - last - 1;
        unsigned size = size_of(value_of(kept[i]));
        if (!ac->length[(run & 15) << 4 | size] || (run > 15 && !ac->length[0xF0]))
            return -1;
        last = place_of(kept[i]);
    }
    return last < BLOCK - 1 && !ac->length[0] ? -1 : left;
}

/* Return the share of the MCUs that follow, in 1 / 65536, by which the rest is saved. */
static uint32_t share_of(const struct thinning *thinning, double saved, double thinned,
                         size_t left, size_t all)
{
    /* What they save is known better with each that is thinned; at first it is an estimate. */
    double each = (thinning->available / (double)all * 64 + saved) / (64 + thinned);
    double share = each > 0 ? (thinning->wanted - saved) / each / (double)left : 0;
    return (uint32_t)(65536 * (share < 0 ? 0 : share > 1 ? 1 : share));
}

size_t write_image(const struct image *image, const struct quantisation *quantisation,
                   const struct codes *codes, const struct blocks *blocks,
                   const struct thinning *thinning, uint8_t *out, size_t room)
{
    const uint32_t *tokens = blocks->tokens;
    double saved = 0, thinned = 0;
    if (room < header_size(image, quantisation, codes) + BLOCK_BYTES)
        return 0;
    uint32_t share = 0;
    struct writer writer = {put_header(out, image, quantisation, codes), 0, 0};
    const uint8_t *last = out + room - BLOCK_BYTES;
    for (size_t mcu = 0, block = 0; mcu < image->mcus; mcu++) {
        if (thinning->wanted > 0 && mcu % image->mcus_wide == 0)
            share = share_of(thinning, saved, thinned, image->mcus - mcu, image->mcus);
        /* Multiplying by 2^32 / phi scatters the MCUs that are thinned out (Knuth, TAOCP 6.4). */
        int thin = (uint32_t)mcu * 2654435761u >> 16 < share;
        for (int i = 0; i < image->mcu_blocks; i++, block++) {
            const struct code *dc = codes->dc + (image->unit[i].component > 0);
            const struct code *ac = codes->ac + (image->unit[i].component > 0);
            uint32_t kept[BLOCK];
            int count = blocks->counts[block], left = -1;
            if (writer.next > last)
                return 0;
            if (thin)
                left = thin_out(tokens, count, ac, kept);
            if (left >= 0)
                saved += (double)block_bits(tokens, count, ac) - block_bits(kept, left, ac);
            put_block(&writer, blocks->differences[block], left >= 0 ? kept : tokens,
                      left >= 0 ? left : count, dc, ac);
            tokens += count;
        }
        thinned += thin;
    }
    return (size_t)(put_end(&writer) - out);
}

int stream_begin(struct stream *stream, const struct image *image, double percent)
{
    stream->image = image;
    quantisation_set(&stream->quantisation, image, percent);
    for (int i = 0; i < 2; i++)
        code_fixed(stream->codes.dc + i, stream->codes.ac + i, i);
    size_t header = header_size(image, &stream->quantisation, &stream->codes);
    stream->data = malloc(header + image->size + MAX_MCU_BLOCKS * BLOCK_BYTES);
    if (!stream->data)
        return 0;
    stream->writer.next = put_header(stream->data, image, &stream->quantisation, &stream->codes);
    stream->last = stream->writer.next + image->size;
    return 1;
}

void stream_mcu(struct stream *stream, size_t mcu)
{
    const struct image *image = stream->image;
    const uint32_t *tokens = image->tokens + image->first_token[mcu];
    size_t block = mcu * (size_t)image->mcu_blocks;
    if (stream->writer.next > stream->last)
        return;
    for (int i = 0; i < image->mcu_blocks; i++, block++) {
        int c = image->unit[i].component;
        const uint32_t *ratio = stream->quantisation.ratio[c];
        uint32_t kept[BLOCK];
        int count = quantise_block(tokens, image->counts[block], ratio, kept);
        int32_t mean = quantised_mean(image->means[block], ratio[0]);
        put_block(&stream->writer, mean - stream->means[c], kept, count,
                  stream->codes.dc + (c > 0), stream->codes.ac + (c > 0));
        stream->means[c] = mean;
        tokens += image->counts[block];
    }
}

size_t stream_end(struct stream *stream)
{
    size_t size = (size_t)(put_end(&stream->writer) - stream->data);
    return size < stream->image->size ? size : 0;
}
