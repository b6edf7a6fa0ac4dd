/* Requantise the coefficients of a JPEG without a look at its pixels.
 *
 * The functions keep nothing between calls, and may be called by several threads at once. The data
 * may be anything: what they do not fully understand they refuse, with a reason. docs/jpeg-engine.md
 * has the algorithm, its formulas and its sources; "T.81" is ITU-T recommendation T.81, "JPEG". */
#ifndef ENGINE_H
#define ENGINE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define ENGINE_API __declspec(dllexport)
#else
#define ENGINE_API __attribute__((visibility("default")))
#endif

/* Why an image is refused; engine_reason() names them. */
enum engine_verdict {
    ENGINE_OK,
    ENGINE_DAMAGED,     /* contradicts T.81, or does so often enough for libjpeg to warn */
    ENGINE_TRUNCATED,   /* ends before its end marker */
    ENGINE_ARITHMETIC,  /* arithmetic coding */
    ENGINE_PROCESS,     /* lossless, hierarchical */
    ENGINE_DEEP,        /* other than 8 bits, or steps of quantisation above 255 */
    ENGINE_COLOURS,     /* neither grey nor YCbCr */
    ENGINE_SAMPLING,    /* components of sizes that libjpeg does not decode either, or hardly anybody writes */
    ENGINE_SCANS,       /* several scans that are not progressive ones */
    ENGINE_SPARSE,      /* so few bytes for so many pixels that they are not worth the memory */
    ENGINE_EDGES,       /* to be turned, so that chroma would move by half a sample */
    ENGINE_NO_MEMORY,
    ENGINE_VERDICTS
};

struct engine_span {
    uint32_t offset, size;  /* size 0: there is none */
};

/* What the headers say. */
struct engine_facts {
    int32_t width, height;
    int32_t components;        /* 1 or 3 */
    int32_t progressive;
    int32_t sampling[3];       /* horizontal << 4 | vertical, of each component */
    int32_t restart_interval;  /* in MCUs; 0: none */
    int32_t luma_sum;          /* of the steps of quantisation of the first component */
    int32_t profile_parts;     /* segments of a colour profile */
    struct engine_span exif;   /* the TIFF structure within the first segment of Exif */
    struct engine_span xmp;    /* the first packet */
    struct engine_span profile; /* the first part */
};

struct engine_request {
    double step;      /* the step to use; with a budget, the coarsest that may be used */
    uint64_t budget;  /* the most bytes of the result; 0: no search, `step` as it is */
    int32_t orientation;  /* EXIF's: how the image is to be turned; 0 or 1: not at all */
    int32_t at_once;  /* without a budget: write while decoding, with codes that fit every image, if
                       * the result is smaller than its source then */
};

struct engine_result {
    uint8_t *data;        /* to be given to engine_free() */
    uint64_t size;
    double step;          /* the step that was used, in per cent of the table's */
    uint64_t pixel_bytes; /* of the source, from the first scan to the end of the image */
    int32_t lossless;     /* whether every coefficient is what it was */
    int32_t own_tables;   /* whether no step of quantisation is the source's rather than ours */
    int32_t samplings, countings;  /* passes over some and over all coefficients */
};

/* To be raised with every change of what is declared here: whoever loads the library compares. */
enum { ENGINE_VERSION = 4 };
ENGINE_API int engine_version(void);

/* Read the headers up to the first scan, and nothing behind them. */
ENGINE_API int engine_inspect(const uint8_t *data, size_t size, struct engine_facts *facts);

/* Make a JPEG of coarser steps. Where not even the coarsest meets the budget, it is that one. */
ENGINE_API int engine_requantise(const uint8_t *data, size_t size,
                                 const struct engine_request *request,
                                 struct engine_result *result);

/* Give all coefficients as they are coded, block by block as they are scanned: for tests.
 * `values` has room for `room` of them; *count tells how many there are. */
ENGINE_API int engine_coefficients(const uint8_t *data, size_t size, int16_t *values, size_t room,
                                   size_t *count);

ENGINE_API void engine_free(uint8_t *data);

/* Return the name of a verdict; a null pointer for what is none. */
ENGINE_API const char *engine_reason(int verdict);

#endif
