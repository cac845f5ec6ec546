/*
 * Self-test of si_pair: cc -O2 *.c -lm && ./a.out
 * Reference energies and forces are those of acegen's interpreter, which shares no code with the
 * kernel.
 */
#include "si_pair.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define N_ATOMS 8
#define N_EDGES 56

/* largest error allowed, relative to the largest value: the arithmetic of the kernel decides */
#ifndef ACEGEN_TOLERANCE
#define ACEGEN_TOLERANCE 1e-10
#endif
#if defined(ACEGEN_REAL) /* it may be built for another precision than its own */
#define TOLERANCE \
    (sizeof(ACEGEN_REAL) < sizeof(double) && ACEGEN_TOLERANCE < 1e-4 ? 1e-4 : ACEGEN_TOLERANCE)
#else
#define TOLERANCE ACEGEN_TOLERANCE
#endif

static const int32_t SPECIES[N_ATOMS] = {
    0, 0, 0, 0, 0, 0, 0, 0
};

static const double POSITIONS[N_ATOMS][3] = {
    {0.0598, 0.1841, -0.1073},
    {2.0935, 0.1476, 0.1184},
    {-0.1781, 2.1775, 0.1968},
    {2.2718, 2.0475, 0.0304},
    {0.1946, -0.0805, 2.0761},
    {2.3753, 0.1416, 2.0882},
    {-0.0999, 2.4375, 2.3016},
    {2.0492, 2.2502, 2.4508},
};

static const int64_t FIRST_EDGE[N_ATOMS + 1] = {
    0, 7, 14, 21, 28, 35, 42, 49, 56
};

static const int32_t EDGE_TO[N_EDGES] = {
    1, 2, 3, 4, 5, 6, 7, 0, 2, 3, 4, 5, 6, 7, 0, 1, 3, 4, 5, 6, 7, 0, 1, 2, 4, 5, 6, 7, 0, 1, 2, 3,
    5, 6, 7, 0, 1, 2, 3, 4, 6, 7, 0, 1, 2, 3, 4, 5, 7, 0, 1, 2, 3, 4, 5, 6
};

static const double E0[1] = {-158.5}; /* eV, reference energies */

static const double ENERGIES[N_ATOMS] = { /* eV, without the reference energies */
    0.447923213939,
    0.756453059497,
    0.35812356036,
    0.36731998426,
    0.240071154492,
    0.402180516271,
    0.165610428133,
    0.226716268984,
};

static const double FORCES[N_ATOMS][3] = { /* eV/A */
    {-1.72175910872, -1.71825545478, -1.68084035215},
    {1.33153393698, -2.28486869407, -1.71112599777},
    {-0.75619318742, 1.78437890927, -1.33099312541},
    {0.6553280989, 2.10714949113, -0.52842706544},
    {-1.10426130766, -0.62438595629, 1.09387405917},
    {1.72930302478, -1.16965646618, 1.81892121272},
    {-1.36216473592, 0.57531049147, 1.52267622101},
    {1.22821327906, 1.33032767944, 0.81591504787},
};

/* of a and |b|; not a number where b is not, which no comparison below finds good */
static double largest(double a, double b) { return fabs(b) <= a || a != a ? a : fabs(b); }

int main(void)
{
    const int64_t first_atom[2] = {0, N_ATOMS};
    const int64_t bytes = si_pair_workspace(N_ATOMS, N_ATOMS, 1);
    void *workspace = malloc((size_t)bytes);
    double energy, energies[N_ATOMS], forces[N_ATOMS][3], virial[9];
    double e_error = 0.0, e_size = 1.0, e0_size = 0.0, f_error = 0.0, f_size = 1e-3;

    if (!workspace)
        return 2;
    const int code = si_pair_evaluate(1, N_ATOMS, first_atom, SPECIES, FIRST_EDGE, EDGE_TO, NULL,
        NULL,
        &POSITIONS[0][0], NULL, NULL, &energy, energies, &forces[0][0], virial, NULL, NULL, NULL,
            1, workspace, bytes);
    free(workspace);
    if (code) {
        printf("si_pair: evaluate returned %d\n", code);
        return 1;
    }
    for (int i = 0; i < N_ATOMS; i++) {
        e_error = largest(e_error, energies[i] - E0[SPECIES[i]] - ENERGIES[i]);
        e0_size = largest(e0_size, E0[SPECIES[i]]);
        e_size = largest(e_size, ENERGIES[i]);
        for (int x = 0; x < 3; x++) {
            f_error = largest(f_error, forces[i][x] - FORCES[i][x]);
            f_size = largest(f_size, FORCES[i][x]);
        }
    }
    /* energies of atoms are numbers of 16 digits with E0 among them */
    const double e_limit = TOLERANCE * e_size + 1e-15 * e0_size, f_limit = TOLERANCE * f_size;
    const int good = e_error <= e_limit && f_error <= f_limit;
    printf("si_pair: energy %.12g eV, ", energy);
    printf("largest error of site energies %.1e eV, of forces %.1e eV/A: ", e_error, f_error);
    puts(good ? "good" : "WRONG");
    return good ? 0 : 1;
}
