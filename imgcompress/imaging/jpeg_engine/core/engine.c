/* The functions that the engine has for others. */
#include <stdlib.h>
#include <string.h>

#include "bits.h"
#include "write.h"

/* Offsets are of 32 bits, and so are the numbers of tokens. */
enum { MAX_BYTES = 256 << 20 };

static const char *const REASONS[ENGINE_VERDICTS] = {
    "ok", "damaged", "truncated", "arithmetic", "process", "deep", "colours", "sampling", "scans",
    "sparse", "edges", "no_memory"};

const char *engine_reason(int verdict)
{
    return verdict >= 0 && verdict < ENGINE_VERDICTS ? REASONS[verdict] : NULL;
}

int engine_version(void)
{
    return ENGINE_VERSION;
}

void engine_free(uint8_t *data)
{
    free(data);
}

int engine_inspect(const uint8_t *data, size_t size, struct engine_facts *facts)
{
    struct image image = {.data = data, .size = size, .fineness = 1};
    struct scan scan;
    int found = 0;
    memset(facts, 0, sizeof *facts);
    if (size > MAX_BYTES)
        return ENGINE_NO_MEMORY;
    int verdict = read_to_scan(&image, &scan, &found);
    *facts = image.facts;
    for (int k = 0; !verdict && k < BLOCK; k++)
        facts->luma_sum += image.tables[image.component[0].table][k];
    return verdict;
}

/* Decode an image to tokens, and turn it; to be released in any case. With a stream it is written
 * meanwhile, or as soon as it is turned. */
static int decode(struct image *image, int orientation, struct stream *stream, double percent)
{
    struct scan scan;
    int found = 0;
    if (image->size > MAX_BYTES)
        return ENGINE_NO_MEMORY;
    image->dc = calloc(4, sizeof *image->dc);
    image->ac = calloc(4, sizeof *image->ac);
    image->entropy = malloc(image->size + PADDING);
    if (!image->dc || !image->ac || !image->entropy)
        return ENGINE_NO_MEMORY;
    int verdict = read_to_scan(image, &scan, &found);
    if (verdict)
        return verdict;
    image->first_scan = image->position;
    int turned = orientation >= 2 && orientation <= 8;
    if (turned && !turn_is_possible(image, orientation))
        return ENGINE_EDGES;
    if (stream && !turned && !image->facts.progressive) {
        image->stream = stream;
        if (!stream_begin(stream, image, percent))
            return ENGINE_NO_MEMORY;
    }
    verdict = image->facts.progressive ? decode_progressive(image, &scan)
                                       : decode_sequential(image, &scan);
    if (!verdict && turned)
        verdict = turn_upright(image, orientation);
    if (!verdict && stream && !image->stream) {
        if (!stream_begin(stream, image, percent))
            return ENGINE_NO_MEMORY;
        for (size_t mcu = 0; mcu < image->mcus; mcu++)
            stream_mcu(stream, mcu);
    }
    return verdict;
}

int engine_requantise(const uint8_t *data, size_t size, const struct engine_request *request,
                      struct engine_result *result)
{
    struct image image = {.data = data, .size = size, .fineness = 1};
    struct stream stream = {0};
    int at_once = request->at_once && !request->budget;
    double percent = within_range(request->step);
    memset(result, 0, sizeof *result);
    int verdict = decode(&image, request->orientation, at_once ? &stream : NULL, percent);
    result->pixel_bytes = image.position - image.first_scan;
    result->data = stream.data;
    if (!verdict && at_once)
        result->size = stream_end(&stream);
    if (result->size) {
        result->step = percent;
        result->lossless = stream.quantisation.lossless;
        result->own_tables = stream.quantisation.own_tables;
    } else if (!verdict)
        verdict = recode(&image, request, result);
    image_release(&image);
    if (verdict) {
        free(result->data);
        result->data = NULL;
    }
    return verdict;
}

int engine_coefficients(const uint8_t *data, size_t size, int16_t *values, size_t room,
                        size_t *count)
{
    struct image image = {.data = data, .size = size, .fineness = 1};
    *count = 0;
    int verdict = decode(&image, 0, NULL, 0);
    const uint32_t *token = image.tokens;
    if (!verdict && image.blocks > room / BLOCK)
        verdict = ENGINE_NO_MEMORY;
    for (size_t block = 0; !verdict && block < image.blocks; block++) {
        int16_t *to = values + block * BLOCK;
        memset(to, 0, BLOCK * sizeof *to);
        to[0] = image.means[block];
        for (int i = 0; i < image.counts[block]; i++, token++)
            to[*token >> 16] = (int16_t)(*token & 0xFFFF);
        *count += BLOCK;
    }
    image_release(&image);
    return verdict;
}
