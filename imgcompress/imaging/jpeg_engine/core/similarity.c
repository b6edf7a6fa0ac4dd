/* How much the result looks like the source: SSIM from the coefficients, over a sample.
 *
 * The mean and the variance of a window of 8 x 8 pixels, and its covariance with another, follow
 * from the coefficients of its blocks, since the DCT keeps sums of products (Parseval). At a half
 * or a quarter of the size a window is one of 2 x 2 or 4 x 4 blocks, and the mean of neighbouring
 * pixels is a sum of coefficients too; docs/jpeg-engine.md has both derivations. */
#include <math.h>
#include <string.h>

#include "quantise.h"

/* About the number of windows that are looked at. */
enum { WINDOWS = 200, USUAL_SIDE = 256 };
static const double C1 = (0.01 * 255) * (0.01 * 255), C2 = (0.03 * 255) * (0.03 * 255);

/* Where a coefficient goes when pixels are halved or quartered, for one direction. */
struct reduction {
    int place[8];      /* -1: nowhere */
    double weight[8];
};

/* Sums over the blocks of a window, of the source (x) and the result (y). */
struct moments {
    double x, y, xx, yy, xy;
};

/* Halve 2n places to n: the pair of neighbours (x, x + 1) of cos((2x + 1) u pi / 4n) has the mean
 * cos(u pi / 4n) cos((2x' + 1) u pi / 2n), and u above n is seen as -(2n - u). */
static void halve(struct reduction *reduction, int n)
{
    for (int u = 0; u < 8; u++) {
        int from = reduction->place[u];
        if (from < 0)
            continue;
        double weight = cos(from * acos(-1.0) / (4 * n)) / sqrt(2.0);
        reduction->place[u] = from == n ? -1 : from < n ? from : 2 * n - from;
        reduction->weight[u] *= from > n ? -weight : weight;
    }
}

static int factor_of(const struct image *image)
{
    int width = image->facts.width, height = image->facts.height;
    int side = width < height ? width : height, factor = 1;
    while (factor < 4 && 2 * factor <= (side + USUAL_SIDE / 2) / USUAL_SIDE)
        factor *= 2;
    return factor;
}

static void add_block(const struct image *image, const struct quantisation *quantisation,
                      uint32_t share,
                      const struct reduction *reduction, int pixels, size_t mcu, int place,
                      struct moments *sums)
{
    double x[BLOCK], y[BLOCK];
    const uint32_t *token = image->tokens + image->first_token[mcu];
    size_t block = mcu * (size_t)image->mcu_blocks;
    const uint16_t *old = image->tables[image->component[0].table], *new = quantisation->steps[0];
    const uint32_t *ratio = quantisation->ratio[0];
    uint32_t threshold = hashed(mcu) < share ? THIN : THRESHOLD;
    for (int i = 0; i < place; i++)
        token += image->counts[block + (size_t)i];
    block += (size_t)place;
    memset(x, 0, sizeof *x * (size_t)(pixels * pixels));
    memset(y, 0, sizeof *y * (size_t)(pixels * pixels));
    double scale = reduction->weight[0] * reduction->weight[0];
    double unit = 1.0 / image->fineness;
    x[0] = image->means[block] * old[0] * scale * unit;
    y[0] = quantised_mean(image->means[block], ratio[0]) * new[0] * scale;
    for (int i = 0; i < image->counts[block]; i++) {
        uint32_t k = token[i] >> 16;
        int32_t value = value_of(token[i]);
        int row = ZIGZAG[k] >> 3, column = ZIGZAG[k] & 7;
        if (reduction->place[row] < 0 || reduction->place[column] < 0)
            continue;
        int at = reduction->place[row] * pixels + reduction->place[column];
        double weight = reduction->weight[row] * reduction->weight[column];
        uint32_t scaled = magnitude(value) * ratio[k];
        int32_t level = scaled < threshold ? 0 : (int32_t)((scaled + ROUNDING) >> 16);
        x[at] += weight * value * old[k] * unit;
        y[at] += weight * (value < 0 ? -level : level) * new[k];
    }
    sums->x += x[0];
    sums->y += y[0];
    for (int i = 0; i < pixels * pixels; i++) {
        sums->xx += x[i] * x[i];
        sums->yy += y[i] * y[i];
        sums->xy += x[i] * y[i];
    }
}

/* Return the SSIM of a window; `pixels` is its side in the reduced image, per block. */
static double score(const struct moments *sums, int blocks, int pixels)
{
    double size = (double)blocks * pixels * pixels;
    double x = sums->x / (blocks * pixels), y = sums->y / (blocks * pixels);
    double xx = sums->xx / size - x * x, yy = sums->yy / size - y * y;
    double xy = sums->xy / size - x * y;
    x += 128;
    y += 128;
    return (2 * x * y + C1) * (2 * xy + C2) / ((x * x + y * y + C1) * (xx + yy + C2));
}

double similarity(const struct image *image, const struct quantisation *quantisation,
                  uint32_t share)
{
    if (quantisation->lossless)
        return 1;
    const struct component *luma = image->component;
    uint32_t h = (uint32_t)luma->h, v = (uint32_t)luma->v;
    int factor = factor_of(image);
    struct reduction reduction;
    for (int u = 0; u < 8; u++) {
        reduction.place[u] = u;
        reduction.weight[u] = 1;
    }
    for (int n = 4; n >= 8 / factor && factor > 1; n /= 2)
        halve(&reduction, n);
    uint32_t side = (uint32_t)factor;
    uint32_t columns = (uint32_t)image->facts.width / (8 * side);
    uint32_t rows = (uint32_t)image->facts.height / (8 * side);
    columns += !columns;
    rows += !rows;
    uint32_t step = (uint32_t)sqrt((double)rows * columns / WINDOWS);
    step += !step;
    uint32_t first_row = step / 2 < rows ? step / 2 : rows - 1;
    uint32_t first_column = step / 2 < columns ? step / 2 : columns - 1;
    double sum = 0, windows = 0;
    for (uint32_t row = first_row; row < rows; row += step)
        for (uint32_t column = first_column; column < columns; column += step, windows++) {
            struct moments sums = {0};
            for (uint32_t i = 0; i < side * side; i++) {
                uint32_t y = row * side + i / side, x = column * side + i % side;
                size_t mcu = (size_t)(y / v) * image->mcus_wide + x / h;
                add_block(image, quantisation, share, &reduction, 8 / factor, mcu, (int)(y % v * h + x % h),
                          &sums);
            }
            sum += score(&sums, (int)(side * side), 8 / factor);
        }
    double mean = sum / windows;
    return mean < 0 ? 0 : mean > 1 ? 1 : mean;
}
