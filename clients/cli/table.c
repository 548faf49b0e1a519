/* SPDX-License-Identifier: Apache-2.0
 *
 * table.c -- see table.h. */
#include "clients/cli/table.h"

#include <facenet_client.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS   "file,face,faces,x,y,width,height,score,model,crop"
#define N_COLUMNS 10
#define MAX_FIELD 4200 /* a path, each byte a quote, and then some */

void cli_table_write_header(FILE *to, size_t embedding_size) {
    (void)fputs(COLUMNS, to);
    for (size_t i = 0; i < embedding_size; i++) (void)fprintf(to, ",e%zu", i);
    (void)fputc('\n', to);
}

static void write_text(FILE *to, const char *text) {
    bool plain = !strpbrk(text, ",\"\r\n");
    if (!plain) (void)fputc('"', to);
    for (; *text; text++) {
        if (*text == '"') (void)fputc('"', to);
        (void)fputc(*text, to);
    }
    if (!plain) (void)fputc('"', to);
}

static void write_place(FILE *to, const struct facenet_faces *faces, size_t i) {
    const double *box = facenet_faces_box(faces, i);
    double score = facenet_faces_score(faces, i);
    if (!box) {
        (void)fputs(",,,,,", to);
        return;
    }
    for (int k = 0; k < 4; k++) (void)fprintf(to, ",%.9g", box[k]);
    (void)fputc(',', to);
    if (!isnan(score)) (void)fprintf(to, "%.9g", score);
}

void cli_table_write(FILE *to, const char *name, const struct facenet_faces *faces,
                     bool with_embeddings) {
    size_t n = facenet_faces_count(faces);
    for (size_t i = 0; i < (n ? n : 1); i++) {
        size_t length = 0;
        const float *embedding = facenet_faces_embedding(faces, i, &length);
        write_text(to, name);
        if (n)
            (void)fprintf(to, ",%zu,%zu", i, n);
        else
            (void)fputs(",,0", to);
        write_place(to, faces, i);
        (void)fputc(',', to);
        write_text(to, facenet_faces_model(faces));
        (void)fputc(',', to);
        write_text(to, facenet_faces_crop(faces));
        for (size_t k = 0; with_embeddings && k < length; k++)
            (void)fprintf(to, ",%.9g", (double)embedding[k]);
        (void)fputc('\n', to);
    }
}

struct row {
    char field[N_COLUMNS][MAX_FIELD];
};

/* One row from *at on; false when it does not end, or is no row of ours. */
static bool read_row(const char *text, size_t size, size_t *at, struct row *ret_row) {
    size_t column = 0, used = 0;
    bool quoted = false;
    for (size_t k = 0; k < N_COLUMNS; k++) ret_row->field[k][0] = '\0';
    for (size_t i = *at; i < size; i++) {
        char c = text[i];
        if (quoted && c == '"' && i + 1 < size && text[i + 1] == '"') {
            i++;
        } else if (c == '"') {
            quoted = !quoted;
            continue;
        } else if (!quoted && c == ',') {
            column++;
            used = 0;
            continue;
        } else if (!quoted && c == '\n') {
            *at = i + 1;
            return column + 1 >= N_COLUMNS;
        }
        if (column >= N_COLUMNS) continue;
        if (used + 1 >= MAX_FIELD) return false;
        ret_row->field[column][used++] = c;
        ret_row->field[column][used] = '\0';
    }
    return false;
}

/* Rows of one picture follow each other; only the last picture's may be incomplete. */
struct reader {
    struct cli_table *table;
    char name[MAX_FIELD];
    unsigned long expected, seen;
};

static void note_maker(struct cli_table *table, const struct row *row) {
    const char *model = row->field[8], *crop = row->field[9];
    if (!table->model[0]) {
        (void)snprintf(table->model, sizeof table->model, "%.79s", model);
        (void)snprintf(table->crop, sizeof table->crop, "%.79s", crop);
    }
    table->mixed |= strcmp(table->model, model) != 0 || strcmp(table->crop, crop) != 0;
}

/* False: the row does not follow from those before, or no memory. */
static bool take_row(struct reader *reader, const struct row *row, size_t end) {
    struct cli_table *table = reader->table;
    char *stop;
    unsigned long faces = strtoul(row->field[2], &stop, 10);
    if (stop == row->field[2] || *stop) return false;
    if (reader->seen == reader->expected) {
        (void)snprintf(reader->name, sizeof reader->name, "%s", row->field[0]);
        reader->expected = faces ? faces : 1;
        reader->seen = 0;
    } else if (strcmp(reader->name, row->field[0]) != 0) {
        return false;
    }
    note_maker(table, row);
    if (++reader->seen < reader->expected) return true;
    table->good_size = end;
    table->n_faces += faces;
    return cli_names_add(&table->names, reader->name);
}

bool cli_table_read(const char *text, size_t size, size_t embedding_size,
                    struct cli_table *ret_table) {
    char *header = NULL;
    size_t header_size = 0, at;
    struct row *row = malloc(sizeof *row);
    struct cli_table table = {.n_faces = 0};
    struct reader *reader = calloc(1, sizeof *reader);
    FILE *memory = open_memstream(&header, &header_size);
    bool ok = row && reader && memory;
    if (memory) {
        cli_table_write_header(memory, embedding_size);
        ok = fclose(memory) == 0 && ok;
    }
    ok = ok && size >= header_size && memcmp(text, header, header_size) == 0;
    if (ok) {
        reader->table = &table;
        table.good_size = at = header_size;
        while (at < size && read_row(text, size, &at, row) && take_row(reader, row, at)) continue;
        cli_names_sort(&table.names);
        *ret_table = table;
    }
    free(header);
    free(row);
    free(reader);
    return ok;
}
