/* Atoms sorted by cell, and offsets from counts; joined to neighbours_grid.cu. */

/* Counters of the cells before atoms are counted. */
extern "C" __global__ void __launch_bounds__(SCAN_BLOCK) clear(int64 n, int *__restrict__ values)
{
    const int64 k = blockIdx.x * (int64)SCAN_BLOCK + threadIdx.x;
    if (k < n)
        values[k] = 0;
}

/* Cell of every atom, numbered through the batch, and its place within: in no particular order, see above. */
extern "C" __global__ void __launch_bounds__(SEARCH_BLOCK) bin(
    int64 n_atoms, int64 n_systems, const int64 *__restrict__ first_atom, const double *__restrict__ positions,
    const struct frame *__restrict__ frames, const struct grid *__restrict__ grids,
    const int64 *__restrict__ first_cell, int *__restrict__ counts, int64 *__restrict__ cell, int *__restrict__ place)
{
    const int64 i = blockIdx.x * (int64)SEARCH_BLOCK + threadIdx.x;
    if (i >= n_atoms)
        return;
    const int64 system = owner(first_atom, n_systems, i);
    const struct grid *grid = grids + system;
    double whole[3], inside[3], fractional[3];
    wrap(frames + system, positions + 3 * i, whole, inside, fractional);
    int64 own = 0;
    for (int a = 0; a < 3; a++) {
        const double at = (fractional[a] - grid->low[a]) * grid->scale[a];
        own = own * grid->cells[a] + (int64)fmin(fmax(at, 0.0), grid->cells[a] - 1.0);
    }
    own += first_cell[system];
    cell[i] = own;
    place[i] = atomicAdd(counts + own, 1);
}

/* The sum of `value` over all threads before this one; total[0] receives the sum over the block.
 *
 * All threads of the block must come here; sums[2][SCAN_BLOCK] is shared memory. */
static __device__ int64 block_scan(int64 value, int64 (*sums)[SCAN_BLOCK], int64 *total)
{
    int now = 0;
    const int t = (int)threadIdx.x;
    __syncthreads();
    sums[0][t] = value;
    for (int step = 1; step < SCAN_BLOCK; step *= 2) {
        __syncthreads();
        sums[1 - now][t] = sums[now][t] + (t >= step ? sums[now][t - step] : 0);
        now = 1 - now;
    }
    __syncthreads();
    *total = sums[now][SCAN_BLOCK - 1];
    return sums[now][t] - value;
}

/* Exclusive sums within parts of SCAN_PART numbers, and the sum of every part: one block a part. */
extern "C" __global__ void __launch_bounds__(SCAN_BLOCK) scan_parts(
    int64 n, const int *__restrict__ values, int64 *__restrict__ out, int64 *__restrict__ part_sums)
{
    __shared__ int64 sums[2][SCAN_BLOCK];
    const int64 start = blockIdx.x * (int64)SCAN_PART + threadIdx.x * SCAN_EACH;
    int64 own = 0, total;
    for (int k = 0; k < SCAN_EACH; k++)
        own += start + k < n ? values[start + k] : 0;
    int64 before = block_scan(own, sums, &total);
    for (int k = 0; k < SCAN_EACH; k++)
        if (start + k < n) {
            out[start + k] = before;
            before += values[start + k];
        }
    if (threadIdx.x == 0)
        part_sums[blockIdx.x] = total;
}

/* Exclusive sums of the sums of the parts, in place, and their total behind: one block. */
extern "C" __global__ void __launch_bounds__(SCAN_BLOCK) scan_sums(int64 n_parts, int64 *__restrict__ part_sums)
{
    __shared__ int64 sums[2][SCAN_BLOCK];
    int64 carried = 0, total;
    for (int64 start = 0; start < n_parts; start += SCAN_BLOCK) {
        const int64 k = start + threadIdx.x;
        const int64 before = block_scan(k < n_parts ? part_sums[k] : 0, sums, &total);
        if (k < n_parts)
            part_sums[k] = carried + before;
        carried += total;
    }
    if (threadIdx.x == 0)
        part_sums[n_parts] = carried;
}

/* Offsets of the whole: out[n + 1]. */
extern "C" __global__ void __launch_bounds__(SCAN_BLOCK) scan_add(
    int64 n, int64 n_parts, const int64 *__restrict__ part_sums, int64 *__restrict__ out)
{
    const int64 k = blockIdx.x * (int64)SCAN_BLOCK + threadIdx.x;
    if (k < n)
        out[k] += part_sums[k / SCAN_PART];
    if (k == n)
        out[n] = part_sums[n_parts];
}

/* An atom in the order of the cells. */
struct placed {
    double inside[3];
    int64 cell;
    int atom, boxes[3];
};

extern "C" __global__ void __launch_bounds__(SEARCH_BLOCK) scatter(
    int64 n_atoms, int64 n_systems, const int64 *__restrict__ first_atom, const double *__restrict__ positions,
    const struct frame *__restrict__ frames, const int64 *__restrict__ cell_start, const int64 *__restrict__ cell,
    const int *__restrict__ place, struct placed *__restrict__ placed)
{
    const int64 i = blockIdx.x * (int64)SEARCH_BLOCK + threadIdx.x;
    if (i >= n_atoms)
        return;
    double whole[3], inside[3], fractional[3];
    wrap(frames + owner(first_atom, n_systems, i), positions + 3 * i, whole, inside, fractional);
    struct placed *own = placed + cell_start[cell[i]] + place[i];
    for (int a = 0; a < 3; a++) {
        own->inside[a] = inside[a];
        own->boxes[a] = (int)whole[a];
    }
    own->cell = cell[i];
    own->atom = (int)i;
}
