/* The text that is logged, and the records it is logged in. */
#include "demo.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *const destination_names[DESTINATIONS] = {"app.log", "stdout", "metrics", "alerts",
                                                     "uplink"};

/* More is not needed: the text is gone through again and again. */
enum { TEXT_MAX = 8 * 1000 * 1000 };

static char *all;
static size_t all_len;

static void add_file(struct text *text, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "demo: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    all_len += fread(all + all_len, 1, TEXT_MAX - all_len, file);
    fclose(file);
    text->files++;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void add_tree(struct text *text, const char *path)
{
    struct dirent **entries;
    struct stat stat_of;
    int count;
    if (stat(path, &stat_of) != 0) {
        return;
    }
    if (S_ISREG(stat_of.st_mode)) {
        add_file(text, path);
        return;
    }
    count = scandir(path, &entries, is_visible, alphasort);
    for (int i = 0; i < count; i++) {
        char inner[4096];
        if (snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name) < (int)sizeof inner) {
            add_tree(text, inner);
        }
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
}

static void cut_into_lines(struct text *text)
{
    size_t room = 0;
    for (size_t at = 0; at < all_len;) {
        size_t left = all_len - at;
        size_t len = left < LINE_MAX_BYTES ? left : LINE_MAX_BYTES;
        const char *newline = memchr(all + at, '\n', len);
        if (newline != NULL) {
            len = (size_t)(newline - (all + at));
        }
        if (text->count == room) {
            room = room ? 2 * room : 4096;
            text->lines = realloc(text->lines, room * sizeof *text->lines);
            if (text->lines == NULL) {
                abort();
            }
        }
        text->lines[text->count++] = (struct line){all + at, (unsigned)len};
        at += len + (newline != NULL);
    }
}

/* FILE=path or the repository's own files. */
void text_load(struct text *text)
{
    const char *file = getenv("FILE");
    memset(text, 0, sizeof *text);
    all = malloc(TEXT_MAX);
    if (all == NULL) {
        abort();
    }
    if (file != NULL && file[0] != '\0') {
        add_file(text, file);
        snprintf(text->from, sizeof text->from, "%s", file);
    } else {
        static const char *const own[] = {"README.md", "include", "src", "c_tests", "tests"};
        for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
            add_tree(text, own[i]);
        }
        snprintf(text->from, sizeof text->from, "this repository's %zu files", text->files);
    }
    if (all_len == 0) {
        fprintf(stderr, "demo: no text to log: run it in the repository, or give FILE=path\n");
        exit(1);
    }
    text->bytes = all_len;
    cut_into_lines(text);
}

/* FNV-1a, over the frame before the sum and the line. */
static uint32_t checksum(const char *frame, size_t frame_len, const char *line, size_t line_len)
{
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < frame_len; i++) {
        sum = (sum ^ (unsigned char)frame[i]) * 16777619u;
    }
    for (size_t i = 0; i < line_len; i++) {
        sum = (sum ^ (unsigned char)line[i]) * 16777619u;
    }
    return sum;
}

/* Record `number` of a thread at a destination: always the same bytes, so that the observer can
   make it again. `stdout t3 #17 len 24 sum 0a1b2c3d: the line` */
size_t record_make(char record[RECORD_MAX], const struct text *text, enum destination to,
                   unsigned thread, uint64_t number)
{
    const struct line *line = &text->lines[(thread + number * THREADS) % text->count];
    size_t frame = (size_t)sprintf(record, "%s t%u #%" PRIu64 " len %u", destination_names[to],
                                   thread, number, line->len);
    uint32_t sum = checksum(record, frame, line->start, line->len);
    frame += (size_t)sprintf(record + frame, " sum %08" PRIx32 ": ", sum);
    memcpy(record + frame, line->start, line->len);
    record[frame + line->len] = '\n';
    return frame + line->len + 1;
}

int record_read(const char *data, size_t len, enum destination to, unsigned *thread,
                uint64_t *number, size_t *record_len)
{
    enum { FRAME_MAX = RECORD_MAX - LINE_MAX_BYTES };
    char frame[FRAME_MAX + 1], name[16];
    const char *end = memchr(data, ':', len < FRAME_MAX ? len : FRAME_MAX);
    unsigned line_len;
    uint32_t sum;
    size_t frame_len, summed_len;
    if (end == NULL) {
        return len < FRAME_MAX ? 0 : -1;
    }
    frame_len = (size_t)(end - data);
    memcpy(frame, data, frame_len);
    frame[frame_len] = '\0';
    if (sscanf(frame, "%15s t%u #%" SCNu64 " len %u sum %8" SCNx32, name, thread, number, &line_len,
               &sum) != 5 ||
        strcmp(name, destination_names[to]) != 0 || *thread >= THREADS ||
        line_len > LINE_MAX_BYTES) {
        return -1;
    }
    *record_len = frame_len + 2 + line_len + 1;
    if (*record_len > len) {
        return 0;
    }
    summed_len = (size_t)(strstr(frame, " sum ") - frame);
    if (data[*record_len - 1] != '\n' ||
        checksum(frame, summed_len, data + frame_len + 2, line_len) != sum) {
        return -1;
    }
    return 1;
}
