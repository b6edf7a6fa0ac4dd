/* Map pixels to the nearest colours of a palette, with or without error diffusion.
 *
 * A colour is a point of four floats (quantiser.py explains its axes). The colours are sorted by
 * their first coordinate; a search goes from a likely colour outwards to both sides, until that
 * coordinate alone is farther away than the best colour so far. */

#include <stdint.h>
#include <string.h>

#define API __attribute__((visibility("default")))
#define MOST 256
/* Pixels whose nearest colour is remembered, a power of two. */
#define REMEMBERED 4096

typedef struct { float at[4]; } point;

typedef struct {
    int count;
    point colour[MOST];
    uint8_t index[MOST]; /* the colour's place in the caller's palette */
    float alone[MOST];   /* what is nearer than this, squared, has no nearer colour */
} palette;

static float distance(const point *one, const point *other) {
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        float difference = one->at[i] - other->at[i];
        sum += difference * difference;
    }
    return sum;
}

/* Take the colours from number `first` on. */
static void sort_colours(palette *table, const point *colours, int first, int end) {
    int count = table->count = end - first;
    colours += first;
    for (int i = 0; i < count; i++) {
        int place = i;
        for (; place > 0 && table->colour[place - 1].at[0] > colours[i].at[0]; place--) {
            table->colour[place] = table->colour[place - 1];
            table->index[place] = table->index[place - 1];
        }
        table->colour[place] = colours[i];
        table->index[place] = (uint8_t)(first + i);
    }
    for (int i = 0; i < count; i++) {
        float nearest = 1e30f;
        for (int j = 0; j < count; j++) {
            float found = distance(&table->colour[i], &table->colour[j]);
            if (j != i && found < nearest) nearest = found;
        }
        table->alone[i] = nearest / 4;
    }
}

/* Return the place of the nearest colour, and its squared distance in `found`. */
static int nearest(const palette *table, const point *wanted, int likely, float *found) {
    int best = likely;
    float least = distance(&table->colour[best], wanted);
    if (least > table->alone[best]) {
        int low = likely - 1, high = likely + 1;
        while (low >= 0 || high < table->count) {
            if (low >= 0) {
                float across = wanted->at[0] - table->colour[low].at[0];
                float got = distance(&table->colour[low], wanted);
                if (got < least) least = got, best = low;
                low = across > 0 && across * across >= least ? -1 : low - 1;
            }
            if (high < table->count) {
                float across = table->colour[high].at[0] - wanted->at[0];
                float got = distance(&table->colour[high], wanted);
                if (got < least) least = got, best = high;
                high = across > 0 && across * across >= least ? table->count : high + 1;
            }
        }
    }
    *found = least;
    return best;
}

/* Write for each of `count` points which colour is the nearest, and its squared distance. */
API void quantiser_nearest(const point *points, int64_t count, const point *colours,
                           int32_t colour_count, uint8_t *indices, float *distances) {
    palette table;
    sort_colours(&table, colours, 0, colour_count);
    int likely = 0;
    for (int64_t i = 0; i < count; i++) {
        likely = nearest(&table, &points[i], likely, &distances[i]);
        indices[i] = table.index[likely];
    }
}

/* Return the point of a pixel of red, green, blue and alpha. */
static point seen(const uint8_t *pixel, const float *axes) {
    float alpha = pixel[3] / 255.0f;
    return (point){{axes[0] * alpha * (pixel[1] - 127.5f), axes[1] * alpha * (pixel[0] - 127.5f),
                    axes[2] * alpha * (pixel[2] - 127.5f), axes[3] * alpha * 127.5f}};
}

/* Write for each pixel of some rows the index of its colour. What is solid gets one of the solid
 * colours, which begin at `first_solid`.
 *
 * Of each error, `strength` is passed on by Floyd's and Steinberg's shares, in rows that run to and
 * fro. A pixel whose own colour is nearer than `exact`, squared, keeps it and passes nothing on:
 * flat areas stay flat. An error many times as large as what the palette misses comes from another
 * colour beyond an edge, and is reduced. `top` is the number of the first row; `errors`, two rows of
 * width + 2 points, zeros at first, goes from one call to the next. */
API void quantiser_map(const uint8_t *pixels, int32_t width, int32_t rows, int32_t top,
                       const float *axes, const point *colours, int32_t colour_count,
                       int32_t first_solid, float strength, float exact, float reduced, point *errors,
                       uint8_t *indices) {
    palette tables[2];
    sort_colours(&tables[0], colours, 0, colour_count);
    sort_colours(&tables[1], colours, first_solid < colour_count ? first_solid : 0, colour_count);
    struct { uint32_t code; int32_t place; float missed; } known[REMEMBERED] = {{0}};
    for (int i = 0; i < REMEMBERED; i++) known[i].place = -1;
    int likely[2] = {0};
    for (int32_t y = top; y < top + rows; y++, pixels += 4 * (int64_t)width, indices += width) {
        point *here = errors + (y & 1) * ((int64_t)width + 2) + 1;
        point *below = errors + (~y & 1) * ((int64_t)width + 2) + 1;
        int step = y & 1 ? -1 : 1;
        float found;
        for (int32_t n = 0; n < width; n++) {
            int64_t x = step > 0 ? n : width - 1 - n;
            int solid = pixels[4 * x + 3] == 255;
            const palette *table = &tables[solid];
            uint32_t code;
            memcpy(&code, pixels + 4 * x, 4);
            point wanted = seen(pixels + 4 * x, axes);
            uint32_t slot = code * 2654435761u >> 20;
            if (known[slot].place < 0 || known[slot].code != code) {
                known[slot].code = code;
                known[slot].place = nearest(table, &wanted, likely[solid], &known[slot].missed);
            }
            int own = likely[solid] = known[slot].place;
            float missed = known[slot].missed;
            indices[x] = table->index[own];
            if (strength <= 0 || missed <= exact) continue;
            point moved = here[x];
            float size = distance(&moved, &(point){{0}});
            float share = size > 4 * reduced * missed ? 0.25f : size > reduced * missed ? 0.5f : 1;
            for (int i = 0; i < 4; i++) moved.at[i] = wanted.at[i] + share * moved.at[i];
            int chosen = nearest(table, &moved, own, &found);
            indices[x] = table->index[chosen];
            for (int i = 0; i < 4; i++) {
                float error = strength / 16 * (moved.at[i] - table->colour[chosen].at[i]);
                here[x + step].at[i] += 7 * error;
                below[x - step].at[i] += 3 * error;
                below[x].at[i] += 5 * error;
                below[x + step].at[i] += error;
            }
        }
        memset(here - 1, 0, ((size_t)width + 2) * sizeof *here);
    }
}
