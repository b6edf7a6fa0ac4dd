/* Turn an image upright without a look at its pixels: whole MCUs change places, and coefficients
 * within their blocks. */
#include <stdlib.h>
#include <string.h>

#include "image.h"

/* How pixels of the upright image come from those of the source: EXIF's orientations 2 to 8. */
struct turn {
    int transposed;  /* rows become columns */
    int from_right, from_bottom;  /* source columns, source rows are counted from the other end */
};

static struct turn turn_of(int orientation)
{
    return (struct turn){orientation >= 5,
                         orientation == 2 || orientation == 3 || orientation == 7
                             || orientation == 8,
                         orientation == 3 || orientation == 4 || orientation == 6
                             || orientation == 7};
}

/* Return by how many pixels a side is filled up to whole MCUs. */
static uint32_t filling(uint32_t mcus, int factor, int side)
{
    return mcus * 8 * (uint32_t)factor - (uint32_t)side;
}

/* Return whether the image can be turned. What only fills MCUs up comes to the left or the top then,
 * and is removed: in components of fewer samples too, which must be whole ones. */
int turn_is_possible(const struct image *image, int orientation)
{
    struct turn turn = turn_of(orientation);
    int h = image->component[0].h, v = image->component[0].v;
    for (int c = 0; c < image->facts.components; c++) {
        const struct component *own = image->component + c;
        if ((turn.from_right && image->facts.width * own->h % h)
            || (turn.from_bottom && image->facts.height * own->v % v))
            return 0;
    }
    return 1;
}

/* Where each coefficient of a block goes, and whether its sign changes: a cosine of odd frequency
 * that is mirrored is its opposite. */
struct moves {
    uint8_t place[BLOCK];
    int8_t sign[BLOCK];
};

static struct moves moves_of(struct turn turn)
{
    struct moves moves;
    uint8_t place_at[BLOCK];
    for (int k = 0; k < BLOCK; k++)
        place_at[ZIGZAG[k]] = (uint8_t)k;
    for (int k = 0; k < BLOCK; k++) {
        int row = ZIGZAG[k] >> 3, column = ZIGZAG[k] & 7;
        int odd = (turn.from_right & column) ^ (turn.from_bottom & row);
        moves.place[k] = place_at[turn.transposed ? column << 3 | row : ZIGZAG[k]];
        moves.sign[k] = odd & 1 ? -1 : 1;
    }
    return moves;
}

/* Write a block's tokens as they are after the turn, in their new order. */
static uint32_t *turn_block(const uint32_t *tokens, int count, const struct moves *moves,
                            uint32_t *out)
{
    int16_t values[BLOCK];
    uint64_t present = 0;
    for (int i = 0; i < count; i++) {
        uint32_t place = tokens[i] >> 16;
        values[moves->place[place]] = (int16_t)((int16_t)(tokens[i] & 0xFFFF)
                                                * moves->sign[place]);
        present |= (uint64_t)1 << moves->place[place];
    }
    for (; present; present &= present - 1) {
        uint32_t place = (uint32_t)__builtin_ctzll(present);
        *out++ = place << 16 | (uint16_t)values[place];
    }
    return out;
}

/* Turn one MCU; `from` still has the source's layout. */
static uint32_t *turn_mcu(const struct image *from, size_t source, struct image *to, size_t target,
                          struct turn turn, const struct moves *moves, uint32_t *out)
{
    const uint32_t *tokens[MAX_MCU_BLOCKS + 1] = {from->tokens + from->first_token[source]};
    size_t blocks = (size_t)from->mcu_blocks, old = source * blocks, new = target * blocks;
    for (size_t i = 0; i < blocks; i++)
        tokens[i + 1] = tokens[i] + from->counts[old + i];
    to->first_token[target] = (uint32_t)(out - to->tokens);
    for (int c = 0; c < from->facts.components; c++) {
        int h = from->component[c].h, v = from->component[c].v;
        for (int i = 0; i < h * v; i++, new++) {
            int row = turn.transposed ? i % v : i / h, column = turn.transposed ? i / v : i % h;
            row = turn.from_bottom ? v - 1 - row : row;
            column = turn.from_right ? h - 1 - column : column;
            int block = from->component[c].begin + row * h + column;
            out = turn_block(tokens[block], from->counts[old + (size_t)block], moves, out);
            to->counts[new] = from->counts[old + (size_t)block];
            to->means[new] = from->means[old + (size_t)block];
        }
    }
    return out;
}

/* Let rows and columns change places in all that is known of the image. */
static void transpose_layout(struct image *image, const struct moves *moves)
{
    uint16_t tables[4][BLOCK];
    int32_t width = image->facts.width;
    memcpy(tables, image->tables, sizeof tables);
    for (int t = 0; t < 4; t++)
        for (int k = 0; k < BLOCK; k++)
            image->tables[t][moves->place[k]] = tables[t][k];
    image->facts.width = image->facts.height;
    image->facts.height = width;
    for (int c = 0; c < image->facts.components; c++) {
        struct component *component = image->component + c;
        int h = component->h;
        component->h = component->v;
        component->v = h;
    }
    lay_out(image);
}

int turn_upright(struct image *image, int orientation)
{
    struct turn turn = turn_of(orientation);
    struct moves moves = moves_of(turn);
    struct image from = *image;
    if (turn.transposed)
        transpose_layout(image, &moves);
    int verdict = tokens_allocate(image, (size_t)from.first_token[from.mcus] + 1);
    uint32_t *out = image->tokens;
    for (size_t mcu = 0; !verdict && mcu < image->mcus; mcu++) {
        size_t row = mcu / image->mcus_wide, column = mcu % image->mcus_wide;
        size_t y = turn.transposed ? column : row, x = turn.transposed ? row : column;
        y = turn.from_bottom ? from.mcus_high - 1 - y : y;
        x = turn.from_right ? from.mcus_wide - 1 - x : x;
        out = turn_mcu(&from, y * from.mcus_wide + x, image, mcu, turn, &moves, out);
    }
    if (!verdict)
        image->first_token[image->mcus] = (uint32_t)(out - image->tokens);
    image_release_tokens(&from);
    if (verdict)
        return verdict;
    const struct component *first = image->component;
    int left = turn.transposed ? turn.from_bottom : turn.from_right;
    int above = turn.transposed ? turn.from_right : turn.from_bottom;
    return edges_move(image,
                      left ? filling(image->mcus_wide, first->h, image->facts.width) : 0,
                      above ? filling(image->mcus_high, first->v, image->facts.height) : 0);
}
