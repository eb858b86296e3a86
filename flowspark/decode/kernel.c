/* The decoder's inner loops. rules.py says the same in plain Python, line by line; where the two differ, this file is wrong.

   Python calls four functions, one after the other, on each block of whole lines:

     flowspark_tokens    where each value and each line ends
     flowspark_evaluate  what each line is: blank, a record, rejected, or maybe a header
     flowspark_count     adds flows to a table of counts by protocol and dstport
     flowspark_texts     the texts of one column, as Arrow lays them out

   All memory is made by Python (arrays.py), which passes the address of one `struct work`. Nothing is allocated here, no C
   library is used, and nothing can fail. Positions are counted in bytes from `data`, lines and values from 0, as in Python.
   An array that is written is written nowhere else than the comments of `struct work` say. The machine is little-endian. */

#include <stdint.h>

/* Python's mirror of this struct is arrays.Work. "Bytes" are those of the block, from `start` to `stop`. */
struct work {
    const uint8_t *data;   /* the block, whose last byte is an LF; 64 bytes after it are read too, whatever they are */
    int32_t *ends;         /* the position after each value; room for bytes / 2 + 8 */
    int32_t *feeds;        /* the position before the first line, then that of each line's LF; room for bytes + 1 */
    int32_t *firsts;       /* the number of each line's first value, and then the number of all values; room for bytes + 1 */
    const int64_t *plan;   /* for each column of numbers: its place in a line or -1, its lowest and its highest number */
    int64_t *values;       /* the numbers, column after column, each with room for `most_rows` */
    uint8_t *missing;      /* 1 where there is no number, laid out as `values` */
    int32_t *lines;        /* the line of each row; room for `most_rows` */
    int32_t *keys;         /* protocol * PORTS + dstport of each flow; room for `most_rows` */
    int32_t *rejected;     /* the line, then the reason, of each rejected line; room for twice `most_rejects` */
    int64_t most_rows, most_rejects;
    int64_t columns;       /* how many columns of numbers there are; the first two are dstport and protocol */
    int64_t fields;        /* how many values a record has */
    int64_t status;        /* the place of log-status in a line, or -1 */
    int64_t rows, flows, nodata, skipdata, blank, rejects; /* what was found so far; Python sets them to 0 */
    int64_t may_be_header; /* whether the last rejected line could be a header: then Python takes a look */
};

enum { FIELD_COUNT = 1, BAD_STATUS, BAD_NUMBER, OUT_OF_RANGE, MISSING }; /* a line's reason is the lowest (rule 9) */
enum { FLOW, NODATA, SKIPDATA };
enum { PORTS = 65537, NO_PORT = 65536, NO_PROTOCOL = 256 };
enum { SHORTEST_HEADER = 3 }; /* no field has a shorter name than "end" */

/* From which text this object was compiled: the first eight bytes of its SHA-256 (scripts/build_kernel.py). Python compares
   it with this file, because an object that was left over from an older one may lay out `struct work` differently. */
const uint64_t flowspark_source = SOURCE;

/* ---------------------------------------------------------------------------------------------------------------- tokens */

typedef uint8_t bytes64 __attribute__((ext_vector_type(64)));
typedef _Bool bits64 __attribute__((ext_vector_type(64)));

/* The bytes that equal `byte`, as a bit mask: bit k stands for chunk[k]. The compiler makes vector instructions of it. */
static inline uint64_t mask(bytes64 chunk, uint8_t byte) {
    bits64 same = __builtin_convertvector(chunk == byte, bits64);
    uint64_t bits;
    __builtin_memcpy(&bits, &same, sizeof bits);
    return bits;
}

/* Fills `ends`, `feeds` and `firsts` for the block from `start` to `stop`, and returns the number of its lines.

   Space, tab, LF and the CR of a CRLF stand between values. Such a byte ends a value if the byte before it does not stand
   between values. If `open_end`, the last LF is not in the file, so a CR before it belongs to the value. 64 bytes are looked
   at at a time:

     bytes    2 . 4 4 3 . . 6 n 1 7 . 1 n     (. is a space, n an LF)
     between  0 1 0 0 0 1 1 0 1 0 0 1 0 1
     before   1 0 1 0 0 0 1 1 0 1 0 0 1 0     the same, one byte later
     found    0 1 0 0 0 1 0 0 1 0 0 1 0 1     between, and not before: where 2, 443, 6, 17 and 1 end */
int64_t flowspark_tokens(struct work *work, int64_t start, int64_t stop, int64_t open_end) {
    const uint8_t *data = work->data;
    int32_t *ends = work->ends, *feeds = work->feeds, *firsts = work->firsts;
    int64_t values = 0, lines = 0;
    uint64_t before = 1; /* the byte before the block counts as an LF */
    feeds[0] = (int32_t)(start - 1);
    firsts[0] = 0;
    for (int64_t at = start; at < stop; at += 64) {
        bytes64 chunk;
        __builtin_memcpy(&chunk, data + at, sizeof chunk);
        uint64_t inside = stop - at < 64 ? (1ULL << (stop - at)) - 1 : ~0ULL;
        uint64_t breaks = mask(chunk, '\n') & inside;
        uint64_t between = (mask(chunk, ' ') | mask(chunk, '\t')) & inside;
        uint64_t returns = mask(chunk, '\r');
        if (returns) {
            uint64_t next_break = at + 64 < stop && data[at + 64] == '\n';
            int64_t last = stop - 2 - at; /* the byte before the last LF */
            if (open_end && last >= 0 && last < 64) returns &= ~(1ULL << last);
            between |= returns & (breaks >> 1 | next_break << 63);
        }
        between |= breaks;
        uint64_t found = between & ~(between << 1 | before);
        before = between >> 63;
        for (uint64_t left = breaks; left; left &= left - 1) { /* left & (left - 1) is `left` without its lowest bit */
            uint64_t up_to_here = left ^ (left - 1);
            lines++;
            feeds[lines] = (int32_t)(at + __builtin_ctzll(left));
            firsts[lines] = (int32_t)(values + __builtin_popcountll(found & up_to_here));
        }
        int64_t many = __builtin_popcountll(found);
        for (int64_t done = 0; done < many; done += 8) { /* eight at a time, of which up to seven are written for nothing */
            for (int k = 0; k < 8; k++) {
                ends[values + done + k] = (int32_t)(at + __builtin_ctzg(found, 64));
                found &= found - 1;
            }
        }
        values += many;
    }
    return lines;
}

/* -------------------------------------------------------------------------------------------------------------- evaluate */

/* Where the value in a place of a line starts: after the value before it, or the line's start, and after blanks. */
static inline int64_t value_start(const struct work *work, int64_t line, int64_t place) {
    int64_t value = work->firsts[line] + place;
    int64_t at = (place ? work->ends[value - 1] : work->feeds[line]) + 1;
    while (work->data[at] == ' ' || work->data[at] == '\t') at++; /* stops at the value's first byte */
    return at;
}

/* The number that up to eight ASCII digits spell, or -1 if there is another byte (SWAR: one register, eight digits).
   The word is shifted so that the last digit is its highest byte; zeros come in below, and count as leading zeros. Then
   neighbours are joined: eight digits to four numbers of two, to two of four, to one of eight. */
static inline int64_t eight_digits(const uint8_t *first, int64_t length) {
    uint64_t word;
    __builtin_memcpy(&word, first, sizeof word);
    word = (word ^ 0x3030303030303030) << (64 - 8 * length); /* "0" to "9" become 0 to 9, all else becomes more than 9 */
    if (((word + 0x7676767676767676) | word) & 0x8080808080808080) return -1; /* 10 + 0x76 sets a byte's highest bit */
    word = (word * 10 + (word >> 8)) & 0x00FF00FF00FF00FF;
    word = (word * 100 + (word >> 16)) & 0x0000FFFF0000FFFF;
    return (int64_t)((word * 10000 + (word >> 32)) & 0xFFFFFFFF);
}

/* Reads a value as a number: an optional minus and ASCII digits, within the bounds. Returns 0, or MISSING for "-", or the
   reason that rejects the line. A number below zero has one more value than one above, so it is built up below zero. */
static inline int number(const uint8_t *data, int64_t start, int64_t end, int64_t low, int64_t high, int64_t *result) {
    int64_t value = end - start <= 8 ? eight_digits(data + start, end - start) : -1;
    if (value < 0) {
        int minus = data[start] == '-', overflow = 0;
        start += minus;
        if (start == end) return MISSING;
        value = 0;
        for (; start < end; start++) {
            uint8_t digit = (uint8_t)(data[start] - '0');
            if (digit > 9) return BAD_NUMBER;
            overflow |= __builtin_mul_overflow(value, (int64_t)10, &value);
            overflow |= __builtin_sub_overflow(value, (int64_t)digit, &value);
        }
        if (!minus) overflow |= __builtin_sub_overflow((int64_t)0, value, &value);
        if (overflow) return OUT_OF_RANGE;
    }
    if (value < low || value > high) return OUT_OF_RANGE;
    *result = value;
    return 0;
}

/* Whether a value is spelt as the given word. */
static inline int spells(const uint8_t *data, int64_t start, int64_t end, const char *word) {
    for (; start < end && *word; start++, word++)
        if (data[start] != (uint8_t)*word) return 0;
    return start == end && !*word;
}

/* Whether all values of a line could be names of fields: a small letter, then small letters, digits and hyphens. */
static int names(const uint8_t *data, int64_t start, int64_t stop) {
    int first = 1; /* whether a value begins here */
    if (stop - start < SHORTEST_HEADER) return 0;
    if (data[stop - 1] == '\r') stop--;
    for (; start < stop; start++) {
        uint8_t byte = data[start];
        int letter = byte >= 'a' && byte <= 'z', other = (byte >= '0' && byte <= '9') || byte == '-';
        if (byte == ' ' || byte == '\t') first = 1;
        else if (letter || (other && !first)) first = 0;
        else return 0;
    }
    return 1;
}

/* What a line with the right number of values is (rule 1): sets `kind` and its numbers at `row`, and returns 0 or a reason. */
static inline int record(const struct work *work, int64_t line, int64_t row, int *kind) {
    int unknown = 1, reason = 0; /* unknown: without a status, ports and protocol decide */
    *kind = FLOW;
    if (work->status >= 0) {
        int64_t start = value_start(work, line, work->status), end = work->ends[work->firsts[line] + work->status];
        unknown = spells(work->data, start, end, "-");
        if (spells(work->data, start, end, "NODATA")) *kind = NODATA;
        else if (spells(work->data, start, end, "SKIPDATA")) *kind = SKIPDATA;
        else if (!unknown && !spells(work->data, start, end, "OK")) return BAD_STATUS;
    }
    for (int64_t column = 0; column < work->columns; column++) {
        const int64_t *plan = work->plan + 3 * column;
        int64_t place = plan[0], at = column * work->most_rows + row, value = 0;
        int found = MISSING;
        if (place >= 0) {
            int64_t end = work->ends[work->firsts[line] + place];
            found = number(work->data, value_start(work, line, place), end, plan[1], plan[2], &value);
        }
        if (found && found != MISSING && (!reason || found < reason)) reason = found;
        work->values[at] = value;
        work->missing[at] = found == MISSING;
    }
    if (unknown && (work->missing[row] || work->missing[work->most_rows + row])) *kind = NODATA;
    return reason;
}

/* Evaluates the lines from `line` to `last` and returns the line to go on with. It stops early when an array is full, or
   after a rejected line that may be a header. Only rejected lines can be headers: a field's name is neither a log-status
   nor, where the layout has no log-status, a dstport. */
int64_t flowspark_evaluate(struct work *work, int64_t line, int64_t last) {
    struct work now = *work; /* a copy that no other pointer leads to: the compiler can keep it in registers */
    now.may_be_header = 0;
    while (line < last && !now.may_be_header) {
        int64_t found = now.firsts[line + 1] - now.firsts[line];
        if (!found) {
            now.blank++;
        } else if (now.rows == now.most_rows || now.rejects == now.most_rejects) {
            break;
        } else {
            int kind = FLOW, reason = found == now.fields ? record(&now, line, now.rows, &kind) : FIELD_COUNT;
            if (reason) {
                now.may_be_header = names(now.data, now.feeds[line] + 1, now.feeds[line + 1]);
                now.rejected[2 * now.rejects] = (int32_t)line;
                now.rejected[2 * now.rejects + 1] = reason;
                now.rejects++;
            } else {
                if (kind == FLOW) {
                    int64_t port = now.missing[now.rows] ? NO_PORT : now.values[now.rows];
                    int64_t other = now.most_rows + now.rows;
                    int64_t protocol = now.missing[other] ? NO_PROTOCOL : now.values[other];
                    now.keys[now.flows++] = (int32_t)(protocol * PORTS + port);
                }
                now.nodata += kind == NODATA;
                now.skipdata += kind == SKIPDATA;
                now.lines[now.rows++] = (int32_t)line;
            }
        }
        line++;
    }
    *work = now;
    return line;
}

/* ------------------------------------------------------------------------------------------------------ counts and texts */

/* Counts each of `many` keys in a table of 257 * PORTS counts, and marks its protocol in `seen` (257 bytes), so that only
   the parts of the table that were written need to be read. */
void flowspark_count(const int32_t *keys, int64_t many, uint32_t *table, uint8_t *seen) {
    for (int64_t at = 0; at < many; at++) {
        table[keys[at]]++;
        seen[keys[at] / PORTS] = 1;
    }
}

/* Writes the texts of one column of all rows: their bytes one after the other, the edges between them (one more than rows),
   and a bit for each row in `valid`, which is all zeros before, and stays zero for the value "-". Returns 0 if all bytes
   are ASCII. Sixteen bytes are copied at a time, so `bytes` needs room for the texts and 15 more. */
int64_t flowspark_texts(const struct work *work, int64_t place, int32_t *edges, uint8_t *valid, uint8_t *bytes) {
    typedef uint64_t words __attribute__((ext_vector_type(2)));
    const struct work now = *work;
    words all = 0;
    int64_t size = 0;
    edges[0] = 0;
    for (int64_t row = 0; row < now.rows; row++) {
        int64_t start = value_start(&now, now.lines[row], place), end = now.ends[now.firsts[now.lines[row]] + place];
        if (end - start != 1 || now.data[start] != '-') {
            valid[row / 8] |= (uint8_t)(1 << row % 8);
            for (int64_t at = start; at < end; at += 16) {
                words part;
                __builtin_memcpy(&part, now.data + at, sizeof part);
                __builtin_memcpy(bytes + size + (at - start), &part, sizeof part);
                all |= part;
            }
            size += end - start;
        }
        edges[row + 1] = (int32_t)size;
    }
    return ((all.x | all.y) & 0x8080808080808080) != 0;
}
