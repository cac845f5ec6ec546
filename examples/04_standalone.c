/*
 * A generated kernel in a C program of its own: no Python, no acegen, nothing to install.
 *
 *   cc -std=c11 -O2 -march=native -Igenerated/si examples/04_standalone.c generated/si/si.c -lm -o standalone
 *   ./standalone
 *
 * Builds a rattled diamond crystal of 64 silicon atoms, finds the neighbours with two plain loops over atoms and
 * periodic images, evaluates energy, forces and virial, and compares forces and virial with finite differences of
 * the energy.  Exit code 0 when they agree.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "si.h"

enum { N = 64, CELLS = 2, IMAGES = 27, MAX_EDGES = N * 128 };

static const double SKIN = 0.5; /* angstrom: the list stays complete while atoms move by less than half of it */

/* A full neighbour list in compressed rows: atom i owns edges first_edge[i] .. first_edge[i+1]-1. */
struct list {
    int64_t first_edge[N + 1];
    int32_t to[MAX_EDGES], shift[MAX_EDGES];
    double shifts[IMAGES][3];
};

/* Uniform in [-1, 1): a small generator, so that every machine builds the same crystal. */
static double noise(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 4503599627370496.0 - 1.0;
}

static void diamond(double a, double r[N][3])
{
    static const double BASIS[8][3] = {{0, 0, 0},       {0, .5, .5},     {.5, 0, .5},     {.5, .5, 0},
                                       {.25, .25, .25}, {.25, .75, .75}, {.75, .25, .75}, {.75, .75, .25}};
    uint64_t state = 1;
    for (int i = 0; i < N; i++) {
        const int cell[3] = {i / 8 % CELLS, i / 8 / CELLS % CELLS, i / 8 / CELLS / CELLS};
        for (int x = 0; x < 3; x++)
            r[i][x] = a * (cell[x] + BASIS[i % 8][x]) + 0.04 * noise(&state);
    }
}

/* All pairs of atoms and the 27 nearest images of a cubic cell: enough while the cell is longer than the cutoff. */
static int find_neighbours(double length, double reach, double r[N][3], struct list *list)
{
    int64_t n = 0;
    for (int s = 0; s < IMAGES; s++) {
        list->shifts[s][0] = length * (s % 3 - 1);
        list->shifts[s][1] = length * (s / 3 % 3 - 1);
        list->shifts[s][2] = length * (s / 9 - 1);
    }
    for (int i = 0; i < N; i++) {
        list->first_edge[i] = n;
        for (int j = 0; j < N; j++)
            for (int s = 0; s < IMAGES; s++) {
                double d2 = 0.0;
                for (int x = 0; x < 3; x++) {
                    const double d = r[j][x] + list->shifts[s][x] - r[i][x];
                    d2 += d * d;
                }
                if (d2 >= reach * reach || (i == j && s == IMAGES / 2))
                    continue;
                if (n == MAX_EDGES)
                    return 1;
                list->to[n] = j;
                list->shift[n++] = s;
            }
    }
    list->first_edge[N] = n;
    return 0;
}

struct result {
    double energy, forces[N][3], virial[3][3];
};

/* One call of the kernel; every argument is explained in si.h. */
static int evaluate(const struct list *list, double r[N][3], void *workspace, int64_t bytes, struct result *out)
{
    const int64_t first_atom[2] = {0, N};
    static const int32_t species[N]; /* all 0: Si */
    return si_evaluate(1, N, first_atom, species, list->first_edge, list->to, list->shift, &list->shifts[0][0],
                       &r[0][0], NULL, NULL, &out->energy, NULL, &out->forces[0][0], &out->virial[0][0], NULL, NULL,
                       NULL, 1, workspace, bytes);
}

/* Energy with atom `atom` moved along x by h; or, for atom < 0, with everything stretched by 1 + h along x. */
static double energy_at(const struct list *list, double r[N][3], void *workspace, int64_t bytes, int atom, int x,
                        double h)
{
    static double moved[N][3];
    static struct list stretched;
    static struct result out;
    stretched = *list;
    for (int i = 0; i < N; i++)
        for (int y = 0; y < 3; y++)
            moved[i][y] = r[i][y] * (atom < 0 && x == y ? 1.0 + h : 1.0) + (i == atom && x == y ? h : 0.0);
    for (int s = 0; s < IMAGES && atom < 0; s++)
        stretched.shifts[s][x] *= 1.0 + h;
    return evaluate(&stretched, moved, workspace, bytes, &out) ? NAN : out.energy;
}

/* Central differences with steps h and h/2, extrapolated: the error is of order h^4. */
static double slope(const struct list *list, double r[N][3], void *workspace, int64_t bytes, int atom, int x, double h)
{
    double s[2];
    for (int k = 0; k < 2; k++, h /= 2)
        s[k] = (energy_at(list, r, workspace, bytes, atom, x, h) - energy_at(list, r, workspace, bytes, atom, x, -h)) /
               (2 * h);
    return (4 * s[1] - s[0]) / 3;
}

int main(void)
{
    static double r[N][3];
    static struct list list;
    static struct result out;
    /* Compressed, so that no shell of neighbours straddles the cutoff: the second derivative of the envelope jumps
     * there, and finite differences would see it. */
    const double a = 5.2; /* angstrom */
    int most = 0;

    diamond(a, r);
    if (find_neighbours(CELLS * a, SI_CUTOFF + SKIN, r, &list)) {
        fprintf(stderr, "more than %d neighbours\n", MAX_EDGES);
        return 2;
    }
    for (int i = 0; i < N; i++)
        if (list.first_edge[i + 1] - list.first_edge[i] > most)
            most = (int)(list.first_edge[i + 1] - list.first_edge[i]);

    /* All the memory the kernel needs, once: it allocates nothing. */
    const int64_t bytes = si_workspace(N, most, 1);
    void *workspace = malloc((size_t)bytes);
    if (!workspace || evaluate(&list, r, workspace, bytes, &out)) {
        fprintf(stderr, "evaluation failed\n");
        return 2;
    }
    printf("%d atoms, %lld edges, energy %.10f eV\n", N, (long long)list.first_edge[N], out.energy);

    double error = 0.0, largest = 0.0, sum[3] = {0, 0, 0}, virial_error = 0.0;
    for (int i = 0; i < N; i++)
        for (int x = 0; x < 3; x++) {
            sum[x] += out.forces[i][x];
            largest = fmax(largest, fabs(out.forces[i][x]));
            error = fmax(error, fabs(out.forces[i][x] + slope(&list, r, workspace, bytes, i, x, 0.004)));
        }
    for (int x = 0; x < 3; x++) /* W_xx = -dE/d(strain) */
        virial_error = fmax(virial_error, fabs(out.virial[x][x] + slope(&list, r, workspace, bytes, -1, x, 0.0004)));
    free(workspace);

    printf("largest force %.6f eV/A, sum of forces %.1e %.1e %.1e\n", largest, sum[0], sum[1], sum[2]);
    printf("forces - finite differences: %.1e eV/A, virial - finite differences: %.1e eV\n", error, virial_error);
    const int good = error < 1e-7 * largest && virial_error < 1e-7 * fabs(out.virial[0][0]);
    puts(good ? "good" : "WRONG");
    return good ? 0 : 1;
}
