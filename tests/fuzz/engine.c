/* Give the JPEG engine any bytes, and hold it to what it promises. README.md says how to run this.
 *
 * Built for libFuzzer, or with -DSTANDALONE as a program that takes files. With -DWITH_LIBJPEG it
 * also compares with libjpeg: the same coefficients, and no warning about source or result. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../imgcompress/imaging/jpeg_engine/core/engine.h"

enum { COARSEST = 3000, MAX_PIXELS = 1 << 20 };

#define DEMAND(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

#ifdef WITH_LIBJPEG
#include <jpeglib.h>
#include <jerror.h>
#include <setjmp.h>

static jmp_buf failed;

static void fail(j_common_ptr info)
{
    info->err->output_message(info);
    longjmp(failed, 1);
}

static void hear(j_common_ptr info, int level)
{
    /* A revision of JFIF that it does not know changes nothing. */
    if (level < 0 && info->err->msg_code != JWRN_JFIF_MAJOR)
        fail(info);
}

/* Compare all coefficients that libjpeg knows; those that only fill MCUs are nobody's. Return 0 where
 * libjpeg has an error or a warning. */
static int same_by_libjpeg(const uint8_t *data, size_t size, const int16_t *values)
{
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    info.err = jpeg_std_error(&errors);
    errors.error_exit = fail;
    errors.emit_message = hear;
    jpeg_create_decompress(&info);
    if (setjmp(failed)) {
        jpeg_destroy_decompress(&info);
        return 0;
    }
    jpeg_mem_src(&info, data, size);
    jpeg_read_header(&info, TRUE);
    jvirt_barray_ptr *arrays = jpeg_read_coefficients(&info);
    static const uint8_t order[64] = {
        0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
        41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
        30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};
    int blocks = 0, begin = 0;
    for (int c = 0; c < info.num_components; c++) {
        jpeg_component_info *part = info.comp_info + c;
        blocks += info.num_components == 1 ? 1 : part->h_samp_factor * part->v_samp_factor;
    }
    size_t mcus_wide = info.num_components == 1
        ? info.comp_info[0].width_in_blocks
        : (info.image_width + 8u * (unsigned)info.max_h_samp_factor - 1)
              / (8u * (unsigned)info.max_h_samp_factor);
    for (int c = 0; c < info.num_components; c++) {
        jpeg_component_info *part = info.comp_info + c;
        size_t h = info.num_components == 1 ? 1 : (size_t)part->h_samp_factor;
        size_t v = info.num_components == 1 ? 1 : (size_t)part->v_samp_factor;
        for (size_t y = 0; y < part->height_in_blocks; y++) {
            JBLOCKARRAY row = (*info.mem->access_virt_barray)(
                (j_common_ptr)&info, arrays[c], (JDIMENSION)y, 1, FALSE);
            for (size_t x = 0; x < part->width_in_blocks; x++) {
                size_t mcu = y / v * mcus_wide + x / h;
                const int16_t *block = values + 64 * (mcu * (size_t)blocks + (size_t)begin
                                                      + y % v * h + x % h);
                for (int k = 0; k < 64; k++)
                    DEMAND(block[k] == row[0][x][order[k]]);
            }
        }
        begin += (int)(h * v);
    }
    jpeg_finish_decompress(&info);
    jpeg_destroy_decompress(&info);
    return 1;
}
#else
static int same_by_libjpeg(const uint8_t *data, size_t size, const int16_t *values)
{
    (void)data, (void)size, (void)values;
    return 1;
}
#endif

static int16_t *coefficients(const uint8_t *data, size_t size, const struct engine_facts *facts,
                             size_t *count, int *verdict)
{
    size_t room = 3 * ((size_t)facts->width + 64) * ((size_t)facts->height + 64);
    int16_t *values = malloc(room * sizeof *values);
    DEMAND(values);
    *verdict = engine_coefficients(data, size, values, room, count);
    return values;
}

/* Make a result, and demand that it is an image of as many coefficients. */
static void demand_result(const uint8_t *data, size_t size, struct engine_request request,
                          size_t count)
{
    struct engine_result result;
    struct engine_facts facts;
    int verdict = engine_requantise(data, size, &request, &result);
    if (verdict == ENGINE_EDGES && request.orientation > 1)
        return;
    DEMAND(verdict == ENGINE_OK);
    DEMAND(!request.budget || result.size <= request.budget || result.step >= request.step);
    DEMAND(engine_inspect(result.data, result.size, &facts) == ENGINE_OK);
    size_t made;
    int16_t *values = coefficients(result.data, result.size, &facts, &made, &verdict);
    DEMAND(verdict == ENGINE_OK && made == count);
    DEMAND(same_by_libjpeg(result.data, result.size, values));
    free(values);
    engine_free(result.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct engine_facts facts;
    struct engine_result result;
    struct engine_request plain = {64, 0, 0, 0};
    size_t count;
    int verdict = engine_inspect(data, size, &facts);
    if (verdict) {
        DEMAND(engine_requantise(data, size, &plain, &result) != ENGINE_OK);
        return 0;
    }
    if ((int64_t)facts.width * facts.height > MAX_PIXELS)
        return 0;
    int16_t *values = coefficients(data, size, &facts, &count, &verdict);
    if (verdict)
        DEMAND(engine_requantise(data, size, &plain, &result) == verdict && !result.data);
    else {
        DEMAND(same_by_libjpeg(data, size, values));
        demand_result(data, size, plain, count);
        demand_result(data, size, (struct engine_request){0, 0, 0, 0}, count);
        demand_result(data, size, (struct engine_request){COARSEST, size / 2, 0, 0}, count);
        demand_result(data, size, (struct engine_request){COARSEST, size * 9 / 10,
                                                          (int32_t)(size % 8) + 1, 0}, count);
        demand_result(data, size, (struct engine_request){64, 0, (int32_t)(size % 8) + 1, 1},
                      count);
        demand_result(data, size, (struct engine_request){0, 0, 0, 1}, count);
    }
    free(values);
    return 0;
}

#ifdef STANDALONE
int main(int count, char **names)
{
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(names[i], "rb");
        DEMAND(file && !fseek(file, 0, SEEK_END));
        long size = ftell(file);
        uint8_t *data = malloc(size ? (size_t)size : 1);
        rewind(file);
        DEMAND(data && fread(data, 1, (size_t)size, file) == (size_t)size);
        fclose(file);
        LLVMFuzzerTestOneInput(data, (size_t)size);
        free(data);
    }
    return 0;
}
#endif
