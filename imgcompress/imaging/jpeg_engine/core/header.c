/* Read the segments of a JPEG: T.81, annex B. */
#include <stdlib.h>
#include <string.h>

#include "image.h"

const uint8_t ZIGZAG[BLOCK] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

enum {
    SOF0 = 0xC0, SOF1 = 0xC1, SOF2 = 0xC2, DHT = 0xC4, SOF9 = 0xC9, SOF10 = 0xCA, DAC = 0xCC,
    RST0 = 0xD0, SOI = 0xD8, EOI = 0xD9, SOS = 0xDA, DQT = 0xDB, DNL = 0xDC, DRI = 0xDD,
    APP0 = 0xE0, APP1 = 0xE1, APP2 = 0xE2, APP14 = 0xEE,
    APP15 = 0xEF, COM = 0xFE
};
/* Real files have some dozens. */
enum { MAX_SEGMENTS = 10000 };

/* What a segment holds behind its length. */
struct body {
    const uint8_t *at, *end;
};

static size_t left(struct body body)
{
    return (size_t)(body.end - body.at);
}

static int number(const uint8_t *at)
{
    return at[0] << 8 | at[1];
}

static int read_tables(struct image *image, struct body body)
{
    if (image->scanned)
        return ENGINE_SCANS;  /* They might be meant for a component that was begun already. */
    while (left(body)) {
        int wide = *body.at >> 4, table = *body.at & 15;
        size_t size = wide ? 2 * BLOCK : BLOCK;
        body.at++;
        if (wide > 1 || table > 3 || left(body) < size)
            return ENGINE_DAMAGED;
        for (int k = 0; k < BLOCK; k++) {
            int step = wide ? number(body.at + 2 * k) : body.at[k];
            if (!step)
                return ENGINE_DAMAGED;
            if (step > 255)
                return ENGINE_DEEP;
            image->tables[table][k] = (uint16_t)step;
        }
        image->has_table[table] = 1;
        body.at += size;
    }
    return ENGINE_OK;
}

static int read_codes(struct image *image, struct body body)
{
    while (left(body)) {
        if (left(body) < 17)
            return ENGINE_DAMAGED;
        int coefficients = *body.at >> 4, place = *body.at & 15, count = 0;
        const uint8_t *lengths = body.at + 1;
        for (int i = 0; i < 16; i++)
            count += lengths[i];
        body.at += 17;
        if (coefficients > 1 || place > 3 || count > 256 || left(body) < (size_t)count)
            return ENGINE_DAMAGED;
        if (image->dc) {
            struct decoder *decoder = (coefficients ? image->ac : image->dc) + place;
            int verdict = decoder_build(decoder, lengths, body.at, count, coefficients);
            if (verdict)
                return verdict;
        }
        body.at += count;
    }
    return ENGINE_OK;
}

int lay_out(struct image *image)
{
    struct component *components = image->component;
    int count = image->facts.components, blocks = 0;
    uint32_t width = (uint32_t)image->facts.width, height = (uint32_t)image->facts.height;
    for (int c = 0; c < count; c++)
        if (components[c].h < 1 || components[c].h > 4 || components[c].v < 1
            || components[c].v > 4)
            return ENGINE_DAMAGED;
    if (count == 1)
        components[0].h = components[0].v = 1;  /* Its scan is not interleaved. */
    uint32_t h = (uint32_t)components[0].h, v = (uint32_t)components[0].v;
    image->mcus_wide = (width + 8 * h - 1) / (8 * h);
    image->mcus_high = (height + 8 * v - 1) / (8 * v);
    for (int c = 0; c < count; c++) {
        struct component *component = components + c;
        uint32_t own_h = (uint32_t)component->h, own_v = (uint32_t)component->v;
        if (h % own_h || v % own_v)
            return ENGINE_SAMPLING;
        if (blocks + component->h * component->v > MAX_MCU_BLOCKS)
            return ENGINE_SAMPLING;
        component->begin = blocks;
        for (int i = 0; i < component->h * component->v; i++)
            image->unit[blocks++] = (struct unit){(uint8_t)c, (uint8_t)(i % component->h),
                                                  (uint8_t)(i / component->h)};
        component->width = image->mcus_wide * own_h;
        component->height = image->mcus_high * own_v;
        component->own_width = ((width * own_h + h - 1) / h + 7) / 8;
        component->own_height = ((height * own_v + v - 1) / v + 7) / 8;
        image->facts.sampling[c] = component->h << 4 | component->v;
    }
    image->mcu_blocks = blocks;
    image->mcus = (size_t)image->mcus_wide * image->mcus_high;
    image->blocks = image->mcus * (size_t)blocks;
    return ENGINE_OK;
}

static int read_frame(struct image *image, struct body body, int marker)
{
    if (image->has_frame || left(body) < 6)
        return ENGINE_DAMAGED;
    image->has_frame = 1;
    struct engine_facts *facts = &image->facts;
    facts->progressive = marker == SOF2;
    if (body.at[0] != 8)
        return ENGINE_DEEP;
    facts->height = number(body.at + 1);
    facts->width = number(body.at + 3);
    facts->components = body.at[5];
    if (left(body) != 6 + 3 * (size_t)facts->components || !facts->width || !facts->height)
        return ENGINE_DAMAGED;
    if (facts->components != 1 && facts->components != MAX_COMPONENTS)
        return ENGINE_COLOURS;
    for (int c = 0; c < facts->components; c++) {
        const uint8_t *at = body.at + 6 + 3 * c;
        image->component[c] = (struct component){
            .id = at[0], .h = at[1] >> 4, .v = at[1] & 15, .table = at[2]};
        if (at[2] > 3)
            return ENGINE_DAMAGED;
        for (int other = 0; other < c; other++)
            if (image->component[other].id == at[0])
                return ENGINE_DAMAGED;
    }
    return lay_out(image);
}

static int read_scan(struct image *image, struct body body, struct scan *scan)
{
    if (!image->has_frame || left(body) < 1)
        return ENGINE_DAMAGED;
    int count = *body.at, next = 0;
    if (count < 1 || count > image->facts.components || left(body) != 4 + 2 * (size_t)count)
        return ENGINE_DAMAGED;
    for (int i = 0; i < count; i++) {
        const uint8_t *at = body.at + 1 + 2 * i;
        while (next < image->facts.components && image->component[next].id != at[0])
            next++;
        if (next == image->facts.components || at[1] >> 4 > 3 || (at[1] & 15) > 3)
            return ENGINE_DAMAGED;  /* Components come in the frame's order: T.81, B.2.3. */
        image->component[next].dc = at[1] >> 4;
        image->component[next].ac = at[1] & 15;
        if (!image->has_table[image->component[next].table])
            return ENGINE_DAMAGED;
        scan->component[i] = next++;
    }
    const uint8_t *at = body.at + 1 + 2 * count;
    scan->count = count;
    scan->first = at[0];
    scan->last = at[1];
    scan->high = at[2] >> 4;
    scan->low = at[2] & 15;
    image->scanned++;
    return ENGINE_OK;
}

static int is(struct body body, const char *name, size_t size)
{
    return left(body) >= size && !memcmp(body.at, name, size);
}

static void note(const struct image *image, struct engine_span *span, struct body body,
                 size_t header)
{
    if (!span->size)
        *span = (struct engine_span){(uint32_t)(body.at - image->data + (ptrdiff_t)header),
                                     (uint32_t)(left(body) - header)};
}

static void read_application(struct image *image, struct body body, int marker)
{
    struct engine_facts *facts = &image->facts;
    if (marker == APP0 && left(body) >= 14 && is(body, "JFIF", 5))
        image->jfif = 1;
    else if (marker == APP1 && is(body, "Exif\0", 6))
        note(image, &facts->exif, body, 6);
    else if (marker == APP1 && is(body, "http://ns.adobe.com/xap/1.0/", 29)) {
        facts->xmp.size = 0;  /* The last one counts, as it does to Pillow. */
        note(image, &facts->xmp, body, 29);
    } else if (marker == APP2 && is(body, "ICC_PROFILE", 12) && left(body) >= 14) {
        note(image, &facts->profile, body, 14);
        facts->profile_parts++;
    } else if (marker == APP14 && left(body) >= 12 && is(body, "Adobe", 5))
        image->adobe = body.at[11] + 1;
}

/* Tell whether the colours are coded as YCbCr, as libjpeg decides it (jdapimin.c). */
static int is_ycc(const struct image *image)
{
    const struct component *component = image->component;
    if (image->facts.components == 1 || image->jfif)
        return 1;
    if (image->adobe)
        return image->adobe == 2;
    return !(component[0].id == 'R' && component[1].id == 'G' && component[2].id == 'B');
}

static int read_segment(struct image *image, struct body body, int marker)
{
    switch (marker) {
    case DQT:
        return read_tables(image, body);
    case DHT:
        return read_codes(image, body);
    case SOF0: case SOF1: case SOF2:
        return read_frame(image, body, marker);
    case SOF9: case SOF10: case DAC:
        return ENGINE_ARITHMETIC;
    case DNL:
        return ENGINE_DAMAGED;
    case DRI:
        if (left(body) != 2)
            return ENGINE_DAMAGED;
        image->facts.restart_interval = number(body.at);
        return ENGINE_OK;
    default:
        if (marker > SOF2 && marker <= 0xCF)
            return ENGINE_PROCESS;
        if (marker < APP0 || (marker > APP15 && marker != COM))
            return ENGINE_DAMAGED;  /* To libjpeg, too. */
        read_application(image, body, marker);
        return ENGINE_OK;
    }
}

int read_to_scan(struct image *image, struct scan *scan, int *found)
{
    const uint8_t *data = image->data;
    size_t size = image->size;
    *found = 0;
    if (!image->position) {
        if (size < 4 || number(data) != (0xFF00 | SOI))
            return ENGINE_DAMAGED;
        image->position = 2;
    }
    for (int segments = 0; segments < MAX_SEGMENTS; segments++) {
        size_t at = image->position;
        if (at >= size)
            return ENGINE_TRUNCATED;
        if (data[at] != 0xFF)
            return ENGINE_DAMAGED;
        while (at < size && data[at] == 0xFF)  /* T.81, B.1.1.2: markers may be preceded by FF. */
            at++;
        if (at >= size)
            return ENGINE_TRUNCATED;
        int marker = data[at++];
        if (marker == EOI) {
            image->position = at;
            return image->scanned ? ENGINE_OK : ENGINE_DAMAGED;
        }
        if (marker < SOF0 || (marker >= RST0 && marker <= SOI))
            return ENGINE_DAMAGED;
        if (size - at < 2)
            return ENGINE_TRUNCATED;
        size_t length = (size_t)number(data + at);
        if (length < 2)
            return ENGINE_DAMAGED;
        if (length > size - at)
            return ENGINE_TRUNCATED;
        struct body body = {data + at + 2, data + at + length};
        image->position = at + length;
        if (marker == SOS) {
            *found = 1;
            int verdict = read_scan(image, body, scan);
            if (!verdict && !is_ycc(image))
                return ENGINE_COLOURS;
            return verdict;
        }
        int verdict = read_segment(image, body, marker);
        if (verdict)
            return verdict;
    }
    return ENGINE_DAMAGED;
}

void image_release_tokens(struct image *image)
{
    free(image->tokens);
    free(image->first_token);
    free(image->counts);
    free(image->means);
    image->tokens = image->first_token = NULL;
    image->counts = NULL;
    image->means = NULL;
}

void image_release(struct image *image)
{
    free(image->dc);
    free(image->ac);
    free(image->entropy);
    image_release_tokens(image);
}
