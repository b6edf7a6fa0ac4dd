/* An image on its way from bytes to tokens; private to the engine. */
#ifndef IMAGE_H
#define IMAGE_H

#include "engine.h"

enum { MAX_COMPONENTS = 3, MAX_MCU_BLOCKS = 10, BLOCK = 64, LOOKUP_BITS = 11 };
/* The limits of 8-bit images: T.81, tables F.1 and F.2. Means within them differ by 2047 at most, in
 * whatever order they are written. */
enum { MAX_DC_SIZE = 11, MAX_AC_SIZE = 10, MIN_DC = -1024, MAX_DC = 1023, MAX_AC = 1023 };

extern const uint8_t ZIGZAG[BLOCK];  /* row << 3 | column of each place in zigzag order */

/* A Huffman code to decode: by one look at the next 11 bits, or else length by length. */
struct decoder {
    uint16_t symbol[1 << LOOKUP_BITS];  /* length << 8 | symbol; 0: a longer code, or none */
    /* The same for a whole coefficient: 32 - its size, the run of zeros, the length with its bits,
     * and the length of the code alone, a byte each. For the end of a block it is the length alone,
     * and 0 for what has to be looked up otherwise. */
    uint32_t coefficient[1 << LOOKUP_BITS];
    int32_t last_code[17], first_place[17];
    uint8_t symbols[256];
    int present;
};

struct component {
    int id, h, v, table;
    int begin;                      /* where its blocks begin in an MCU */
    int dc, ac;                     /* which decoders the scan uses */
    uint32_t width, height;         /* in blocks, with those that only fill MCUs */
    uint32_t own_width, own_height; /* in blocks, without them */
};

/* Where a block of an MCU belongs. */
struct unit {
    uint8_t component, column, row;
};

struct scan {
    int count, component[MAX_COMPONENTS];
    int first, last, high, low;  /* T.81: Ss, Se, Ah, Al */
};

struct image {
    const uint8_t *data;
    size_t size, position, first_scan;
    struct engine_facts facts;
    struct component component[MAX_COMPONENTS];
    struct decoder *dc, *ac;  /* four of each; null where only the headers are read */
    uint16_t tables[4][BLOCK];
    int has_table[4], has_frame, scanned, jfif, adobe;
    uint32_t mcus_wide, mcus_high;
    int mcu_blocks;
    struct unit unit[MAX_MCU_BLOCKS];  /* the blocks of an MCU, in their order */
    size_t mcus, blocks;
    uint8_t *entropy;  /* one interval of a scan without its stuffed bytes, and the padding */
    /* What is decoded: a token for each coefficient that is not zero, place << 16 | value, block by
     * block in the order of a scan that interleaves all components. */
    uint32_t *tokens;
    uint32_t *first_token;  /* of each MCU, and one more for the end */
    uint8_t *counts;        /* of tokens, for each block */
    int16_t *means;         /* the DC coefficient of each block */
    int fineness;           /* values are multiples of so much of a step: 1, 1/2, 1/3 ... */
    struct stream *stream;  /* write.h: takes each MCU as soon as it is decoded; may be null */
};

/* header.c: go on to the next scan; *found is 0 at the end of the image. */
int read_to_scan(struct image *image, struct scan *scan, int *found);
/* Lay out the blocks by the sides and the sampling of the components: T.81, A.1 and A.2. */
int lay_out(struct image *image);
void image_release(struct image *image);
void image_release_tokens(struct image *image);

/* huffman.c */
int decoder_build(struct decoder *decoder, const uint8_t *lengths, const uint8_t *symbols,
                  int count, int coefficients);

struct code {
    uint8_t lengths[16], symbols[256];
    int count;
    uint16_t bits[256];
    uint8_t length[256];
};
void code_build(struct code *code, const uint32_t *frequencies);
/* Set the codes that fit every image, of the first component or of the others. */
void code_fixed(struct code *dc, struct code *ac, int other);

/* sequential.c, progressive.c: decode to tokens; the first scan's header has been read. */
int decode_sequential(struct image *image, const struct scan *scan);
int decode_progressive(struct image *image, struct scan *scan);
int tokens_allocate(struct image *image, size_t tokens);

/* turn.c: by an orientation of EXIF, 2 to 8. */
int turn_is_possible(const struct image *image, int orientation);
int turn_upright(struct image *image, int orientation);

/* shift.c: remove so many pixels at the left and at the top of an image. */
int edges_move(struct image *image, uint32_t pixels_left, uint32_t pixels_above);

/* search.c: the finest steps that fit a budget, or the given ones with the best codes. */
int recode(const struct image *image, const struct engine_request *request,
           struct engine_result *result);

#endif
