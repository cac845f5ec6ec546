/*
 * Self-test of cuau: cc -O2 *.c -lm && ./a.out
 * Reference energies and forces are those of acegen's interpreter, which shares no code with the
 * kernel.
 */
#include "cuau.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define N_ATOMS 8
#define N_EDGES 56

/* largest error allowed, relative to the largest value: the arithmetic of the kernel decides */
#ifndef ACEGEN_TOLERANCE
#define ACEGEN_TOLERANCE 0.0001
#endif
#if defined(ACEGEN_REAL) /* it may be built for another precision than its own */
#define TOLERANCE \
    (sizeof(ACEGEN_REAL) < sizeof(double) && ACEGEN_TOLERANCE < 1e-4 ? 1e-4 : ACEGEN_TOLERANCE)
#else
#define TOLERANCE ACEGEN_TOLERANCE
#endif

static const int32_t SPECIES[N_ATOMS] = {
    0, 1, 0, 1, 0, 1, 0, 1
};

static const double POSITIONS[N_ATOMS][3] = {
    {0.0658, 0.2025, -0.118},
    {2.3029, 0.1624, 0.1303},
    {-0.196, 2.3952, 0.2165},
    {2.499, 2.2523, 0.0334},
    {0.2141, -0.0886, 2.2837},
    {2.6128, 0.1558, 2.297},
    {-0.1099, 2.6813, 2.5317},
    {2.2541, 2.4752, 2.6959},
};

static const int64_t FIRST_EDGE[N_ATOMS + 1] = {
    0, 7, 14, 21, 28, 35, 42, 49, 56
};

static const int32_t EDGE_TO[N_EDGES] = {
    1, 2, 3, 4, 5, 6, 7, 0, 2, 3, 4, 5, 6, 7, 0, 1, 3, 4, 5, 6, 7, 0, 1, 2, 4, 5, 6, 7, 0, 1, 2, 3,
    5, 6, 7, 0, 1, 2, 3, 4, 6, 7, 0, 1, 2, 3, 4, 5, 7, 0, 1, 2, 3, 4, 5, 6
};

static const double E0[2] = {0.0, 0.0}; /* eV, reference energies */

static const double ENERGIES[N_ATOMS] = { /* eV, without the reference energies */
    0.269712134967,
    -0.145166566749,
    0.077172962658,
    -0.292038120869,
    0.597249298711,
    -0.433914525224,
    0.426151107984,
    -0.111123776034,
};

static const double FORCES[N_ATOMS][3] = { /* eV/A */
    {-0.77508909173, 2.1548905062, 1.79578749109},
    {0.31329704173, -0.07877375645, 0.79444774883},
    {0.26127479377, -1.86993030844, 1.48375653371},
    {-0.03391600928, -0.72658505515, 0.96323309886},
    {-0.14433207087, -0.35715740539, -1.91069028927},
    {0.48922024024, 0.93665810532, -0.94301414856},
    {-0.79116234781, 0.27617294003, -1.92252002462},
    {0.68070744395, -0.33527502611, -0.26100041005},
};

/* of a and |b|; not a number where b is not, which no comparison below finds good */
static double largest(double a, double b) { return fabs(b) <= a || a != a ? a : fabs(b); }

int main(void)
{
    const int64_t first_atom[2] = {0, N_ATOMS};
    const int64_t bytes = cuau_workspace(N_ATOMS, N_ATOMS, 1);
    void *workspace = malloc((size_t)bytes);
    double energy, energies[N_ATOMS], forces[N_ATOMS][3], virial[9];
    double e_error = 0.0, e_size = 1.0, e0_size = 0.0, f_error = 0.0, f_size = 1e-3;

    if (!workspace)
        return 2;
    const int code = cuau_evaluate(1, N_ATOMS, first_atom, SPECIES, FIRST_EDGE, EDGE_TO, NULL, NULL,
        &POSITIONS[0][0], NULL, NULL, &energy, energies, &forces[0][0], virial, NULL, NULL, NULL,
            1, workspace, bytes);
    free(workspace);
    if (code) {
        printf("cuau: evaluate returned %d\n", code);
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
    printf("cuau: energy %.12g eV, ", energy);
    printf("largest error of site energies %.1e eV, of forces %.1e eV/A: ", e_error, f_error);
    puts(good ? "good" : "WRONG");
    return good ? 0 : 1;
}
