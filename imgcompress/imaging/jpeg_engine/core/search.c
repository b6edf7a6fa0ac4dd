/* Make coefficients coarser, count what they take, and search for the step that fits a budget. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "write.h"

/* A result within these shares of the budget is taken; what is counted is to come out at AIM. */
static const double LEAST = 0.9875, AIM = 0.9935, MOST = 0.9992;
/* Of what is aimed at, a sample is to say at least and at most so much: it may be mistaken by some
 * per cent, and what is too much can be thinned out. */
static const double OVER = 1.004, WELL_OVER = 1.05;
/* Bytes that are stuffed, per byte: FF is 1 of 256 values, and less frequent than most. */
static const double STUFFING = 1.0025;
/* Bytes fall with about this power of the step; only first guesses depend on it. */
static const double EXPONENT = 0.75;
/* What is saved by a token that is left out, of the bits of such tokens: measured. */
static const double THINNED = 0.75;
/* Of what can be saved by thinning out, as much as is relied on. */
static const double THINNABLE = 0.9;
/* The sum of the first 19 steps behind the mean, at 100 %. */
static const double LOW_STEPS = 938;
enum { ROUNDS = 4, SAMPLINGS = 8 };
/* A sample of MCUs is counted first, about so many blocks, where there are twice as many or more. */
enum { SAMPLE_BLOCKS = 2000 };

struct tally {
    uint32_t dc[2][256], ac[2][256];
    uint64_t value_bits;
    size_t thin;  /* tokens that may be dropped as well */
};

struct job {
    const struct image *image;
    struct quantisation quantisation;
    struct codes codes;
    struct blocks blocks;
    double thin_bits;  /* about what can be saved by thinning all MCUs out */
    size_t stride;     /* one MCU of so many is in the sample */
    struct engine_result *result;
};

static inline void count_block(struct tally *tally, int other, int32_t difference,
                               const uint32_t *tokens, int count)
{
    unsigned size = size_of(difference);
    uint32_t *symbols = tally->ac[other], last = 0, bits = size, thin = 0;
    tally->dc[other][size]++;
    for (int i = 0; i < count; i++) {
        uint32_t place = place_of(tokens[i]), run = place - last - 1;
        thin += tokens[i] >> MARK_BIT;
        for (; run > 15; run -= 16)
            symbols[0xF0]++;
        size = size_of(value_of(tokens[i]));
        symbols[run << 4 | size]++;
        bits += size;
        last = place;
    }
    symbols[0] += last < BLOCK - 1;
    tally->value_bits += bits;
    tally->thin += thin;
}

/* Count one MCU, and keep its blocks where they are all kept. */
static uint32_t *count_mcu(struct job *job, struct tally *tally, size_t mcu, int32_t *means,
                           uint32_t *out)
{
    const struct image *image = job->image;
    const uint32_t *tokens = image->tokens + image->first_token[mcu];
    size_t block = mcu * (size_t)image->mcu_blocks;
    for (int i = 0; i < image->mcu_blocks; i++, block++) {
        int c = image->unit[i].component;
        const uint32_t *ratio = job->quantisation.ratio[c];
        int count = quantise_block(tokens, image->counts[block], ratio, out);
        int32_t mean = quantised_mean(image->means[block], ratio[0]);
        int32_t difference = mean - means[c];
        tokens += image->counts[block];
        means[c] = mean;
        count_block(tally, c > 0, difference, out, count);
        if (job->stride == 1) {
            job->blocks.differences[block] = (int16_t)difference;
            job->blocks.counts[block] = (uint8_t)count;
            out += count;
        }
    }
    return out;
}

/* Set the means to those at the end of an MCU. */
static void means_after(const struct job *job, size_t mcu, int32_t *means)
{
    const struct image *image = job->image;
    for (int i = 0; i < image->mcu_blocks; i++) {
        int c = image->unit[i].component;
        means[c] = quantised_mean(image->means[mcu * (size_t)image->mcu_blocks + (size_t)i],
                                  job->quantisation.ratio[c][0]);
    }
}

/* Return the bits that symbols take by the best code for them, which is built. */
static double code_bits(struct code *code, const uint32_t *frequencies)
{
    double bits = 0;
    code_build(code, frequencies);
    for (int symbol = 0; symbol < 256; symbol++)
        bits += (double)frequencies[symbol] * code->length[symbol];
    return bits;
}

/* Return about how many bytes the image takes at a step; of all blocks or of the sample. */
static double size_at(struct job *job, double step)
{
    const struct image *image = job->image;
    struct tally tally;
    uint32_t *out = job->blocks.tokens, tokens = 0;
    int32_t means[MAX_COMPONENTS] = {0};
    size_t sampled = 0;
    memset(&tally, 0, sizeof tally);
    quantisation_set(&job->quantisation, image, step);
    for (size_t mcu = job->stride / 2; mcu < image->mcus; mcu += job->stride, sampled++) {
        if (job->stride > 1)
            means_after(job, mcu - 1, means);
        out = count_mcu(job, &tally, mcu, means, out);
        tokens += image->first_token[mcu + 1] - image->first_token[mcu];
    }
    double means_bits = 0, bits = (double)tally.value_bits, ones = 0, ones_bits = 0;
    for (int i = 0; i < (image->facts.components > 1 ? 2 : 1); i++) {
        means_bits += code_bits(job->codes.dc + i, tally.dc[i]);
        bits += code_bits(job->codes.ac + i, tally.ac[i]);
        for (int symbol = 1; symbol < 256; symbol += 16) {
            ones += tally.ac[i][symbol];
            ones_bits += (double)tally.ac[i][symbol] * (job->codes.ac[i].length[symbol] + 1);
        }
    }
    /* What follows a token that is left out gets a longer run, and often a longer code. */
    job->thin_bits = ones > 0 ? THINNED * ones_bits / ones * (double)tally.thin : 0;
    job->result->step = step;
    if (job->stride == 1)
        job->result->countings++;
    else
        job->result->samplings++;
    /* What the sample is to the whole: by MCUs for means, by tokens for what is left of them. */
    means_bits *= (double)image->mcus / (double)sampled;
    bits *= (image->first_token[image->mcus] + 1.0) / (tokens + 1.0);
    return (double)header_size(image, &job->quantisation, &job->codes) + (means_bits + bits) / 8 * STUFFING;
}

static double whole_size(struct job *job, double step)
{
    size_t stride = job->stride;
    job->stride = 1;
    double size = size_at(job, step);
    job->stride = stride;
    return size;
}

/* Where log(size) = log(want) on the line between two points, or on the usual one through one. */
struct bracket {
    double finer, larger;    /* a step that takes too much, and the size there; 0: unknown */
    double coarser, smaller; /* a step that takes less, and the size there */
};

static double next_step(const struct bracket *bracket, double step, double size, double want,
                        int tries)
{
    if (bracket->finer > 0 && bracket->coarser > 0) {
        double low = log(bracket->finer), high = log(bracket->coarser);
        double part = log(bracket->larger / want) / log(bracket->larger / bracket->smaller);
        if (tries > 3)
            part = 0.5;
        part = part < 0.08 ? 0.08 : part > 0.92 ? 0.92 : part;
        return exp(low + part * (high - low));
    }
    double change = log(size / want) / EXPONENT;
    return step * exp(change > 1.2 ? 1.2 : change < -1.2 ? -1.2 : change);
}

/* Find a step at which the sample says `want` or a little more, from `step` on; set *size to what
 * it says there. Steps of quantisation are whole numbers, so that sizes move in jumps: the last step
 * before one is taken then. */
static double step_for(struct job *job, double want, double step, double coarsest, double *size)
{
    struct bracket bracket = {0};
    double aim = want * sqrt(OVER * WELL_OVER);
    for (int tries = 0;; tries++) {
        step = step < FINEST ? FINEST : step > coarsest ? coarsest : step;
        *size = size_at(job, step);
        int over = *size >= want * OVER;
        if ((over && *size <= want * WELL_OVER) || (over ? step >= coarsest : step <= FINEST))
            return step;
        if (over) {
            bracket.finer = step;
            bracket.larger = *size;
        } else {
            bracket.coarser = step;
            bracket.smaller = *size;
        }
        int between = bracket.finer > 0 && bracket.coarser > 0;
        if (tries + 1 >= SAMPLINGS || (between && bracket.coarser / bracket.finer < 1.004))
            break;
        step = next_step(&bracket, step, *size, aim, tries);
    }
    *size = bracket.finer > 0 ? bracket.larger : bracket.smaller;
    return bracket.finer > 0 ? bracket.finer : bracket.coarser;
}

/* Guess the step from the source's own, by the share of its bytes that is wanted. */
static double first_step(const struct job *job, double want)
{
    const struct image *image = job->image;
    const uint16_t *old = image->tables[image->component[0].table];
    double sum = 0;
    for (int k = 1; k < 20; k++)
        sum += old[k];
    return 100 * sum / LOW_STEPS * pow((double)image->size / want, 1 / 0.62);
}

static int fits(double size, double budget)
{
    return size <= budget * MOST && size >= budget * LEAST;
}

/* Set the job to the finest steps that fit, or to the coarsest; return about the size. *excess is
 * how many bits of it are to be thinned out. */
static double search(struct job *job, double budget, double coarsest, double *excess)
{
    double step = first_step(job, budget), sampled, size, want = budget * AIM;
    for (int round = 0; round < ROUNDS; round++) {
        step = step_for(job, want, step, coarsest, &sampled);
        size = job->stride > 1 || job->result->step != step ? whole_size(job, step) : sampled;
        int over = size > budget * MOST;
        *excess = 0;
        if (fits(size, budget) || (over ? step >= coarsest : step <= FINEST))
            return size;
        double bits = (size - budget * AIM) * 8 / STUFFING;
        if (over && bits <= job->thin_bits * THINNABLE) {
            *excess = bits;
            return size;
        }
        want = budget * AIM * sampled / size;  /* what the sample would say of what is wanted */
    }
    for (double more = 0.01;; more *= 1.5) {
        size = whole_size(job, step);
        if (size <= budget * MOST || step >= coarsest)
            return size;
        step = fmin(step * (1 + more), coarsest);
    }
}

static int allocate(struct job *job)
{
    const struct image *image = job->image;
    /* A block's tokens are written one too far, and a sampled MCU's at the beginning. */
    job->blocks.tokens = malloc(((size_t)image->first_token[image->mcus] + BLOCK) * sizeof(uint32_t));
    job->blocks.differences = malloc(image->blocks * sizeof(int16_t));
    job->blocks.counts = malloc(image->blocks);
    return job->blocks.tokens && job->blocks.differences && job->blocks.counts;
}

/* Write the image as it was counted last, about `size` bytes; return whether there was memory. */
static int write_result(struct job *job, double size, struct thinning *thinning)
{
    /* Stuffing may double what it takes, and not more. */
    size_t room = (size_t)(2 * size) + 4096;
    uint8_t *data = malloc(room);
    free(job->result->data);
    job->result->data = data;
    job->result->size = data ? write_image(job->image, &job->quantisation, &job->codes,
                                          &job->blocks, thinning, data, room) : 0;
    return job->result->size > 0;
}

int recode(const struct image *image, const struct engine_request *request,
           struct engine_result *result)
{
    struct job job = {.image = image, .result = result};
    struct thinning thinning = {0};
    double coarsest = within_range(request->step);
    double budget = (double)request->budget;
    job.stride = image->blocks / SAMPLE_BLOCKS;
    job.stride = job.stride < 2 ? 1 : job.stride > 48 ? 48 : job.stride;
    if (job.stride > 1 && image->mcus_wide % job.stride == 0)
        job.stride++;  /* or the sample would be of some columns */
    int written = 0;
    if (allocate(&job)) {
        double size = budget > 0 ? search(&job, budget, coarsest, &thinning.wanted)
                                 : whole_size(&job, coarsest);
        thinning.available = job.thin_bits;
        written = write_result(&job, size, &thinning);
        /* What is stuffed may be more than expected, of small images above all. */
        for (double more = 0.01; written && budget > 0 && result->size > request->budget
                                 && result->step < coarsest; more *= 1.5) {
            thinning.wanted += ((double)result->size - budget * AIM) * 8;
            if (more > 0.03 || thinning.wanted > job.thin_bits * THINNABLE) {
                thinning.wanted = 0;
                size = whole_size(&job, fmin(result->step * (1 + more), coarsest));
            }
            written = write_result(&job, size, &thinning);
        }
    }
    result->lossless = job.quantisation.lossless;
    result->own_tables = job.quantisation.own_tables;
    free(job.blocks.tokens);
    free(job.blocks.differences);
    free(job.blocks.counts);
    return written ? ENGINE_OK : ENGINE_NO_MEMORY;
}
