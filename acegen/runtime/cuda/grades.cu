/*
 * Extrapolation grades: gamma_i = max_k |sum_b B_ib A_bk|, with A the inverse active set of the atom's species.
 *
 * A block is a tile of 32 atoms of one species (tile_atoms, -1 where there is none), a thread one column k at a time
 * for half of them. Every atom has its sums in the order of b: results repeat bit by bit.
 */

typedef long long int64;

#define TILE 32
#define HALF 16
#define THREADS 128
#define ROWS 64 /* functions whose values are in shared memory at a time */

static __device__ __forceinline__ double larger(double a, double b)
{
    return b > a || b != b ? b : a; /* what is no number wins, and stays: nothing is larger */
}

/* inverses: [n, n] of all species one after another; where: first number and n of each species */
extern "C" __global__ void __launch_bounds__(THREADS) grades(
    int64 n_basis, const int *tile_atoms, const int *species, const double *basis, const double *inverses,
    const int64 *where, double *gamma)
{
    __shared__ double values[ROWS][HALF];
    __shared__ double largest[HALF][THREADS];
    const int t = threadIdx.x;
    const int *const atoms = tile_atoms + (int64)blockIdx.x * TILE;
    const int a = species[atoms[0]]; /* the first is never empty */
    const double *const inverse = inverses + where[2 * a];
    const int64 n = where[2 * a + 1];
    for (int half = 0; half < TILE; half += HALF) {
        double best[HALF] = {};
        for (int64 start = 0; start < n; start += THREADS) {
            const int64 k = start + t;
            double sum[HALF] = {};
            for (int64 first = 0; first < n; first += ROWS) {
                const int count = n - first < ROWS ? (int)(n - first) : ROWS;
                __syncthreads(); /* all are done with what is there */
                for (int q = t; q < ROWS * HALF; q += THREADS) {
                    const int64 atom = atoms[half + q / ROWS];
                    const int b = q % ROWS;
                    values[b][q / ROWS] = atom >= 0 && b < count ? basis[atom * n_basis + first + b] : 0.0;
                }
                __syncthreads();
                if (k < n)
                    for (int b = 0; b < count; b++) {
                        const double factor = inverse[(first + b) * n + k];
#pragma unroll
                        for (int q = 0; q < HALF; q++)
                            sum[q] += values[b][q] * factor;
                    }
            }
#pragma unroll
            for (int q = 0; q < HALF; q++)
                best[q] = larger(best[q], fabs(sum[q]));
        }
#pragma unroll
        for (int q = 0; q < HALF; q++)
            largest[q][t] = best[q];
        __syncthreads();
        if (t < HALF && atoms[half + t] >= 0) {
            double found = 0.0;
            for (int q = 0; q < THREADS; q++)
                found = larger(found, largest[t][q]);
            gamma[atoms[half + t]] = found;
        }
    }
}
