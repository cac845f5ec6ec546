/* Cells of one structure: atoms wrapped into the box and sorted by cell, and codes for lattice translations. */
#ifndef ACEGEN_GRID_H
#define ACEGEN_GRID_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { GOOD, NO_MEMORY, TOO_FAR }; /* what acegen_search returns */
#define MOST_CELLS 8            /* cells per atom; more would be empty */
#define FARTHEST 1000000.0      /* boxes an atom may lie away from the first one */
#define LARGEST_TABLE (1 << 24) /* lattice translations one structure can tell apart */

/* One structure: its box, and the cells that cover it. */
struct grid {
    double box[3][3];         /* rows; of open directions a unit vector normal to all others */
    double inverse[3][3];     /* fractional = Cartesian . inverse */
    int periodic[3];
    double low[3], scale[3];  /* cell along a: (fractional - low) * scale */
    int64_t cells[3];
    int64_t reach[3];         /* cells to look at on either side */
    int64_t span[3], origin;  /* code of a translation: (s0 span1 + s1) span2 + s2 + origin, >= 0 */
    int64_t n_codes;
};

/* Atoms of one structure, first in their own order and then by cell. */
struct atoms {
    double *fractional;             /* [n][3] inside the box along periodic directions */
    int32_t *boxes;                 /* [n][3] boxes away from the first one */
    int64_t *cell;                  /* [n] */
    int64_t *place;                 /* [n] rank in the order of the cells */
    int64_t *start;                 /* [n_cells + 1] */
    double *x, *y, *z;              /* [n] by cell, inside the box */
    int32_t *atom;                  /* [n] by cell */
    int64_t *code;                  /* [n] by cell: code of `boxes` */
    int32_t *row;                   /* [n_codes] row of a translation, -1: not met yet */
    int64_t n_rows, n_start;        /* room in row and start */
};

static int64_t floor_divide(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

static void invert(double m[3][3], double out[3][3])
{
    double determinant = 0.0;
    for (int a = 0; a < 3; a++) {
        const int b = (a + 1) % 3, c = (a + 2) % 3;
        for (int k = 0; k < 3; k++) {
            const int p = (k + 1) % 3, q = (k + 2) % 3;
            out[k][a] = m[b][p] * m[c][q] - m[b][q] * m[c][p];
        }
        if (a == 0)
            for (int k = 0; k < 3; k++)
                determinant += m[0][k] * out[k][0];
    }
    for (int k = 0; k < 9; k++)
        (&out[0][0])[k] /= determinant;
}

/* Fractional coordinates, wrapped into the box along periodic directions; TOO_FAR when that loses digits. */
static int wrap(const struct grid *grid, struct atoms *atoms, int64_t n, const double *positions)
{
    for (int64_t i = 0; i < n; i++)
        for (int a = 0; a < 3; a++) {
            double s = 0.0, whole = 0.0;
            for (int c = 0; c < 3; c++)
                s += positions[3 * i + c] * grid->inverse[c][a];
            if (grid->periodic[a])
                whole = floor(s);
            if (!(fabs(whole) < FARTHEST))
                return TOO_FAR;
            atoms->fractional[3 * i + a] = s - whole;
            atoms->boxes[3 * i + a] = (int32_t)whole;
        }
    return GOOD;
}

/* Number and width of the cells along each direction. */
static void divide(struct grid *grid, const struct atoms *atoms, int64_t n, double cutoff)
{
    double width[3];
    for (int a = 0; a < 3; a++) {
        double norm = 0.0, low = 0.0, high = 1.0;
        for (int c = 0; c < 3; c++)
            norm += grid->inverse[c][a] * grid->inverse[c][a];
        if (!grid->periodic[a]) {
            low = high = atoms->fractional[a];
            for (int64_t i = 1; i < n; i++) {
                low = fmin(low, atoms->fractional[3 * i + a]);
                high = fmax(high, atoms->fractional[3 * i + a]);
            }
        }
        grid->low[a] = low;
        grid->scale[a] = high > low ? 1.0 / (high - low) : 0.0;
        width[a] = (high - low) / sqrt(norm);
        grid->cells[a] = (int64_t)fmin(fmax(2.0 * width[a] / cutoff, 1.0), 1e6);
    }
    while ((double)grid->cells[0] * (double)grid->cells[1] * (double)grid->cells[2] > (double)(MOST_CELLS * n + 64)) {
        int most = grid->cells[1] > grid->cells[0];
        most = grid->cells[2] > grid->cells[most] ? 2 : most;
        grid->cells[most] = (grid->cells[most] + 1) / 2;
    }
    for (int a = 0; a < 3; a++) {
        const int64_t cells = grid->cells[a];
        grid->scale[a] *= (double)cells;
        grid->reach[a] = 0;
        if (grid->periodic[a] || cells > 1)
            grid->reach[a] = (int64_t)(cutoff * (double)cells / width[a] * (1.0 + 1e-12)) + 1;
        if (!grid->periodic[a] && grid->reach[a] > cells)
            grid->reach[a] = cells;
    }
}

/* Codes of all translations an edge of this structure can have. */
static int number_translations(struct grid *grid, const struct atoms *atoms, int64_t n)
{
    int64_t most[3];
    for (int a = 0; a < 3; a++) {
        int32_t low = atoms->boxes[a], high = low;
        for (int64_t i = 1; i < n; i++) {
            const int32_t k = atoms->boxes[3 * i + a];
            low = k < low ? k : low;
            high = k > high ? k : high;
        }
        most[a] = grid->periodic[a] ? (grid->reach[a] + grid->cells[a] - 1) / grid->cells[a] + high - low : 0;
        grid->span[a] = 2 * most[a] + 1;
    }
    if ((double)grid->span[0] * (double)grid->span[1] * (double)grid->span[2] > LARGEST_TABLE)
        return TOO_FAR;
    grid->n_codes = grid->span[0] * grid->span[1] * grid->span[2];
    grid->origin = (most[0] * grid->span[1] + most[1]) * grid->span[2] + most[2];
    return GOOD;
}

static int64_t code_of(const struct grid *grid, int64_t s0, int64_t s1, int64_t s2)
{
    return (s0 * grid->span[1] + s1) * grid->span[2] + s2;
}

static int make_room(struct atoms *atoms, const struct grid *grid)
{
    const int64_t n_start = grid->cells[0] * grid->cells[1] * grid->cells[2] + 1;
    if (n_start > atoms->n_start) {
        free(atoms->start);
        atoms->start = malloc((size_t)n_start * sizeof(int64_t));
        atoms->n_start = n_start;
    }
    if (grid->n_codes > atoms->n_rows) {
        free(atoms->row);
        atoms->row = malloc((size_t)grid->n_codes * sizeof(int32_t));
        atoms->n_rows = grid->n_codes;
    }
    return atoms->start && atoms->row ? GOOD : NO_MEMORY;
}

/* Counting sort of the atoms by cell. */
static void sort_by_cell(const struct grid *grid, struct atoms *atoms, int64_t n, const double *positions)
{
    const int64_t n_cells = grid->cells[0] * grid->cells[1] * grid->cells[2];
    memset(atoms->start, 0, (size_t)(n_cells + 1) * sizeof(int64_t));
    for (int64_t i = 0; i < n; i++) {
        int64_t cell = 0;
        for (int a = 0; a < 3; a++) {
            int64_t k = (int64_t)((atoms->fractional[3 * i + a] - grid->low[a]) * grid->scale[a]);
            k = k < grid->cells[a] ? k : grid->cells[a] - 1;
            cell = cell * grid->cells[a] + k;
        }
        atoms->cell[i] = cell;
        atoms->start[cell + 1]++;
    }
    for (int64_t c = 0; c < n_cells; c++)
        atoms->start[c + 1] += atoms->start[c];
    for (int64_t i = n - 1; i >= 0; i--) { /* backwards: start[c + 1] ends as the first atom of cell c */
        const int64_t p = --atoms->start[atoms->cell[i] + 1];
        const int32_t *k = atoms->boxes + 3 * i;
        double r[3];
        for (int c = 0; c < 3; c++)
            r[c] = positions[3 * i + c]
                - (k[0] * grid->box[0][c] + k[1] * grid->box[1][c] + k[2] * grid->box[2][c]);
        atoms->x[p] = r[0], atoms->y[p] = r[1], atoms->z[p] = r[2];
        atoms->atom[p] = (int32_t)i;
        atoms->code[p] = code_of(grid, k[0], k[1], k[2]);
        atoms->place[i] = p;
    }
    memmove(atoms->start, atoms->start + 1, (size_t)n_cells * sizeof(int64_t));
    atoms->start[n_cells] = n;
}

#endif
