/* SPDX-License-Identifier: Apache-2.0
 *
 * SqueezeDet before and after the network, in one file of C99 with nothing but the C library: an image of any size laid
 * into the network's input, and boxes made of the maps that come out (synthkit export --variant network). What stands
 * between is your toolchain's: the network takes pixels 0 to 255, so bytes go in as they are.
 *
 * All constants are in the card beside the ONNX file (detector.json): card_to_c.py writes them as `struct sd_card`.
 * No memory is allocated; callers bring what the functions need. Floats are single, as on small processors; Python's
 * doubles give the same boxes to within a hundredth of a pixel.
 *
 *     sd_lay(frame, 640, 480, &card, input, &place);            input: card.width * card.height * 3 bytes, RGB
 *     ... run the network ...
 *     count = sd_find(&card, confidence, deltas, NULL, 0.4f, boxes, SD_MOST);
 *     sd_to_image(&card, &place, boxes, count);
 */

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define SD_MOST 64         /* best predictions that enter the filter */
#define SD_MOST_ANCHORS 64 /* shapes of anchors */

struct sd_card {
    int width, height; /* of the input */
    int stride;        /* pixels of the input from one cell to the next */
    int classes;
    int anchors;
    int rotated;   /* 0: boxes are left, top, right, bottom; 1: cx, cy, w, h, degrees clockwise */
    int published; /* 0: anchors in the middle of their cells; 1: at i * width / (columns + 1) */
    float overlap; /* of the filter */
    float shapes[SD_MOST_ANCHORS][2];
};

struct sd_place { /* how an image lies in the input */
    int image_width, image_height;
    float scale;
    int x, y;
};

struct sd_box {
    float box[5]; /* the fifth of rotated boxes alone */
    float score;
    int label;
};

/* How an image of a size lies in the input: scaled by one factor, in the middle. */
void sd_fit(int width, int height, const struct sd_card *card, struct sd_place *place, int *scaled_width,
            int *scaled_height)
{
    double scale = fmin((double)card->width / width, (double)card->height / height);
    int gap_x = card->width - width, gap_y = card->height - height;
    if (scale >= 1.0 && gap_x >= 0 && gap_x < 16 && gap_y >= 0 && gap_y < 16)
        scale = 1.0; /* what fits is not enlarged for a few pixels */
    *scaled_width = (int)fmax(1.0, fmin(rint(width * scale), card->width));
    *scaled_height = (int)fmax(1.0, fmin(rint(height * scale), card->height));
    place->image_width = width;
    place->image_height = height;
    place->scale = (float)scale;
    place->x = (card->width - *scaled_width) / 2;
    place->y = (card->height - *scaled_height) / 2;
}

/* The weight of a pixel of a line for a place in the resampled line: shared length when shrinking, else linear. */
static float weight(int pixel, int place, int length, int wanted)
{
    float ratio = (float)length / (float)wanted;
    if (length > wanted) {
        float low = fmaxf((float)pixel, (float)place * ratio);
        float high = fminf((float)pixel + 1.0f, ((float)place + 1.0f) * ratio);
        return fmaxf(high - low, 0.0f) / ratio;
    }
    float middle = fminf(fmaxf(((float)place + 0.5f) * ratio - 0.5f, 0.0f), (float)(length - 1));
    return fmaxf(1.0f - fabsf((float)pixel - middle), 0.0f);
}

/* The first and the last pixel of a line that have a weight for a place. */
static void reach(int place, int length, int wanted, int *first, int *last)
{
    float ratio = (float)length / (float)wanted;
    float low = (float)place * ratio, high = ((float)place + 1.0f) * ratio;
    if (length <= wanted) {
        low = ((float)place + 0.5f) * ratio - 0.5f;
        high = low + 1.0f;
    }
    *first = (int)fmaxf(floorf(low), 0.0f);
    *last = (int)fminf(ceilf(high), (float)(length - 1));
    if (*first > length - 1)
        *first = length - 1;
}

/* Lay an image (height, width, 3) into the input (card->height, card->width, 3), black around it. */
void sd_lay(const uint8_t *image, int width, int height, const struct sd_card *card, uint8_t *input,
            struct sd_place *place)
{
    int w, h;
    sd_fit(width, height, card, place, &w, &h);
    for (size_t i = 0; i < (size_t)card->width * card->height * 3; i++)
        input[i] = 0;
    for (int y = 0; y < h; y++) {
        int top, bottom;
        reach(y, height, h, &top, &bottom);
        for (int x = 0; x < w; x++) {
            int left, right;
            float sum[3] = {0.0f, 0.0f, 0.0f};
            reach(x, width, w, &left, &right);
            for (int row = top; row <= bottom; row++) {
                float down = weight(row, y, height, h);
                for (int column = left; column <= right; column++) {
                    float share = down * weight(column, x, width, w);
                    const uint8_t *pixel = image + ((size_t)row * width + column) * 3;
                    for (int c = 0; c < 3; c++)
                        sum[c] += share * pixel[c];
                }
            }
            uint8_t *out = input + ((size_t)(place->y + y) * card->width + place->x + x) * 3;
            for (int c = 0; c < 3; c++)
                out[c] = (uint8_t)fminf(fmaxf(rintf(sum[c]), 0.0f), 255.0f);
        }
    }
}

/* Values of an 8-bit map: (value - zero) * scale. */
void sd_dequantise(const int8_t *values, size_t count, float scale, int zero, float *result)
{
    for (size_t i = 0; i < count; i++)
        result[i] = (float)(values[i] - zero) * scale;
}

static float safe_exp(float x)
{
    return x > 1.0f ? 2.71828182845904523536f * x : expf(x);
}

static float clip(float value, float most)
{
    return fminf(fmaxf(value, 0.0f), most);
}

/* The box of one anchor of one cell; d: its deltas, `step` values apart. */
static void decode(const struct sd_card *card, int row, int column, int anchor, const float *d, size_t step, float *box)
{
    int rows = card->height / card->stride, columns = card->width / card->stride;
    float width = (float)card->width, height = (float)card->height;
    float x = ((float)column + 0.5f) * (float)card->stride, y = ((float)row + 0.5f) * (float)card->stride;
    if (card->published) {
        x = (float)(column + 1) * width / (float)(columns + 1);
        y = (float)(row + 1) * height / (float)(rows + 1);
    }
    float aw = card->shapes[anchor][0], ah = card->shapes[anchor][1];
    float w = aw * safe_exp(d[2 * step]), h = ah * safe_exp(d[3 * step]);
    if (!card->rotated) {
        float cx = x + d[0] * aw, cy = y + d[step] * ah;
        box[0] = clip(cx - w / 2.0f, width);
        box[1] = clip(cy - h / 2.0f, height);
        box[2] = clip(cx + w / 2.0f, width);
        box[3] = clip(cy + h / 2.0f, height);
        box[4] = 0.0f;
        return;
    }
    float unit = sqrtf(aw * ah), sign = w > h ? -1.0f : 1.0f; /* sides that change places turn it by 90 degrees */
    float degrees = atan2f(sign * d[5 * step], sign * d[4 * step]) * 28.6478897565f;
    box[0] = clip(x + d[0] * unit, width);
    box[1] = clip(y + d[step] * unit, height);
    box[2] = fminf(w, h);
    box[3] = fmaxf(w, h);
    box[4] = degrees >= 90.0f ? degrees - 180.0f : degrees;
}

static void corners(const float *box, float points[4][2])
{
    static const float signs[4][2] = {{-0.5f, -0.5f}, {0.5f, -0.5f}, {0.5f, 0.5f}, {-0.5f, 0.5f}};
    float cosine = cosf(box[4] * 0.01745329252f), sine = sinf(box[4] * 0.01745329252f);
    for (int i = 0; i < 4; i++) {
        float x = signs[i][0] * box[2], y = signs[i][1] * box[3];
        points[i][0] = box[0] + x * cosine - y * sine;
        points[i][1] = box[1] + x * sine + y * cosine;
    }
}

/* The area that two rotated boxes share: one clipped by the other's four sides (Sutherland and Hodgman 1974). */
static float shared_rotated(const float *one, const float *other)
{
    float polygon[16][2], next[16][2], frame[4][2];
    int count = 4;
    corners(one, polygon);
    corners(other, frame);
    for (int edge = 0; edge < 4; edge++) {
        const float *a = frame[edge], *b = frame[(edge + 1) % 4];
        int kept = 0;
        for (int i = 0; i < count; i++) {
            const float *p = polygon[(i + count - 1) % count], *q = polygon[i];
            float before = (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]);
            float here = (b[0] - a[0]) * (q[1] - a[1]) - (b[1] - a[1]) * (q[0] - a[0]);
            if ((here >= 0.0f) != (before >= 0.0f) && kept < 16) {
                float share = before / (before - here);
                next[kept][0] = p[0] + share * (q[0] - p[0]);
                next[kept++][1] = p[1] + share * (q[1] - p[1]);
            }
            if (here >= 0.0f && kept < 16) {
                next[kept][0] = q[0];
                next[kept++][1] = q[1];
            }
        }
        count = kept;
        for (int i = 0; i < count; i++) {
            polygon[i][0] = next[i][0];
            polygon[i][1] = next[i][1];
        }
    }
    float area = 0.0f;
    for (int i = 0; i < count; i++) {
        const float *p = polygon[i], *q = polygon[(i + 1) % count];
        area += (p[0] - one[0]) * (q[1] - one[1]) - (q[0] - one[0]) * (p[1] - one[1]);
    }
    return fabsf(area) / 2.0f;
}

/* How much two boxes overlap: the area they share over the area they cover. */
float sd_overlap(const float *one, const float *other, int rotated)
{
    float shared, first, second;
    if (rotated) {
        shared = shared_rotated(one, other);
        first = one[2] * one[3];
        second = other[2] * other[3];
    } else {
        shared = fmaxf(fminf(one[2], other[2]) - fmaxf(one[0], other[0]), 0.0f);
        shared *= fmaxf(fminf(one[3], other[3]) - fmaxf(one[1], other[1]), 0.0f);
        first = (one[2] - one[0]) * (one[3] - one[1]);
        second = (other[2] - other[0]) * (other[3] - other[1]);
    }
    return shared / fmaxf(first + second - shared, 1e-6f);
}

/* Find boxes in the maps, best score first, in pixels of the input; returns how many.
 *
 * confidence: (anchors, rows, columns). deltas: (anchors * 4, rows, columns), of rotated boxes * 6. classes: logits
 * (anchors * classes, rows, columns), NULL with one class. boxes: room for `most` of them, at most SD_MOST.
 */
int sd_find(const struct sd_card *card, const float *confidence, const float *deltas, const float *classes, float score,
            struct sd_box *boxes, int most)
{
    int rows = card->height / card->stride, columns = card->width / card->stride;
    int numbers = card->rotated ? 6 : 4, count = 0, kept = 0;
    size_t cells = (size_t)rows * columns;
    if (most > SD_MOST)
        most = SD_MOST;
    if (most < 1)
        return 0;
    for (size_t cell = 0; cell < cells; cell++) {
        for (int anchor = 0; anchor < card->anchors; anchor++) {
            float value = confidence[anchor * cells + cell];
            int label = 0;
            if (value < score)
                continue; /* a class can only lower it */
            if (classes != NULL) {
                const float *logit = classes + (size_t)anchor * card->classes * cells + cell;
                float sum = 0.0f;
                for (int c = 1; c < card->classes; c++)
                    if (logit[c * cells] > logit[label * cells])
                        label = c;
                for (int c = 0; c < card->classes; c++)
                    sum += expf(logit[c * cells] - logit[label * cells]);
                value /= sum;
            }
            if (value < score || (count == most && value <= boxes[count - 1].score))
                continue;
            int place = count < most ? count++ : count - 1;
            while (place > 0 && boxes[place - 1].score < value) { /* equal ones keep their order */
                boxes[place] = boxes[place - 1];
                place--;
            }
            boxes[place].score = value;
            boxes[place].label = label;
            decode(card, (int)(cell / columns), (int)(cell % columns), anchor,
                   deltas + (size_t)anchor * numbers * cells + cell, cells, boxes[place].box);
        }
    }
    uint8_t dropped[SD_MOST];
    for (int i = 0; i < count; i++) {
        dropped[i] = 0;
        for (int j = 0; j < i && !dropped[i]; j++) /* those dropped drop others too, as in the released code */
            dropped[i] = boxes[j].label == boxes[i].label &&
                         sd_overlap(boxes[i].box, boxes[j].box, card->rotated) > card->overlap;
    }
    for (int i = 0; i < count; i++)
        if (!dropped[i])
            boxes[kept++] = boxes[i];
    return kept;
}

/* Put boxes into the image's own pixels. */
void sd_to_image(const struct sd_card *card, const struct sd_place *place, struct sd_box *boxes, int count)
{
    for (int i = 0; i < count; i++) {
        float *box = boxes[i].box;
        box[0] = (box[0] - (float)place->x) / place->scale;
        box[1] = (box[1] - (float)place->y) / place->scale;
        if (card->rotated) {
            box[2] /= place->scale;
            box[3] /= place->scale;
        } else {
            box[0] = clip(box[0], (float)place->image_width);
            box[1] = clip(box[1], (float)place->image_height);
            box[2] = clip((box[2] - (float)place->x) / place->scale, (float)place->image_width);
            box[3] = clip((box[3] - (float)place->y) / place->scale, (float)place->image_height);
        }
    }
}
