/* Quantisation steps: docs/jpeg-engine.md, step 2. */
#include <math.h>

#include "quantise.h"

/* Flatter than the tables of T.81, annex K. rho is the spatial frequency relative to the highest
 * one along an axis; means are kept finer. */
static double table_value(int place)
{
    double rho = hypot(ZIGZAG[place] >> 3, ZIGZAG[place] & 7) / 7;
    return place ? 16 * (1 + 5 * rho) : 11;
}

/* Return how much coarser a component is quantised than the first one: the more samples it has, the
 * less each of them matters. */
static double coarseness(const struct image *image, int c)
{
    const struct component *first = image->component, *own = first + c;
    return c ? 2.5 * sqrt((double)(own->h * own->v) / (first->h * first->v)) : 1;
}

void quantisation_set(struct quantisation *quantisation, const struct image *image, double percent)
{
    double table[BLOCK];
    uint32_t fineness = (uint32_t)image->fineness;
    quantisation->lossless = fineness == 1;
    quantisation->own_tables = 1;
    for (int k = 0; k < BLOCK; k++)
        table[k] = table_value(k);
    for (int c = 0; c < image->facts.components; c++) {
        const uint16_t *source = image->tables[image->component[c].table];
        double part = percent / 100 * coarseness(image, c);
        for (int k = 0; k < BLOCK; k++) {
            double wanted = floor(table[k] * part + 0.5);
            uint32_t own = (uint32_t)(wanted < 1 ? 1 : wanted > 255 ? 255 : wanted);
            /* Finer steps than the source's would only cost bytes. */
            uint32_t old = source[k], new = old > own ? old : own;
            quantisation->steps[c][k] = (uint16_t)new;
            quantisation->ratio[c][k] = (old * 65536 / fineness + new / 2) / new;
            quantisation->own_tables &= new == own;
            quantisation->lossless &= new == old;
        }
    }
}
