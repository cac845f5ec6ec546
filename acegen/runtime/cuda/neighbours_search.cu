/* Edges, their reverse edges and the table of translations; joined to neighbours_sort.cu. */

/* What the threads of a team know of their centre. */
struct centre {
    struct placed own;
    int64 at;                       /* its place in the order of the cells */
    const struct frame *frame;
    const struct grid *grid;
    const int64 *cell_start;        /* of the cells of this structure */
    const struct placed *placed;
    double square_cutoff;
    int64 first_shift;
};

static __device__ int floor_divide(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

/* Sorts edges by neighbour and then by translation, whose row it holds. */
static __device__ int64 key_of(const struct centre *centre, const struct placed *other, const int box[3])
{
    const struct grid *grid = centre->grid;
    int64 code = 0;
    for (int a = 0; a < 3; a++) {
        const int multiple = box[a] + centre->own.boxes[a] - other->boxes[a];
        code = code * (2 * grid->most[a] + 1) + multiple + grid->most[a];
    }
    return (int64)other->atom << 32 | (centre->first_shift + code);
}

/* Every step-th candidate from `from` on of one run of cells, seen `box` boxes away; found keys are written. */
static __device__ int search_run(
    const struct centre *centre, int64 from, int64 to, int step, const int box[3], int64 *__restrict__ keys)
{
    const double away[3] = {(double)box[0], (double)box[1], (double)box[2]}, none[3] = {0.0, 0.0, 0.0};
    const int self = box[0] == 0 && box[1] == 0 && box[2] == 0;
    double shift[3];
    int found = 0;
    add_product(none, 1.0, away, centre->frame->box, shift);
    for (int64 p = from; p < to; p += step) {
        const struct placed *other = centre->placed + p;
        double r[3];
        for (int c = 0; c < 3; c++)
            r[c] = (other->inside[c] - centre->own.inside[c]) + shift[c];
        if (fma(r[0], r[0], fma(r[1], r[1], r[2] * r[2])) < centre->square_cutoff && !(self && p == centre->at)) {
            if (keys)
                keys[found] = key_of(centre, other, box);
            found++;
        }
    }
    return found;
}

/* One thread's share of the search around a centre: columns of cells, or parts of them where there are few. */
static __device__ int search(const struct centre *centre, int lane, int64 *__restrict__ keys)
{
    const struct grid *grid = centre->grid;
    const int *n = grid->cells, *reach = grid->reach, wide = 2 * reach[1] + 1;
    const int columns = (2 * reach[0] + 1) * wide, parts = columns < TEAM ? TEAM / columns : 1;
    const int own = (int)centre->own.cell, cell[3] = {own / (n[1] * n[2]), own / n[2] % n[1], own % n[2]};
    const int from = cell[2] - reach[2], to = cell[2] + reach[2];
    const int first = grid->reach[2] ? floor_divide(from, n[2]) : 0, last = grid->reach[2] ? floor_divide(to, n[2]) : 0;
    int found = 0;
    for (int work = lane; work < columns * parts; work += TEAM) {
        const int c0 = cell[0] - reach[0] + work / parts / wide, c1 = cell[1] - reach[1] + work / parts % wide;
        int box[3] = {floor_divide(c0, n[0]), floor_divide(c1, n[1]), 0};
        if ((box[0] != 0 && !centre->frame->periodic[0]) || (box[1] != 0 && !centre->frame->periodic[1]))
            continue;
        const int64 column = ((int64)(c0 - box[0] * n[0]) * n[1] + (c1 - box[1] * n[1])) * n[2];
        for (int b = first; b <= last; b++) {
            if (b != 0 && !centre->frame->periodic[2])
                continue;
            const int low = from > b * n[2] ? from - b * n[2] : 0;
            const int high = to < b * n[2] + n[2] - 1 ? to - b * n[2] : n[2] - 1;
            const int64 *start = centre->cell_start + column;
            box[2] = b;
            found += search_run(
                centre, start[low] + work % parts, start[high + 1], parts, box, keys ? keys + found : keys);
        }
    }
    return found;
}

/* Everything a search needs, in one argument for both of its passes; pointers as the kernels receive them. */
#define SEARCH_ARGUMENTS                                                                                              \
    int64 n_atoms, int64 n_systems, double cutoff, const int64 *__restrict__ first_atom,                              \
        const struct frame *__restrict__ frames, const struct grid *__restrict__ grids,                               \
        const int64 *__restrict__ first_cell, const int64 *__restrict__ cell_start,                                   \
        const int64 *__restrict__ first_shift, const struct placed *__restrict__ placed

static __device__ void set_centre(struct centre *centre, int64 at, SEARCH_ARGUMENTS)
{
    (void)n_atoms;
    centre->own = placed[at];
    const int64 system = owner(first_atom, n_systems, centre->own.atom);
    centre->own.cell -= first_cell[system];
    centre->at = at;
    centre->frame = frames + system;
    centre->grid = grids + system;
    centre->cell_start = cell_start + first_cell[system];
    centre->placed = placed;
    centre->square_cutoff = cutoff * cutoff;
    centre->first_shift = first_shift[system];
}

/* First pass: edges every thread of a team finds, counts[n_atoms][TEAM]. */
extern "C" __global__ void __launch_bounds__(SEARCH_BLOCK) count(SEARCH_ARGUMENTS, int *__restrict__ counts)
{
    const int64 at = (blockIdx.x * (int64)SEARCH_BLOCK + threadIdx.x) / TEAM;
    const int lane = (int)(threadIdx.x % TEAM);
    if (at >= n_atoms)
        return;
    struct centre centre;
    set_centre(
        &centre, at, n_atoms, n_systems, cutoff, first_atom, frames, grids, first_cell, cell_start, first_shift,
        placed);
    counts[(int64)centre.own.atom * TEAM + lane] = search(&centre, lane, 0);
}

/* Counts of the threads of a team become offsets among the edges of their centre, which they add up to. */
extern "C" __global__ void __launch_bounds__(SEARCH_BLOCK) join(
    int64 n_atoms, int *__restrict__ counts, int *__restrict__ neighbours)
{
    const int64 i = blockIdx.x * (int64)SEARCH_BLOCK + threadIdx.x;
    if (i >= n_atoms)
        return;
    int sum = 0;
    for (int lane = 0; lane < TEAM; lane++) {
        const int own = counts[i * TEAM + lane];
        counts[i * TEAM + lane] = sum;
        sum += own;
    }
    neighbours[i] = sum;
}

/* Second pass: the keys of all edges, by centre but not yet sorted further. */
extern "C" __global__ void __launch_bounds__(SEARCH_BLOCK) fill(
    SEARCH_ARGUMENTS, const int *__restrict__ offsets, const int64 *__restrict__ first_edge, int64 *__restrict__ keys)
{
    const int64 at = (blockIdx.x * (int64)SEARCH_BLOCK + threadIdx.x) / TEAM;
    const int lane = (int)(threadIdx.x % TEAM);
    if (at >= n_atoms)
        return;
    struct centre centre;
    set_centre(
        &centre, at, n_atoms, n_systems, cutoff, first_atom, frames, grids, first_cell, cell_start, first_shift,
        placed);
    const int64 atom = centre.own.atom;
    search(&centre, lane, keys + first_edge[atom] + offsets[atom * TEAM + lane]);
}

/* Every edge goes where as many edges of its centre lie before it as have smaller keys. */
extern "C" __global__ void __launch_bounds__(SEARCH_BLOCK) order(
    int64 n_atoms, const int64 *__restrict__ first_edge, const int64 *__restrict__ keys, int *__restrict__ edge_to,
    int *__restrict__ edge_shift)
{
    const int64 i = (blockIdx.x * (int64)SEARCH_BLOCK + threadIdx.x) / TEAM;
    if (i >= n_atoms)
        return;
    const int64 start = first_edge[i], stop = first_edge[i + 1];
    for (int64 e = start + threadIdx.x % TEAM; e < stop; e += TEAM) {
        const int64 key = keys[e];
        int smaller = 0;
        for (int64 other = start; other < stop; other++)
            smaller += keys[other] < key;
        edge_to[start + smaller] = (int)(key >> 32);
        edge_shift[start + smaller] = (int)(key & 0x7fffffff);
    }
}

/* Edge j -> i of the opposite translation, whose row lies as far from the other end of the structure's table. */
extern "C" __global__ void __launch_bounds__(SEARCH_BLOCK) reverse_edges(
    int64 n_atoms, int64 n_systems, const int64 *__restrict__ first_atom, const int64 *__restrict__ first_shift,
    const int64 *__restrict__ first_edge, const int *__restrict__ edge_to, const int *__restrict__ edge_shift,
    int64 *__restrict__ reverse)
{
    const int64 i = (blockIdx.x * (int64)SEARCH_BLOCK + threadIdx.x) / TEAM;
    if (i >= n_atoms)
        return;
    const int64 system = owner(first_atom, n_systems, i), rows = first_shift[system] + first_shift[system + 1] - 1;
    for (int64 e = first_edge[i] + threadIdx.x % TEAM; e < first_edge[i + 1]; e += TEAM) {
        const int64 wanted = i << 32 | (rows - edge_shift[e]);
        int64 low = first_edge[edge_to[e]], high = first_edge[edge_to[e] + 1];
        while (low < high) {
            const int64 middle = low + (high - low) / 2;
            if (((int64)edge_to[middle] << 32 | edge_shift[middle]) < wanted)
                low = middle + 1;
            else
                high = middle;
        }
        reverse[e] = low;
    }
}

/* Table of the translations of every structure: all multiples up to its largest ones; shifts[n_rows][3]. */
extern "C" __global__ void __launch_bounds__(SEARCH_BLOCK) translations(
    int64 n_rows, int64 n_systems, const int64 *__restrict__ first_shift, const struct grid *__restrict__ grids,
    const double *__restrict__ cells, double *__restrict__ shifts)
{
    const int64 row = blockIdx.x * (int64)SEARCH_BLOCK + threadIdx.x;
    if (row >= n_rows)
        return;
    const int64 system = owner(first_shift, n_systems, row);
    const double none[3] = {0.0, 0.0, 0.0};
    int64 code = row - first_shift[system];
    double multiples[3];
    for (int a = 2; a >= 0; a--) {
        const int most = grids[system].most[a];
        multiples[a] = (double)(code % (2 * most + 1) - most);
        code /= 2 * most + 1;
    }
    add_product(none, 1.0, multiples, cells + 9 * system, shifts + 3 * row);
}
