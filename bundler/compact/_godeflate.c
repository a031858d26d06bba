/* The DEFLATE encoders of Go's standard library at the default level, compiled.
 *
 * Two encoders, A (Go 1.7 to 1.26) and B (Go 1.27), as docs/go-deflate.md specifies them. Section numbers
 * in comments are those of that page. Every bit of the output is fixed: `encoder_a.py` and
 * `encoder_b.py` give the same bytes, and known answers are checked when a codec is loaded.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LITERALS 286
#define DISTANCES 30
#define END_OF_BLOCK 256
#define LONGEST_MATCH 258
#define LARGEST_STORED 65535

/* --- what both encoders share (section 1) ------------------------------------------------------- */

typedef struct {
    uint8_t *data;
    size_t size, room;
    uint64_t bits;
    unsigned count; /* bits that wait in `bits`, fewer than 32 */
    int failed;     /* no memory */
} Output;

typedef struct {
    uint8_t length[LITERALS];
    uint16_t value[LITERALS]; /* bits reversed, as they are written */
} Code;

static const uint16_t LENGTH_BASE[29] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  10, 12, 14,  16,  20, 24,
                                         28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 255};
static const uint8_t LENGTH_EXTRA[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                         2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t DISTANCE_BASE[30] = {0,   1,   2,   3,   4,   6,    8,    12,   16,   24,
                                           32,  48,  64,  96,  128, 192,  256,  384,  512,  768,
                                           1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576};
static const uint8_t DISTANCE_EXTRA[30] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                           6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
static const uint8_t CODE_LENGTH_ORDER[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

static uint8_t length_column[256];     /* length - 3 -> column */
static uint8_t distance_symbol[512];   /* distance - 1, or 256 + ((distance - 1) >> 7) -> symbol */
static Code fixed_literals, fixed_distances;

/* A token is a literal byte, or MATCH | (length - 3) << 16 | (distance - 1). */
#define MATCH 0x80000000u

static inline unsigned symbol_of_distance(uint32_t less_one) {
    return less_one < 256 ? distance_symbol[less_one] : distance_symbol[256 + (less_one >> 7)];
}

static int grow(Output *out, size_t more) {
    if (out->failed) return 0;
    if (out->size + more <= out->room) return 1;
    size_t room = out->room ? out->room : 1 << 16;
    while (room < out->size + more) room *= 2;
    uint8_t *data = realloc(out->data, room);
    if (!data) {
        out->failed = 1;
        return 0;
    }
    out->data = data;
    out->room = room;
    return 1;
}

/* Append the low `count` bits of `value`; at most 32 at a time, room was made before. */
static inline void put(Output *out, uint64_t value, unsigned count) {
    out->bits |= value << out->count;
    out->count += count;
    if (out->count >= 32) {
        uint32_t word = (uint32_t)out->bits;
        memcpy(out->data + out->size, &word, 4);
        out->size += 4;
        out->bits >>= 32;
        out->count -= 32;
    }
}

static void align(Output *out) {
    while (out->count > 0) {
        out->data[out->size++] = (uint8_t)out->bits;
        out->bits >>= 8;
        out->count = out->count > 8 ? out->count - 8 : 0;
    }
    out->bits = 0;
}

static unsigned reversed(unsigned value, unsigned count) {
    unsigned result = 0;
    for (unsigned i = 0; i < count; i++) result |= ((value >> i) & 1) << (count - 1 - i);
    return result;
}

/* 1.6: canonical values of a code whose lengths are set.
 * They are gathered in an array of this function's own: when one loop walks both arrays of a Code, gcc for
 * aarch64 (11 and 12, from -O1 on) loses track of what it writes to, and leaves the whole call out. */
static void set_values(Code *code, unsigned symbols) {
    unsigned per_length[16] = {0}, next[16], value = 0;
    uint16_t values[LITERALS];
    for (unsigned s = 0; s < symbols; s++) per_length[code->length[s]]++;
    per_length[0] = 0;
    for (unsigned b = 1; b < 16; b++) {
        value = (value + per_length[b - 1]) << 1;
        next[b] = value;
    }
    for (unsigned s = 0; s < symbols; s++) {
        unsigned b = code->length[s];
        values[s] = b ? (uint16_t)reversed(next[b]++, b) : 0;
    }
    memcpy(code->value, values, symbols * sizeof *values);
}

typedef struct {
    uint32_t weight;
    uint16_t symbol;
} Leaf;

static int lighter(const void *left, const void *right) {
    const Leaf *a = left, *b = right;
    if (a->weight != b->weight) return a->weight < b->weight ? -1 : 1;
    return (int)a->symbol - (int)b->symbol;
}

/* 1.5: package-merge; at equal weight packages stand before leaves. */
static void set_lengths(Code *code, const uint32_t *frequency, unsigned symbols, unsigned limit) {
    Leaf order[LITERALS];
    unsigned n = 0;
    memset(code->length, 0, sizeof code->length);
    for (unsigned s = 0; s < symbols; s++)
        if (frequency[s]) {
            order[n].weight = frequency[s];
            order[n++].symbol = (uint16_t)s;
        }
    if (n <= 2) {
        for (unsigned j = 0; j < n; j++) code->length[order[j].symbol] = 1;
        set_values(code, symbols);
        return;
    }
    qsort(order, n, sizeof *order, lighter);
    unsigned rows = limit < n - 1 ? limit : n - 1;
    /* For each row, which of its items are leaves; a row has at most 2n - 1 items. */
    static const unsigned widest = 2 * LITERALS;
    uint8_t leaf[16][2 * LITERALS];
    uint64_t weights[2][2 * LITERALS];
    unsigned size = n;
    for (unsigned j = 0; j < n; j++) {
        weights[0][j] = order[j].weight;
        leaf[1][j] = 1;
    }
    (void)widest;
    for (unsigned r = 2; r <= rows; r++) {
        const uint64_t *below = weights[r & 1];
        uint64_t *row = weights[(r & 1) ^ 1];
        unsigned packages = size / 2, p = 0, l = 0, at = 0;
        while (p < packages || l < n) {
            uint64_t package = p < packages ? below[2 * p] + below[2 * p + 1] : 0;
            if (p < packages && (l >= n || package <= order[l].weight)) {
                row[at] = package;
                leaf[r][at++] = 0;
                p++;
            } else {
                row[at] = order[l++].weight;
                leaf[r][at++] = 1;
            }
        }
        size = at;
    }
    unsigned taken[17] = {0}, k = 2 * n - 2;
    for (unsigned r = rows; r >= 1; r--) {
        unsigned leaves = 0;
        for (unsigned j = 0; j < k; j++) leaves += leaf[r][j];
        taken[r] = leaves;
        k = 2 * (k - leaves);
    }
    unsigned next = n; /* lengths are given from the heavy end */
    for (unsigned b = 1; b <= rows; b++) {
        unsigned count = taken[rows - b + 1] - taken[rows - b];
        for (unsigned j = 0; j < count; j++) code->length[order[--next].symbol] = (uint8_t)b;
    }
    set_values(code, symbols);
}

static uint64_t cost(const uint32_t *frequency, const Code *code, unsigned symbols) {
    uint64_t sum = 0;
    for (unsigned s = 0; s < symbols; s++) sum += (uint64_t)frequency[s] * code->length[s];
    return sum;
}

static uint64_t extra_bits(const uint32_t *literals, const uint32_t *distances) {
    uint64_t sum = 0;
    for (unsigned c = 0; c < 29; c++) sum += (uint64_t)literals[257 + c] * LENGTH_EXTRA[c];
    for (unsigned d = 0; d < DISTANCES; d++) sum += (uint64_t)distances[d] * DISTANCE_EXTRA[d];
    return sum;
}

typedef struct {
    unsigned literals, distances, code_lengths;
    unsigned emitted;
    uint8_t symbol[LITERALS + DISTANCES], extra[LITERALS + DISTANCES];
    Code code;
    uint64_t size; /* bits */
} Header;

static void emit(Header *header, uint32_t *counts, unsigned symbol, unsigned extra) {
    header->symbol[header->emitted] = (uint8_t)symbol;
    header->extra[header->emitted++] = (uint8_t)extra;
    counts[symbol]++;
}

/* 1.7: the header of a dynamic block. */
static void plan_header(Header *header, const Code *lit, unsigned nlit, const Code *dist, unsigned ndist) {
    uint8_t all[LITERALS + DISTANCES];
    uint32_t counts[19] = {0};
    unsigned total = nlit + ndist, at = 0;
    memcpy(all, lit->length, nlit);
    memcpy(all + nlit, dist->length, ndist);
    header->literals = nlit;
    header->distances = ndist;
    header->emitted = 0;
    while (at < total) {
        unsigned value = all[at], run = 1;
        while (at + run < total && all[at + run] == value) run++;
        at += run;
        if (value) {
            emit(header, counts, value, 0);
            run--;
            while (run >= 3) {
                unsigned k = run < 6 ? run : 6;
                emit(header, counts, 16, k - 3);
                run -= k;
            }
        } else {
            while (run >= 11) {
                unsigned k = run < 138 ? run : 138;
                emit(header, counts, 18, k - 11);
                run -= k;
            }
            if (run >= 3) {
                emit(header, counts, 17, run - 3);
                run = 0;
            }
        }
        while (run--) emit(header, counts, value, 0);
    }
    set_lengths(&header->code, counts, 19, 7);
    unsigned n = 19;
    while (n > 4 && counts[CODE_LENGTH_ORDER[n - 1]] == 0) n--;
    header->code_lengths = n;
    header->size = 17 + 3 * (uint64_t)n + cost(counts, &header->code, 19) + 2 * (uint64_t)counts[16] +
                   3 * (uint64_t)counts[17] + 7 * (uint64_t)counts[18];
}

static void write_header(Output *out, const Header *header) {
    if (!grow(out, 1024)) return;
    put(out, 4, 3);
    put(out, header->literals - 257, 5);
    put(out, header->distances - 1, 5);
    put(out, header->code_lengths - 4, 4);
    for (unsigned j = 0; j < header->code_lengths; j++) put(out, header->code.length[CODE_LENGTH_ORDER[j]], 3);
    for (unsigned j = 0; j < header->emitted; j++) {
        unsigned symbol = header->symbol[j];
        put(out, header->code.value[symbol], header->code.length[symbol]);
        if (symbol == 16) put(out, header->extra[j], 2);
        if (symbol == 17) put(out, header->extra[j], 3);
        if (symbol == 18) put(out, header->extra[j], 7);
    }
}

static void write_tokens(Output *out, const uint32_t *tokens, size_t count, const Code *lit, const Code *dist) {
    if (!grow(out, count * 8 + 64)) return;
    for (size_t j = 0; j < count; j++) {
        uint32_t token = tokens[j];
        if (!(token & MATCH)) {
            put(out, lit->value[token], lit->length[token]);
            continue;
        }
        unsigned less_three = (token >> 16) & 0xff, less_one = token & 0x7fff;
        unsigned column = length_column[less_three], symbol = symbol_of_distance(less_one);
        put(out, lit->value[257 + column], lit->length[257 + column]);
        if (LENGTH_EXTRA[column]) put(out, less_three - LENGTH_BASE[column], LENGTH_EXTRA[column]);
        put(out, dist->value[symbol], dist->length[symbol]);
        if (DISTANCE_EXTRA[symbol]) put(out, less_one - DISTANCE_BASE[symbol], DISTANCE_EXTRA[symbol]);
    }
}

static void write_end_of_block(Output *out, const Code *lit) {
    if (!grow(out, 16)) return;
    put(out, lit->value[END_OF_BLOCK], lit->length[END_OF_BLOCK]);
}

static void write_stored(Output *out, const uint8_t *bytes, size_t size) {
    if (!grow(out, size + 16)) return;
    put(out, 0, 3);
    align(out);
    uint16_t length = (uint16_t)size, complement = (uint16_t)~length;
    out->data[out->size++] = (uint8_t)length;
    out->data[out->size++] = (uint8_t)(length >> 8);
    out->data[out->size++] = (uint8_t)complement;
    out->data[out->size++] = (uint8_t)(complement >> 8);
    memcpy(out->data + out->size, bytes, size);
    out->size += size;
}

static void count_tokens(const uint32_t *tokens, size_t count, uint32_t *literals, uint32_t *distances) {
    memset(literals, 0, LITERALS * sizeof *literals);
    memset(distances, 0, DISTANCES * sizeof *distances);
    for (size_t j = 0; j < count; j++) {
        if (tokens[j] & MATCH) {
            literals[257 + length_column[(tokens[j] >> 16) & 0xff]]++;
            distances[symbol_of_distance(tokens[j] & 0x7fff)]++;
        } else {
            literals[tokens[j]]++;
        }
    }
}

static uint64_t sum_of(const uint32_t *counts, unsigned size) {
    uint64_t sum = 0;
    for (unsigned j = 0; j < size; j++) sum += counts[j];
    return sum;
}

static void make_tables(void) {
    for (unsigned c = 0; c < 28; c++)
        for (unsigned j = 0; j < 1u << LENGTH_EXTRA[c]; j++)
            if (LENGTH_BASE[c] + j < 255) length_column[LENGTH_BASE[c] + j] = (uint8_t)c;
    length_column[255] = 28;
    for (unsigned d = 0; d < DISTANCES; d++)
        for (unsigned j = 0; j < 1u << DISTANCE_EXTRA[d]; j++) {
            unsigned less_one = DISTANCE_BASE[d] + j;
            distance_symbol[less_one < 256 ? less_one : 256 + (less_one >> 7)] = (uint8_t)d;
        }
    for (unsigned s = 0; s < LITERALS; s++)
        fixed_literals.length[s] = s < 144 ? 8 : s < 256 ? 9 : s < 280 ? 7 : 8;
    /* The two unused symbols 286 and 287 take the last values; the others' are not moved by that. */
    for (unsigned s = 0; s < LITERALS; s++) {
        unsigned value = s < 144 ? 48 + s : s < 256 ? 400 + s - 144 : s < 280 ? s - 256 : 192 + s - 280;
        fixed_literals.value[s] = (uint16_t)reversed(value, fixed_literals.length[s]);
    }
    for (unsigned d = 0; d < DISTANCES; d++) {
        fixed_distances.length[d] = 5;
        fixed_distances.value[d] = (uint16_t)reversed(d, 5);
    }
}

static inline uint32_t load32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

static inline uint64_t load64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

/* Bytes for which two places agree, at most `most`; both may be read that far. */
static inline unsigned agreement(const uint8_t *a, const uint8_t *b, unsigned most) {
    unsigned n = 0;
    while (n + 8 <= most) {
        uint64_t difference = load64(a + n) ^ load64(b + n);
        if (difference) return n + ((unsigned)__builtin_ctzll(difference) >> 3);
        n += 8;
    }
    while (n < most && a[n] == b[n]) n++;
    return n;
}

/* Positions are kept in 32 bits, counted from `origin`; this many, and they are counted anew. */
#define RENUMBER_AT (1u << 30)

static void renumber(uint32_t *table, size_t size, uint32_t by) {
    for (size_t j = 0; j < size; j++) table[j] = table[j] > by ? table[j] - by : 0;
}

/* --- encoder A (section 2) ------------------------------------------------------------------------ */

#define A_WINDOW 65536
#define A_REACH 32768
#define A_AHEAD 262
#define A_TOKENS 16384
#define A_HASHES (1 << 17)

/* Positions below are relative to the window's base B: `i`, `end`, `block` are offsets into `window`.
 * Table entries are offsets from `origin`, plus one; 0 is none. */
typedef struct {
    uint8_t window[A_WINDOW + 8];
    uint32_t head[A_HASHES];
    uint32_t chain[A_REACH];
    uint32_t base; /* of the window, counted from the origin of the tables */
    uint32_t i, end;
    int32_t block; /* start of the block; below 0 it has left the window */
    int64_t block_size_before;
    uint32_t length, distance;
    int pending;
    uint32_t tokens[A_TOKENS + 1];
    uint32_t count;
} EncoderA;

static void a_end_block(EncoderA *a, Output *out, uint32_t at) {
    uint32_t F[LITERALS], G[DISTANCES];
    Code lit, dist;
    Header header;
    int64_t size = (int64_t)at - a->block;
    int storable = a->block >= 0 && size <= LARGEST_STORED;
    count_tokens(a->tokens, a->count, F, G);
    F[END_OF_BLOCK]++;
    unsigned nlit = LITERALS, ndist = DISTANCES;
    while (F[nlit - 1] == 0) nlit--;
    while (ndist > 0 && G[ndist - 1] == 0) ndist--;
    if (ndist == 0) {
        G[0] = 1;
        ndist = 1;
    }
    set_lengths(&lit, F, LITERALS, 15);
    set_lengths(&dist, G, DISTANCES, 15);
    plan_header(&header, &lit, nlit, &dist, ndist);
    uint64_t x = storable ? extra_bits(F, G) : 0;
    uint64_t fixed = 3 + cost(F, &fixed_literals, LITERALS) + 5 * sum_of(G, DISTANCES) + x;
    uint64_t dynamic = header.size + cost(F, &lit, LITERALS) + cost(G, &dist, DISTANCES) + x;
    uint64_t best = dynamic < fixed ? dynamic : fixed;
    if (storable && 8 * ((uint64_t)size + 5) < best) {
        write_stored(out, a->window + a->block, (size_t)size);
    } else if (dynamic < fixed) {
        write_header(out, &header);
        write_tokens(out, a->tokens, a->count, &lit, &dist);
        write_end_of_block(out, &lit);
    } else {
        if (grow(out, 16)) put(out, 2, 3);
        write_tokens(out, a->tokens, a->count, &fixed_literals, &fixed_distances);
        write_end_of_block(out, &fixed_literals);
    }
    a->count = 0;
    a->block = (int32_t)at;
}

static inline uint32_t a_hash(const uint8_t *at) {
    return (__builtin_bswap32(load32(at)) * 0x1E35A7BDu) >> 15;
}

/* Enter position `p` into its chain; the candidate that stood there before, or 0. */
static inline uint32_t a_insert(EncoderA *a, uint32_t p) {
    uint32_t hash = a_hash(a->window + p), absolute = a->base + p;
    uint32_t candidate = a->head[hash];
    a->chain[absolute & (A_REACH - 1)] = candidate;
    a->head[hash] = absolute + 1;
    return candidate;
}

static void a_search(EncoderA *a, uint32_t candidate) {
    const uint32_t i = a->i, left = a->end - i;
    const uint32_t most = left < LONGEST_MATCH ? left : LONGEST_MATCH, stop = most < 128 ? most : 128;
    const uint8_t *here = a->window + i;
    const uint32_t absolute = a->base + i;
    const uint32_t oldest = absolute > A_REACH ? absolute - A_REACH : 0;
    const uint32_t lowest = oldest > a->base ? oldest : a->base; /* absolute */
    uint32_t best = 3, j = candidate - 1;
    for (int tries = 128; tries > 0; tries--) {
        const uint8_t *there = a->window + (j - a->base);
        if (there[best] == here[best] && load32(there) == load32(here)) {
            uint32_t m = 4 + agreement(there + 4, here + 4, most - 4);
            if (m > best && (m > 4 || absolute - j <= 4096)) {
                best = m;
                a->length = m;
                a->distance = absolute - j;
                if (m >= stop) return;
            }
        }
        if (absolute - j == A_REACH) return;
        uint32_t next = a->chain[j & (A_REACH - 1)];
        if (next == 0 || next - 1 < lowest) return;
        j = next - 1;
    }
}

static void a_token(EncoderA *a, Output *out, uint32_t token, uint32_t at) {
    a->tokens[a->count++] = token;
    if (a->count == A_TOKENS) a_end_block(a, out, at);
}

/* 2.4: one position. */
static void a_position(EncoderA *a, Output *out) {
    const uint32_t i = a->i;
    uint32_t candidate = i + 4 <= a->end ? a_insert(a, i) : 0;
    const uint32_t length = a->length, distance = a->distance;
    a->length = 3;
    if (candidate && length < 16 && a->end - i > length && candidate - 1 >= a->base &&
        a->base + i - (candidate - 1) <= A_REACH)
        a_search(a, candidate);
    if (length >= 4 && a->length <= length) {
        uint32_t after = i + length - 1;
        for (uint32_t p = i + 1; p < after; p++)
            if (p + 4 <= a->end) a_insert(a, p);
        a->i = after;
        a->pending = 0;
        a->length = 3;
        a_token(a, out, MATCH | (length - 3) << 16 | (distance - 1), after);
        return;
    }
    if (a->pending) a_token(a, out, a->window[i - 1], i);
    a->i = i + 1;
    a->pending = 1;
}

static void a_move_window(EncoderA *a) {
    memmove(a->window, a->window + A_REACH, A_REACH);
    a->base += A_REACH;
    a->i -= A_REACH;
    a->end -= A_REACH;
    a->block -= A_REACH;
    if (a->block < -(1 << 30)) a->block = -(1 << 30);
    if (a->base >= RENUMBER_AT) {
        /* Keep chain slots in place: the shift is a multiple of the chain's size. */
        uint32_t by = a->base - A_REACH;
        renumber(a->head, A_HASHES, by);
        renumber(a->chain, A_REACH, by);
        a->base -= by;
    }
}

/* 2.3, as of one Write of the whole input: the window is filled before it is looked at. */
static void a_write(EncoderA *a, Output *out, const uint8_t *data, size_t size) {
    while (size > 0 && !out->failed) {
        if (a->end == A_WINDOW) {
            while (a->end - a->i >= A_AHEAD) a_position(a, out);
            a_move_window(a);
        }
        size_t part = A_WINDOW - a->end;
        if (part > size) part = size;
        memcpy(a->window + a->end, data, part);
        a->end += (uint32_t)part;
        data += part;
        size -= part;
    }
}

static void a_finish(EncoderA *a, Output *out) {
    while (a->i < a->end && !out->failed) a_position(a, out);
    if (a->pending) a_token(a, out, a->window[a->i - 1], a->i);
    if (a->count > 0) a_end_block(a, out, a->i);
    if (!grow(out, 16)) return;
    put(out, 1, 3);
    align(out);
    memcpy(out->data + out->size, "\x00\x00\xff\xff", 4);
    out->size += 4;
}

/* --- encoder B (section 3) ------------------------------------------------------------------------ */

#define B_BLOCK 65535
#define B_HISTORY 32768
#define B_REACH 32768 /* a near position is less far than this */
#define B_HASHES (1 << 15)
#define B_MARGIN 11

typedef struct {
    uint64_t header_size;
    Code lit, dist;
    int is_open, literal_only;
} OpenBlock;

/* `data` holds up to B_HISTORY bytes of history, then the block. Positions are offsets into it plus
 * `base`, the position of data[0] counted from the origin of the tables; entries are plus one, 0 is none. */
typedef struct {
    uint8_t data[B_HISTORY + B_BLOCK + 16];
    uint32_t base;
    uint32_t start, end; /* the block, as offsets into data */
    uint32_t shorts[B_HASHES], longs[B_HASHES], longs_before[B_HASHES];
    uint32_t tokens[B_BLOCK + 1];
    uint32_t count;
    OpenBlock open;
    int rounding;
} EncoderB;

static inline uint32_t b_short_hash(uint64_t bytes) { return ((uint32_t)bytes * 2654435761u) >> 17; }
static inline uint32_t b_long_hash(uint64_t bytes) {
    return (uint32_t)(((bytes << 8) * 58295818150454627ull) >> 49);
}

static inline void b_put(EncoderB *b, uint32_t p) {
    uint64_t bytes = load64(b->data + p);
    uint32_t hash = b_long_hash(bytes), entry = b->base + p + 1;
    b->shorts[b_short_hash(bytes)] = entry;
    b->longs_before[hash] = b->longs[hash];
    b->longs[hash] = entry;
}

static inline void b_put_long(EncoderB *b, uint32_t p) {
    uint32_t hash = b_long_hash(load64(b->data + p));
    b->longs_before[hash] = b->longs[hash];
    b->longs[hash] = b->base + p + 1;
}

static inline int b_near(const EncoderB *b, uint32_t p, uint32_t entry) {
    return entry != 0 && b->base + p - (entry - 1) < B_REACH;
}

/* The offset of an entry that is near. */
static inline uint32_t b_offset(const EncoderB *b, uint32_t entry) { return entry - 1 - b->base; }

static inline int b_same4(const EncoderB *b, uint32_t p, uint32_t q) {
    return load32(b->data + p) == load32(b->data + q);
}

static inline uint32_t b_long(const EncoderB *b, uint32_t p, uint32_t q) {
    return agreement(b->data + p, b->data + q, b->end - p);
}

static inline uint32_t b_cap(const EncoderB *b, uint32_t p, uint32_t q) {
    uint32_t most = b->end - p;
    return agreement(b->data + p, b->data + q, most < LONGEST_MATCH ? most : LONGEST_MATCH);
}

static inline void b_literals(EncoderB *b, uint32_t from, uint32_t to) {
    for (uint32_t p = from; p < to; p++) b->tokens[b->count++] = b->data[p];
}

/* 3.3 and 3.4: the block's tokens. */
static void b_parse(EncoderB *b) {
    const uint32_t e = b->end, lim = e - B_MARGIN;
    uint32_t done = b->start, p = b->start, rep = 1, nx, t;
    b->count = 0;
scan:
    nx = p;
    for (;;) {
        p = nx;
        nx = p + 1 + ((p - done) >> 7);
        if (nx > lim) goto finish;
        uint64_t bytes = load64(b->data + p);
        uint32_t sh = b_short_hash(bytes), lh = b_long_hash(bytes);
        uint32_t s = b->shorts[sh], l1 = b->longs[lh], l2 = b->longs_before[lh];
        uint32_t entry = b->base + p + 1;
        b->shorts[sh] = entry;
        b->longs_before[lh] = l1;
        b->longs[lh] = entry;
        if (b_near(b, p, l1)) {
            uint32_t o1 = b_offset(b, l1);
            if (b_same4(b, p, o1)) {
                b_put(b, nx);
                t = o1;
                if (b_near(b, p, l2)) {
                    uint32_t o2 = b_offset(b, l2);
                    if (b_same4(b, p, o2) && b_cap(b, p, o2) > b_cap(b, p, o1)) t = o2;
                }
                break;
            }
            if (b_near(b, p, l2)) {
                uint32_t o2 = b_offset(b, l2);
                if (b_same4(b, p, o2)) {
                    b_put(b, nx);
                    t = o2;
                    break;
                }
            }
        }
        if (b_near(b, p, s)) {
            uint32_t o = b_offset(b, s);
            if (b_same4(b, p, o)) {
                uint32_t m = b_cap(b, p, o);
                t = o;
                uint32_t hash = b_long_hash(load64(b->data + nx));
                uint32_t k1 = b->longs[hash], k2 = b->longs_before[hash];
                b_put(b, nx);
                /* The last distance, one position on; before the stream's start nothing agrees. */
                if (b->base + p + 1 >= rep && p + 1 >= rep && b_same4(b, p + 1, p + 1 - rep) &&
                    b_cap(b, p + 1, p + 1 - rep) > m) {
                    t = p + 1 - rep;
                    p = p + 1;
                    break;
                }
                uint32_t q = p;
                if (b_near(b, nx, k1)) {
                    uint32_t o1 = b_offset(b, k1);
                    if (b_same4(b, nx, o1)) {
                        uint32_t m1 = b_cap(b, nx, o1);
                        if (m1 > m) {
                            m = m1;
                            t = o1;
                            q = nx;
                        }
                    }
                    if (b_near(b, nx, k2)) {
                        uint32_t o2 = b_offset(b, k2);
                        if (b_same4(b, nx, o2) && b_cap(b, nx, o2) > m) {
                            t = o2;
                            q = nx;
                        }
                    }
                }
                p = q;
                break;
            }
        }
    }
    /* Extend. */
    uint32_t len = b_long(b, p, t);
    if (p + len < lim) {
        uint32_t hash = b_long_hash(load64(b->data + p + len));
        uint32_t k1 = b->longs[hash], k2 = b->longs_before[hash];
        const uint32_t x = p + 2;
        if (k1) {
            int64_t y = (int64_t)(k1 - 1) - b->base - len + 2;
            if ((int64_t)x - y < B_REACH) {
                uint32_t m;
                if (y < (int64_t)x && y + (int64_t)b->base >= 0 && (m = b_long(b, x, (uint32_t)y)) > len) {
                    t = (uint32_t)y;
                    p = x;
                    len = m;
                }
                if (k2) {
                    y = (int64_t)(k2 - 1) - b->base - len + 2;
                    if (y < (int64_t)x && (int64_t)x - y < B_REACH && y + (int64_t)b->base >= 0 &&
                        (m = b_long(b, x, (uint32_t)y)) > len) {
                        t = (uint32_t)y;
                        p = x;
                        len = m;
                    }
                }
            }
        }
    }
    /* Backwards. */
    while (t > 0 && p > done && b->data[t - 1] == b->data[p - 1]) {
        t--;
        p--;
        len++;
    }
    /* Emit. */
    b_literals(b, done, p);
    rep = p - t;
    {
        uint32_t left = len;
        while (left > 0) {
            uint32_t part = left <= LONGEST_MATCH ? left : left > 261 ? LONGEST_MATCH : 255;
            b->tokens[b->count++] = MATCH | (part - 3) << 16 | (rep - 1);
            left -= part;
        }
    }
    p += len;
    done = p;
    if (nx >= p) p = nx + 1;
    /* Fill in. */
    if (p >= lim) {
        for (uint32_t i = nx + 1; i + 8 < e; i += 2) b_put(b, i);
        goto finish;
    }
    for (uint32_t i = nx + 1; i + 1 < p; i += 2) {
        b_put(b, i);
        b_put_long(b, i + 1);
    }
    goto scan;
finish:
    if (done < e && b->count > 0) b_literals(b, done, e);
}

/* Close a Huffman block whose end is still owed. */
static void b_close(EncoderB *b, Output *out) {
    if (b->open.is_open) write_end_of_block(out, &b->open.lit);
    b->open.is_open = 0;
}

static void b_stored(EncoderB *b, Output *out) {
    b_close(b, out);
    write_stored(out, b->data + b->start, b->end - b->start);
}

static float as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* One rounding after a product and a sum. The product of two floats is exact in a double; the sum of
 * that and a float may not be, so its own rounding must not decide a tie: `odd` keeps the lost part. */
static float fused(float a, float b, float c) {
    double product = (double)a * (double)b, addend = (double)c, sum = product + addend;
    double back = sum - product, error = (product - (sum - back)) + (addend - back);
    if (error != 0) {
        uint64_t bits;
        memcpy(&bits, &sum, 8);
        if (!(bits & 1)) {
            if ((error > 0) == (sum > 0)) bits++;
            else bits--;
            memcpy(&sum, &bits, 8);
        }
    }
    return (float)sum;
}

/* 3.7: the logarithm as the producer's processor made it. */
static float b_log(float value, int rounding) {
    const float a = as_float(0xBEB08FF9), b = as_float(0x40019420), c = as_float(0x3F2CC4C7);
    uint32_t bits;
    memcpy(&bits, &value, 4);
    int exponent = (int)((bits >> 23) & 255) - 128;
    float w = as_float((bits & ~(255u << 23)) | (127u << 23));
    volatile float step, polynomial;
    if (rounding == 0) {
        step = a * w;
        step = step + b;
        polynomial = step * w;
        polynomial = polynomial - c;
    } else if (rounding == 1) {
        step = fused(a, w, b);
        polynomial = step * w;
        polynomial = polynomial - c;
    } else {
        step = fused(a, w, b);
        polynomial = fused(step, w, -c);
    }
    volatile float result = (float)exponent + polynomial;
    return result;
}

static float b_added(float sum, uint32_t count, float inverse, int rounding) {
    volatile float share = (float)count * inverse;
    float bits = -b_log(share, rounding);
    bits = bits < 1 ? 1 : bits > 15 ? 15 : bits;
    if (rounding) return fused(bits, (float)count, sum);
    volatile float term = bits * (float)count;
    volatile float result = sum + term;
    return result;
}

static uint64_t b_estimate(const uint32_t *F, const uint32_t *G, uint32_t count, int rounding) {
    volatile float inverse = 1.0f / (float)count, sum = 0;
    for (unsigned s = 0; s < 256; s++)
        if (F[s]) sum = b_added(sum, F[s], inverse, rounding);
    sum = sum + 15.0f;
    for (unsigned s = 257; s < LITERALS; s++)
        if (F[s]) sum = b_added(sum, F[s], inverse, rounding);
    inverse = 1.0f / (float)sum_of(G, DISTANCES);
    for (unsigned d = 0; d < DISTANCES; d++)
        if (G[d]) sum = b_added(sum, G[d], inverse, rounding);
    return (uint64_t)sum + extra_bits(F, G);
}

static int b_lacks(const uint32_t *counts, const Code *code, unsigned symbols) {
    for (unsigned s = 0; s < symbols; s++)
        if (counts[s] && !code->length[s]) return 1;
    return 0;
}

static void b_fixed(EncoderB *b, Output *out) {
    b_close(b, out);
    if (grow(out, 16)) put(out, 2, 3);
    write_tokens(out, b->tokens, b->count, &fixed_literals, &fixed_distances);
    write_end_of_block(out, &fixed_literals);
}

/* 3.6 */
static void b_token_block(EncoderB *b, Output *out, int last) {
    uint32_t F[LITERALS], G[DISTANCES];
    const uint32_t n = b->end - b->start, counted = last ? b->count + 1 : b->count;
    OpenBlock *open = &b->open;
    count_tokens(b->tokens, b->count, F, G);
    F[END_OF_BLOCK] = 1;
    const uint64_t raw = 8 * ((uint64_t)n + 5), x = extra_bits(F, G);
    const uint64_t fixed = 3 + cost(F, &fixed_literals, LITERALS) + 5 * sum_of(G, DISTANCES) + x;
    if (open->is_open && open->literal_only) b_close(b, out);
    if (open->is_open && (b_lacks(F, &open->lit, LITERALS) || b_lacks(G, &open->dist, DISTANCES))) b_close(b, out);
    if (open->is_open) {
        uint64_t fresh = open->header_size + b_estimate(F, G, counted, b->rounding), size;
        fresh += open->lit.length[END_OF_BLOCK] + (fresh >> 7);
        uint64_t keep = cost(F, &open->lit, LITERALS) + cost(G, &open->dist, DISTANCES) + x;
        if (fresh < keep) {
            b_close(b, out);
            size = fresh;
        } else {
            size = keep;
        }
        if (counted < 250 && fixed + 7 < size) {
            if (raw <= size) b_stored(b, out);
            else b_fixed(b, out);
            return;
        }
        if (raw <= size) {
            b_stored(b, out);
            return;
        }
    }
    if (!open->is_open) {
        Code lit, dist;
        Header header;
        unsigned nlit = LITERALS, ndist = DISTANCES;
        while (F[nlit - 1] == 0) nlit--;
        while (ndist > 0 && G[ndist - 1] == 0) ndist--;
        if (ndist == 0) {
            G[0] = 1;
            ndist = 1;
        }
        set_lengths(&lit, F, LITERALS, 15);
        set_lengths(&dist, G, DISTANCES, 15);
        plan_header(&header, &lit, nlit, &dist, ndist);
        uint64_t size = header.size + cost(F, &lit, LITERALS) + cost(G, &dist, DISTANCES) + x;
        if (counted < 250 && fixed <= size) {
            if (raw <= fixed) b_stored(b, out);
            else b_fixed(b, out);
            return;
        }
        if (raw <= size) {
            b_stored(b, out);
            return;
        }
        write_header(out, &header);
        open->header_size = header.size;
        open->lit = lit;
        open->dist = dist;
        open->is_open = 1;
        open->literal_only = 0;
    }
    write_tokens(out, b->tokens, b->count, &open->lit, &open->dist);
    if (last) b_close(b, out);
}

/* 3.8 */
static void b_literal_block(EncoderB *b, Output *out, int last) {
    uint32_t F[LITERALS] = {0};
    const uint32_t n = b->end - b->start;
    OpenBlock *open = &b->open;
    for (uint32_t p = b->start; p < b->end; p++) F[b->data[p]]++;
    F[END_OF_BLOCK] = 1;
    const uint64_t raw = 8 * ((uint64_t)n + 5);
    if (n > 1024) {
        uint64_t sum = 0;
        for (unsigned s = 0; s < 256; s++) {
            int64_t difference = 256 * (int64_t)F[s] - (int64_t)n;
            sum += (uint64_t)(difference * difference);
        }
        if (sum < 131072ull * n) {
            b_stored(b, out);
            return;
        }
    }
    Code lit;
    set_lengths(&lit, F, 257, 15);
    uint64_t need = cost(F, &lit, 257) + (open->is_open ? open->header_size : 560);
    need += need >> 7;
    if (raw <= need) {
        b_stored(b, out);
        return;
    }
    if (open->is_open) {
        uint64_t keep = b_lacks(F, &open->lit, 256) ? UINT64_MAX : cost(F, &open->lit, 256);
        if (need < keep) b_close(b, out);
    }
    if (!open->is_open) {
        Header header;
        Code dist;
        memset(&dist, 0, sizeof dist);
        dist.length[0] = 1;
        plan_header(&header, &lit, 257, &dist, 1);
        write_header(out, &header);
        open->header_size = header.size;
        open->lit = lit;
        memset(&open->dist, 0, sizeof open->dist);
        open->is_open = 1;
        open->literal_only = 1;
    }
    if (!grow(out, (size_t)n * 2 + 16)) return;
    for (uint32_t p = b->start; p < b->end; p++) put(out, open->lit.value[b->data[p]], open->lit.length[b->data[p]]);
    if (last) b_close(b, out);
}

/* 3.2: one input block, then room for the next one. */
static void b_block(EncoderB *b, Output *out, int last) {
    const uint32_t n = b->end - b->start;
    memset(b->data + b->end, 0, 16);
    if (last && n <= 32) {
        b_stored(b, out);
    } else if (last && n < 128) {
        b_literal_block(b, out, last);
    } else {
        b_parse(b);
        if (b->count == 0) b_stored(b, out);
        else if (b->count > n - (n >> 4)) b_literal_block(b, out, last);
        else b_token_block(b, out, last);
    }
    if (b->end > B_HISTORY) {
        uint32_t by = b->end - B_HISTORY;
        memmove(b->data, b->data + by, B_HISTORY);
        b->base += by;
        b->end = B_HISTORY;
    }
    b->start = b->end;
    if (b->base >= RENUMBER_AT) {
        uint32_t shift = b->base - 1;
        renumber(b->shorts, B_HASHES, shift);
        renumber(b->longs, B_HASHES, shift);
        renumber(b->longs_before, B_HASHES, shift);
        b->base = 1;
    }
}

static void b_write(EncoderB *b, Output *out, const uint8_t *data, size_t size) {
    while (size > 0 && !out->failed) {
        if (b->end - b->start == B_BLOCK) b_block(b, out, 0);
        size_t part = B_BLOCK - (b->end - b->start);
        if (part > size) part = size;
        memcpy(b->data + b->end, data, part);
        b->end += (uint32_t)part;
        data += part;
        size -= part;
    }
}

static void b_finish(EncoderB *b, Output *out) {
    if (b->end > b->start) b_block(b, out, 1);
    if (!grow(out, 16)) return;
    put(out, 3, 3);
    put(out, 0, 7);
    align(out);
}

/* --- the Python type ------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    EncoderA *a;
    EncoderB *b;
    Output out;
    int busy, finished;
} EncoderObject;

static PyObject *encoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    int kind, rounding = 0;
    static char *names[] = {"kind", "rounding", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "C|i", names, &kind, &rounding)) return NULL;
    if ((kind != 'A' && kind != 'B') || rounding < 0 || rounding > 2) {
        PyErr_SetString(PyExc_ValueError, "kind is A or B, rounding 0, 1 or 2");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    EncoderObject *self = (EncoderObject *)allocate(type, 0);
    if (!self) return NULL;
    if (kind == 'A') self->a = calloc(1, sizeof *self->a);
    else self->b = calloc(1, sizeof *self->b);
    if (!self->a && !self->b) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    if (self->a) self->a->length = 3;
    if (self->b) self->b->rounding = rounding;
    return (PyObject *)self;
}

static void encoder_dealloc(PyObject *object) {
    EncoderObject *self = (EncoderObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    free(self->a);
    free(self->b);
    free(self->out.data);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* What is complete so far, taken out of the output. */
static PyObject *taken(EncoderObject *self) {
    self->busy = 0;
    if (self->out.failed) return PyErr_NoMemory();
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)self->out.data, (Py_ssize_t)self->out.size);
    if (bytes) self->out.size = 0;
    return bytes;
}

static int begun(EncoderObject *self) {
    if (self->finished || self->busy) {
        PyErr_SetString(PyExc_ValueError, self->busy ? "another thread is writing" : "it was finished");
        return 0;
    }
    self->busy = 1;
    return 1;
}

static PyObject *encoder_write(PyObject *object, PyObject *data) {
    EncoderObject *self = (EncoderObject *)object;
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return NULL;
    if (!begun(self)) {
        PyBuffer_Release(&view);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    if (self->a) a_write(self->a, &self->out, view.buf, (size_t)view.len);
    else b_write(self->b, &self->out, view.buf, (size_t)view.len);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&view);
    return taken(self);
}

static PyObject *encoder_finish(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    EncoderObject *self = (EncoderObject *)object;
    if (!begun(self)) return NULL;
    self->finished = 1;
    Py_BEGIN_ALLOW_THREADS
    if (self->a) a_finish(self->a, &self->out);
    else b_finish(self->b, &self->out);
    Py_END_ALLOW_THREADS
    return taken(self);
}

static PyMethodDef encoder_methods[] = {
    {"write", encoder_write, METH_O, "Take input; return the output that is complete so far."},
    {"finish", encoder_finish, METH_NOARGS, "End the stream; return the rest of the output."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot encoder_slots[] = {
    {Py_tp_doc, "One raw DEFLATE stream as Go's standard library makes it: Encoder(kind, rounding=0)."},
    {Py_tp_new, encoder_new},
    {Py_tp_dealloc, encoder_dealloc},
    {Py_tp_methods, encoder_methods},
    {0, NULL},
};

static PyType_Spec encoder_spec = {
    .name = "bundler.compact._godeflate.Encoder",
    .basicsize = sizeof(EncoderObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = encoder_slots,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_godeflate", .m_doc = "The encoders of go_deflate_a and go_deflate_b, compiled.", .m_size = -1};

PyMODINIT_FUNC PyInit__godeflate(void) {
    make_tables();
    PyObject *result = PyModule_Create(&module);
    if (!result) return NULL;
    PyObject *type = PyType_FromSpec(&encoder_spec);
    if (!type || PyModule_AddObject(result, "Encoder", type) < 0) {
        Py_XDECREF(type);
        Py_DECREF(result);
        return NULL;
    }
    return result;
}
