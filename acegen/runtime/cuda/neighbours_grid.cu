/* Neighbour lists of a batch of structures on the GPU, and how far atoms have moved since one was made.
 *
 * Every structure is covered by a grid of cells about half a cutoff wide; atoms are sorted by cell, and a team of
 * 32 threads reads the columns of cells around one atom. Edges are ordered by centre, neighbour, translation.
 *
 * No result depends on the order in which threads run. The one atomic operation hands out places within a cell:
 * their order decides only in which order candidates are met, and the edges of every atom are sorted afterwards by
 * keys that are all different. Whether a pair is near enough is computed with written-out fused operations, each of
 * them odd in r: both directions of a pair and every kernel come to the same answer.
 *
 * Nothing here depends on a potential; lengths in angstrom, all arithmetic in double. */

typedef long long int64;

#define TEAM 32                  /* threads that share the search around one atom */
#define SEARCH_BLOCK 128
#define PART_BLOCK 256           /* threads of the blocks that work through part of a structure */
#define SCAN_BLOCK 256
#define SCAN_EACH 8              /* numbers per thread */
#define SCAN_PART (SCAN_BLOCK * SCAN_EACH)
#define MOST_CELLS 8             /* cells per atom; more would be empty */
#define FARTHEST 1000000.0       /* boxes an atom may lie away from the first one */
#define LARGEST_TABLE (1 << 22)  /* lattice translations one structure can tell apart */
#define N_LIMITS 7               /* -low and high of each direction, and whether a position is no number */
enum { NOT_FINITE = -1, TOO_FAR = -2 };

/* The cells of one structure. */
struct grid {
    double low[3], scale[3];  /* cell along a: (fractional - low) * scale */
    int cells[3];
    int reach[3];             /* cells to look at on either side */
    int most[3];              /* multiples of the box a translation can have either way */
    int unused;
};

/* One structure as the caller describes it: of open directions the box has a unit vector normal to all others. */
struct frame {
    double box[9], inverse[9];  /* rows; fractional = Cartesian . inverse */
    int64 periodic[3];
};

/* Index k with first[k] <= at < first[k + 1]. */
static __device__ int64 owner(const int64 *__restrict__ first, int64 n, int64 at)
{
    int64 low = 0, high = n;
    while (high - low > 1) {
        const int64 middle = low + (high - low) / 2;
        if (first[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* v . m, or v' = base + sign v . m for a base of zero and others. */
static __device__ void add_product(
    const double base[3], double sign, const double v[3], const double *__restrict__ m, double out[3])
{
    for (int c = 0; c < 3; c++)
        out[c] = fma(sign * v[0], m[c], fma(sign * v[1], m[3 + c], fma(sign * v[2], m[6 + c], base[c])));
}

/* Boxes an atom lies away from the first one, and where it lies within: Cartesian and fractional. */
static __device__ void wrap(
    const struct frame *frame, const double *__restrict__ position, double whole[3], double inside[3],
    double fractional[3])
{
    const double none[3] = {0.0, 0.0, 0.0}, place[3] = {position[0], position[1], position[2]};
    double s[3];
    add_product(none, 1.0, place, frame->inverse, s);
    for (int a = 0; a < 3; a++)
        whole[a] = frame->periodic[a] ? floor(s[a]) : 0.0;
    add_product(place, -1.0, whole, frame->box, inside);
    add_product(none, 1.0, inside, frame->inverse, fractional);
}

/* The largest value of every row of 256, by a fixed tree; all threads of the block must come here. */
static __device__ void block_maxima(double (*values)[PART_BLOCK], int rows)
{
    for (int half = PART_BLOCK / 2; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half)
            for (int r = 0; r < rows; r++)
                values[r][threadIdx.x] = fmax(values[r][threadIdx.x], values[r][threadIdx.x + half]);
    }
    __syncthreads();
}

/* Extent of part of a structure: limits[n_systems][n_parts][7]; one block a part. */
extern "C" __global__ void __launch_bounds__(PART_BLOCK) bounds(
    int64 n_parts, int64 part_atoms, const int64 *__restrict__ first_atom, const double *__restrict__ positions,
    const struct frame *__restrict__ frames, double *__restrict__ limits)
{
    __shared__ double most[N_LIMITS][PART_BLOCK];
    const int64 system = blockIdx.x / n_parts, part = blockIdx.x % n_parts;
    const int64 start = first_atom[system] + part * part_atoms, end = first_atom[system + 1];
    const int64 stop = end < start + part_atoms ? end : start + part_atoms;
    for (int k = 0; k < N_LIMITS; k++)
        most[k][threadIdx.x] = k < N_LIMITS - 1 ? -1e300 : 0.0;
    for (int64 i = start + threadIdx.x; i < stop; i += PART_BLOCK) {
        double whole[3], inside[3], fractional[3];
        wrap(frames + system, positions + 3 * i, whole, inside, fractional);
        for (int a = 0; a < 3; a++) {
            const double at = frames[system].periodic[a] ? whole[a] : fractional[a];
            most[2 * a][threadIdx.x] = fmax(most[2 * a][threadIdx.x], -at);
            most[2 * a + 1][threadIdx.x] = fmax(most[2 * a + 1][threadIdx.x], at);
            if (!(fabs(fractional[a]) < 1e300))
                most[N_LIMITS - 1][threadIdx.x] = 1.0;
        }
    }
    block_maxima(most, N_LIMITS);
    if (threadIdx.x < N_LIMITS)
        limits[blockIdx.x * (int64)N_LIMITS + threadIdx.x] = most[threadIdx.x][0];
}

/* Number and width of the cells along each direction; the width of open directions is that of the atoms. */
static __device__ void divide(
    struct grid *grid, const struct frame *frame, const double most[N_LIMITS], int64 n_atoms, double cutoff)
{
    double width[3];
    for (int a = 0; a < 3; a++) {
        const double *v = frame->inverse + a;
        const double low = frame->periodic[a] ? 0.0 : -most[2 * a], high = frame->periodic[a] ? 1.0 : most[2 * a + 1];
        width[a] = (high - low) / sqrt(v[0] * v[0] + v[3] * v[3] + v[6] * v[6]);
        grid->low[a] = low;
        grid->scale[a] = high > low ? 1.0 / (high - low) : 0.0;
        grid->cells[a] = (int)fmin(fmax(2.0 * width[a] / cutoff, 1.0), 1e6);
    }
    while ((double)grid->cells[0] * grid->cells[1] * grid->cells[2] > (double)(MOST_CELLS * n_atoms + 64)) {
        int a = grid->cells[1] > grid->cells[0];
        a = grid->cells[2] > grid->cells[a] ? 2 : a;
        grid->cells[a] = (grid->cells[a] + 1) / 2;
    }
    for (int a = 0; a < 3; a++) {
        const int cells = grid->cells[a];
        grid->scale[a] *= cells;
        grid->reach[a] = 0;
        if (frame->periodic[a] || cells > 1) /* the margin covers the rounding of atoms many boxes away */
            grid->reach[a] = (int)(cutoff * cells / width[a] * (1.0 + 1e-12) + 1e-7) + 1;
        if (!frame->periodic[a] && grid->reach[a] > cells)
            grid->reach[a] = cells;
    }
}

/* The grid of every structure, and its numbers of cells and translations: sizes[n_systems][2], negative: a problem. */
extern "C" __global__ void __launch_bounds__(SEARCH_BLOCK) grids(
    int64 n_systems, int64 n_parts, double cutoff, const int64 *__restrict__ first_atom,
    const struct frame *__restrict__ frames, const double *__restrict__ limits, struct grid *__restrict__ out,
    int *__restrict__ sizes)
{
    const int64 system = blockIdx.x * (int64)SEARCH_BLOCK + threadIdx.x;
    if (system >= n_systems)
        return;
    const int64 n_atoms = first_atom[system + 1] - first_atom[system];
    double most[N_LIMITS] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
    for (int64 part = 0; part < n_parts; part++)
        for (int k = 0; k < N_LIMITS; k++) {
            const double value = limits[(system * n_parts + part) * N_LIMITS + k];
            most[k] = part > 0 ? fmax(most[k], value) : n_atoms > 0 ? value : 0.0;
        }
    struct grid grid;
    grid.unused = 0;
    double codes = 1.0;
    int problem = most[N_LIMITS - 1] > 0.0 ? NOT_FINITE : 0;
    for (int k = 0; k < N_LIMITS; k++)
        if (problem || n_atoms == 0)
            most[k] = 0.0;
    divide(&grid, frames + system, most, n_atoms, cutoff);
    for (int a = 0; a < 3; a++) {
        double images = 0.0;
        if (frames[system].periodic[a]) {
            images = (double)((grid.reach[a] + grid.cells[a] - 1) / grid.cells[a]) + most[2 * a] + most[2 * a + 1];
            if (!(most[2 * a] < FARTHEST && most[2 * a + 1] < FARTHEST))
                problem = TOO_FAR;
        }
        grid.most[a] = (int)fmin(images, 4.0 * FARTHEST);
        codes *= 2.0 * images + 1.0;
    }
    if (codes > (double)LARGEST_TABLE && !problem)
        problem = TOO_FAR;
    out[system] = grid;
    sizes[2 * system] = grid.cells[0] * grid.cells[1] * grid.cells[2];
    sizes[2 * system + 1] = problem ? problem : n_atoms > 0 ? (int)codes : 1;
}
