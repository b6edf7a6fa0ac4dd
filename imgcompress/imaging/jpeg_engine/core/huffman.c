/* Huffman codes: tables to decode by, and the best code for some frequencies. */
#include <string.h>

#include "fixed_codes.h"
#include "image.h"

static uint32_t coefficient_entry(int symbol, int length)
{
    int size = symbol & 15, run = symbol >> 4;
    if (!symbol)
        return (uint32_t)length;
    if (size < 1 || size > MAX_AC_SIZE)
        return 0;
    return (uint32_t)(32 - size) << 24 | (uint32_t)run << 16 | (uint32_t)(length + size) << 8
           | (uint32_t)length;
}

/* Build the tables from what a DHT segment says: T.81, annex C and F.2.2.3. */
int decoder_build(struct decoder *decoder, const uint8_t *lengths, const uint8_t *symbols,
                  int count, int coefficients)
{
    int code = 0, place = 0;
    memset(decoder, 0, sizeof *decoder);
    memcpy(decoder->symbols, symbols, (size_t)count);
    for (int length = 1; length <= 16; length++, code <<= 1) {
        decoder->first_place[length] = place - code;
        for (int i = 0; i < lengths[length - 1]; i++, place++, code++) {
            int symbol = symbols[place];
            /* No code may be of ones alone: T.81, C. Means have no runs: F.1.2.1. */
            if (code + 1 >= 1 << length || (!coefficients && symbol > 15))
                return ENGINE_DAMAGED;
            if (length > LOOKUP_BITS)
                continue;
            int spare = LOOKUP_BITS - length;
            uint32_t entry = coefficients ? coefficient_entry(symbol, length) : 0;
            for (int at = code << spare; at < (code + 1) << spare; at++) {
                decoder->symbol[at] = (uint16_t)(length << 8 | symbol);
                decoder->coefficient[at] = entry;
            }
        }
        decoder->last_code[length] = lengths[length - 1] ? code - 1 : -1;
    }
    decoder->present = 1;
    return ENGINE_OK;
}

/* Give each symbol its bits: T.81, annex C. */
static void code_assign(struct code *code)
{
    int bits = 0, place = 0;
    memset(code->length, 0, sizeof code->length);
    for (int length = 1; length <= 16; length++, bits <<= 1)
        for (int i = 0; i < code->lengths[length - 1]; i++, place++, bits++) {
            code->bits[code->symbols[place]] = (uint16_t)bits;
            code->length[code->symbols[place]] = (uint8_t)length;
        }
    code->count = place;
}

/* Sort ascending, by Shell's method: the keys are few, and a call for each comparison is dear. */
static void sort(uint64_t *keys, int count)
{
    for (int gap = count / 2; gap > 0; gap /= 2)
        for (int i = gap; i < count; i++) {
            uint64_t key = keys[i];
            int at = i;
            for (; at >= gap && keys[at - gap] > key; at -= gap)
                keys[at] = keys[at - gap];
            keys[at] = key;
        }
}

enum { LEAVES = 257, NODES = 2 * LEAVES };

/* Take the lighter of the next leaf and the next inner node. */
static int lighter(const uint64_t *weight, int *leaf, int leaves, int *inner, int end)
{
    int take_leaf = *leaf < leaves && (*inner >= end || weight[*leaf] <= weight[*inner]);
    return take_leaf ? (*leaf)++ : (*inner)++;
}

/* Shorten codes of more than 16 bits: T.81, figure K.3. */
static void limit_lengths(int *codes_of_length, int longest)
{
    for (int length = longest; length > 16; length--)
        while (codes_of_length[length] > 0) {
            int shorter = length - 2;
            while (!codes_of_length[shorter])
                shorter--;
            codes_of_length[length] -= 2;
            codes_of_length[length - 1]++;
            codes_of_length[shorter + 1] += 2;
            codes_of_length[shorter]--;
        }
}

/* Build the best code of at most 16 bits for 256 frequencies, at least one symbol in it.
 *
 * Huffman's tree by two queues: the sorted leaves, and the inner nodes, which come into being in
 * their order. The code of ones alone is not allowed (T.81, C): a leaf of weight 0 takes it. */
void code_build(struct code *code, const uint32_t *frequencies)
{
    uint64_t keys[LEAVES], weight[NODES];
    int parent[NODES], depth[NODES], codes_of_length[64] = {0};
    int count = 0, longest = 0;
    for (int symbol = 0; symbol < 256; symbol++)
        if (frequencies[symbol])
            keys[count++] = (uint64_t)frequencies[symbol] << 8 | (uint64_t)symbol;
    if (!count)
        keys[count++] = 1 << 8;
    sort(keys, count);

    int leaves = count + 1, leaf = 0, inner = leaves, end = leaves;
    weight[0] = 0;
    for (int i = 0; i < count; i++)
        weight[i + 1] = keys[i] >> 8;
    for (; end < 2 * leaves - 1; end++) {
        int one = lighter(weight, &leaf, leaves, &inner, end);
        int other = lighter(weight, &leaf, leaves, &inner, end);
        weight[end] = weight[one] + weight[other];
        parent[one] = parent[other] = end;
    }
    depth[end - 1] = 0;
    for (int node = end - 2; node >= 0; node--) {
        depth[node] = depth[parent[node]] + 1;
        if (node < leaves) {
            /* Frequencies of 32 bits make no tree deeper than 46, as Fibonacci's numbers show. */
            codes_of_length[depth[node]]++;
            longest = depth[node] > longest ? depth[node] : longest;
        }
    }
    limit_lengths(codes_of_length, longest);
    int last = 16;
    while (!codes_of_length[last])
        last--;
    codes_of_length[last]--;
    for (int length = 1; length <= 16; length++)
        code->lengths[length - 1] = (uint8_t)codes_of_length[length];
    for (int i = 0; i < count; i++)
        code->symbols[i] = (uint8_t)keys[count - 1 - i];
    code_assign(code);
}

static void code_set(struct code *code, const struct fixed_code *fixed)
{
    memcpy(code->lengths, fixed->lengths, sizeof fixed->lengths);
    memcpy(code->symbols, fixed->symbols, sizeof fixed->symbols);
    code_assign(code);
}

void code_fixed(struct code *dc, struct code *ac, int other)
{
    code_set(dc, FIXED_DC + other);
    code_set(ac, FIXED_AC + other);
}
