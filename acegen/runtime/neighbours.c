/* Neighbour search of a batch of structures, and how far atoms have moved since one.
 *
 * Every structure is covered by a grid of cells about half a cutoff wide. Atoms are sorted by cell, so that the
 * cells of one column lie behind one another in memory and a centre reads a few long runs of candidates.
 * Compiled into the cache by search.py; nothing here depends on a potential. */
#include "grid.h"

#define BUFFER 512 /* neighbours found before they are written */

/* Where the edges go: written up to the capacity, counted beyond. */
struct edges {
    int64_t n_edges, n_shifts, edge_capacity, shift_capacity;
    int32_t *to, *shift;            /* [edge_capacity] */
    int32_t *multiples, *system;    /* [shift_capacity][3], [shift_capacity] */
    int wanted;                     /* any translation but zero was met */
};

/* A row of the table of translations for `code`. */
static int32_t new_shift(const struct grid *grid, struct edges *out, int64_t code, int32_t system)
{
    const int64_t at = out->n_shifts++;
    if (code != grid->origin)
        out->wanted = 1;
    if (at < out->shift_capacity) {
        out->system[at] = system;
        for (int a = 2; a >= 0; a--) {
            out->multiples[3 * at + a] = (int32_t)(code % grid->span[a] - grid->span[a] / 2);
            code /= grid->span[a];
        }
    }
    return (int32_t)at;
}

/* Candidates that were near enough: place in the order of the cells, and code of the box they were seen in. */
struct found {
    int64_t n;
    int32_t place[BUFFER], box[BUFFER];
};

static void write_found(
    const struct grid *grid, struct atoms *atoms, struct found *found, struct edges *out, int64_t own_code,
    int32_t first_atom, int32_t system)
{
    for (int64_t f = 0; f < found->n; f++) {
        const int32_t p = found->place[f];
        const int64_t code = grid->origin + found->box[f] + own_code - atoms->code[p];
        if (atoms->row[code] < 0)
            atoms->row[code] = new_shift(grid, out, code, system);
        if (out->n_edges < out->edge_capacity) {
            out->to[out->n_edges] = first_atom + atoms->atom[p];
            out->shift[out->n_edges] = atoms->row[code];
        }
        out->n_edges++;
    }
    found->n = 0;
}

/* Everything that stays the same for one structure. */
struct search {
    const struct grid *grid;
    struct atoms *atoms;
    struct edges *out;
    struct found found;
    double square_cutoff;
    int32_t first_atom, system;
};

/* Candidates p0 <= p < p1, seen `shift` away from their places; `self` is left out. */
static void search_run(
    struct search *s, int64_t p0, int64_t p1, int64_t self, const double centre[3], int64_t box, int64_t own_code)
{
    const double *x = s->atoms->x, *y = s->atoms->y, *z = s->atoms->z;
    while (p0 < p1) {
        int64_t n = s->found.n;
        const int64_t stop = p1 - p0 < BUFFER - n ? p1 : p0 + BUFFER - n;
        for (int64_t p = p0; p < stop; p++) { /* every candidate is written, only near ones are kept */
            const double dx = x[p] - centre[0], dy = y[p] - centre[1], dz = z[p] - centre[2];
            s->found.place[n] = (int32_t)p;
            s->found.box[n] = (int32_t)box;
            n += (dx * dx + dy * dy + dz * dz < s->square_cutoff) & (p != self);
        }
        p0 = stop;
        s->found.n = n;
        if (n > BUFFER / 2)
            write_found(s->grid, s->atoms, &s->found, s->out, own_code, s->first_atom, s->system);
    }
}

/* One column of cells: the cells along the last direction, box by box. */
static void search_column(
    struct search *s, const int64_t cell[3], int64_t column, const int64_t box[2], int64_t p, int64_t own_code)
{
    const struct grid *grid = s->grid;
    const int64_t n = grid->cells[2], from = cell[2] - grid->reach[2], to = cell[2] + grid->reach[2];
    const int64_t first = grid->periodic[2] ? floor_divide(from, n) : 0;
    const int64_t last = grid->periodic[2] ? floor_divide(to, n) : 0;
    for (int64_t b = first; b <= last; b++) {
        const int64_t low = from > b * n ? from - b * n : 0, high = to < b * n + n - 1 ? to - b * n : n - 1;
        const int64_t p0 = s->atoms->start[column * n + low], p1 = s->atoms->start[column * n + high + 1];
        const int same = b == 0 && box[0] == 0 && box[1] == 0;
        double centre[3] = {s->atoms->x[p], s->atoms->y[p], s->atoms->z[p]};
        for (int c = 0; c < 3; c++)
            centre[c] -= (double)box[0] * grid->box[0][c] + (double)box[1] * grid->box[1][c]
                + (double)b * grid->box[2][c];
        search_run(s, p0, p1, same ? p : -1, centre, code_of(grid, box[0], box[1], b), own_code);
    }
}

static void search_centre(struct search *s, int64_t i)
{
    const struct grid *grid = s->grid;
    const int64_t *n = grid->cells, *reach = grid->reach, p = s->atoms->place[i];
    const int64_t own_code = s->atoms->code[p], own_cell = s->atoms->cell[i];
    const int64_t cell[3] = {own_cell / (n[1] * n[2]), own_cell / n[2] % n[1], own_cell % n[2]};
    for (int64_t c0 = cell[0] - reach[0]; c0 <= cell[0] + reach[0]; c0++) {
        const int64_t b0 = floor_divide(c0, n[0]);
        if (b0 != 0 && !grid->periodic[0])
            continue;
        for (int64_t c1 = cell[1] - reach[1]; c1 <= cell[1] + reach[1]; c1++) {
            const int64_t b1 = floor_divide(c1, n[1]);
            if (b1 != 0 && !grid->periodic[1])
                continue;
            const int64_t box[2] = {b0, b1};
            search_column(s, cell, (c0 - b0 * n[0]) * n[1] + c1 - b1 * n[1], box, p, own_code);
        }
    }
    write_found(grid, s->atoms, &s->found, s->out, own_code, s->first_atom, s->system);
}

static int search_structure(
    struct grid *grid, struct atoms *atoms, struct edges *out, int64_t first_atom, int64_t n, int32_t system,
    const double *positions, double cutoff, int64_t *first_edge)
{
    if (wrap(grid, atoms, n, positions) != GOOD)
        return TOO_FAR;
    divide(grid, atoms, n, cutoff);
    if (number_translations(grid, atoms, n) != GOOD)
        return TOO_FAR;
    if (make_room(atoms, grid) != GOOD)
        return NO_MEMORY;
    sort_by_cell(grid, atoms, n, positions);
    memset(atoms->row, 0xff, (size_t)grid->n_codes * sizeof(int32_t));
    struct search s = {
        .grid = grid, .atoms = atoms, .out = out, .square_cutoff = cutoff * cutoff,
        .first_atom = (int32_t)first_atom, .system = system,
    };
    for (int64_t i = 0; i < n; i++) {
        search_centre(&s, i);
        first_edge[i + 1] = out->n_edges;
    }
    return GOOD;
}

/* Room for n atoms in one piece of memory, to be freed by the caller. */
static char *lay_out(struct atoms *atoms, int64_t n)
{
    const int64_t bytes = n * (int64_t)(6 * sizeof(double) + 4 * sizeof(int32_t) + 3 * sizeof(int64_t));
    char *memory = malloc((size_t)(bytes > 0 ? bytes : 1));
    if (!memory)
        return NULL;
    atoms->fractional = (double *)(void *)memory;
    atoms->x = atoms->fractional + 3 * n;
    atoms->y = atoms->x + n;
    atoms->z = atoms->y + n;
    atoms->cell = (int64_t *)(void *)(atoms->z + n);
    atoms->place = atoms->cell + n;
    atoms->code = atoms->place + n;
    atoms->boxes = (int32_t *)(void *)(atoms->code + n);
    atoms->atom = atoms->boxes + 3 * n;
    return memory;
}

int acegen_search(
    int64_t n_systems, const int64_t *first_atom, const double *positions, const double *boxes,
    const int32_t *periodic, double cutoff, int64_t *first_edge, int64_t edge_capacity, int32_t *edge_to,
    int32_t *edge_shift, int64_t shift_capacity, int32_t *multiples, int32_t *systems, int64_t *counts);

/* All ordered pairs closer than `cutoff`, sorted by centre; no atom is paired with its own place.
 *
 * boxes [n_systems][3][3], periodic [n_systems][3], first_edge [n_atoms + 1]; edge_to and edge_shift
 * [edge_capacity]; multiples [shift_capacity][3] and systems [shift_capacity] of the translations.
 * counts: edges and translations found (more than the capacity: call again with room), and whether any
 * translation is not zero. */
int acegen_search(
    int64_t n_systems, const int64_t *first_atom, const double *positions, const double *boxes,
    const int32_t *periodic, double cutoff, int64_t *first_edge, int64_t edge_capacity, int32_t *edge_to,
    int32_t *edge_shift, int64_t shift_capacity, int32_t *multiples, int32_t *systems, int64_t *counts)
{
    struct edges out = {
        .edge_capacity = edge_capacity, .shift_capacity = shift_capacity, .to = edge_to, .shift = edge_shift,
        .multiples = multiples, .system = systems,
    };
    struct atoms atoms = {.row = NULL};
    int64_t most = 0;
    int result = GOOD;
    for (int64_t s = 0; s < n_systems; s++)
        most = first_atom[s + 1] - first_atom[s] > most ? first_atom[s + 1] - first_atom[s] : most;
    char *memory = lay_out(&atoms, most);
    if (!memory)
        return NO_MEMORY;
    first_edge[0] = 0;
    for (int64_t s = 0; s < n_systems && result == GOOD; s++) {
        const int64_t first = first_atom[s], n = first_atom[s + 1] - first;
        struct grid grid;
        memcpy(grid.box, boxes + 9 * s, sizeof grid.box);
        invert(grid.box, grid.inverse);
        for (int a = 0; a < 3; a++)
            grid.periodic[a] = periodic[3 * s + a];
        if (n > 0)
            result = search_structure(
                &grid, &atoms, &out, first, n, (int32_t)s, positions + 3 * first, cutoff, first_edge + first);
    }
    counts[0] = out.n_edges, counts[1] = out.n_shifts, counts[2] = out.wanted;
    free(memory);
    free(atoms.start);
    free(atoms.row);
    return result;
}

double acegen_farthest(int64_t n_atoms, const double *now, const double *then);

/* Largest |u - mean u| of the displacements u = now - then; not finite when one of them is not. */
double acegen_farthest(int64_t n_atoms, const double *now, const double *then)
{
    double mean[3] = {0.0}, most = 0.0;
    for (int64_t i = 0; i < n_atoms; i++)
        for (int c = 0; c < 3; c++)
            mean[c] += now[3 * i + c] - then[3 * i + c];
    for (int c = 0; c < 3; c++)
        mean[c] /= n_atoms > 0 ? (double)n_atoms : 1.0;
    for (int64_t i = 0; i < n_atoms; i++) {
        double square = 0.0;
        for (int c = 0; c < 3; c++) {
            const double u = now[3 * i + c] - then[3 * i + c] - mean[c];
            square += u * u;
        }
        most = square <= most ? most : square;
    }
    return sqrt(most);
}
