// Fused kernels: joint histograms from the moving image, and their derivative as a force on every fixed voxel.

// Clears a table.
extern "C" __global__ void __launch_bounds__(256)
clear_table(long long entries, unsigned long long* table)
{
    const long long v = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (v < entries) table[v] = 0;
}

// Adds the voxels of one box of rows to the joint histogram of its region.
//
// A block processes one item (first row, stop row, first column, stop column, region): rows [first, stop) of the list
// `lines`, whose entries are i * rows + j.  Its table is in shared memory, with integers in units of 2^-bits, so that
// the sums do not depend on the order.  If `room` is 0 the table is too large for shared memory, and the sums are
// computed in the 64-bit table.  If `weighted`, voxels have the weights voxel_weight.
extern "C" __global__ void __launch_bounds__(256, 2)
joint_histogram(const real* __restrict__ image, const real* __restrict__ mask, const int* __restrict__ sizes,
                real low, real high, const real* __restrict__ place, const real* __restrict__ nodes,
                const unsigned* __restrict__ index, const real* __restrict__ weight, const short* __restrict__ bin,
                const float* __restrict__ voxel_weight, int weighted, const int* __restrict__ lines,
                const int* __restrict__ items, int bins, int bits, int room, unsigned long long* table)
{
    extern __shared__ int cells[];
    const Sizes s = read_sizes(sizes);
    const int* item = items + 5 * blockIdx.x;
    const int width = item[3] - item[2], count = (item[1] - item[0]) * width;
    unsigned long long* total = table + (size_t)item[4] * bins * bins;
    const real one = real(1 << bits), half = real(0.5);
    for (int cell = threadIdx.x; cell < room; cell += blockDim.x) cells[cell] = 0;
    __syncthreads();
    for (int v = threadIdx.x; v < count; v += blockDim.x) {
        const int line = lines[item[0] + v / width], k = item[2] + v % width;
        const size_t voxel = (size_t)line * s.n + k;
        const int f = bin[voxel];
        if (f < 0) continue;
        real y[3], w;
        position(place, nodes, index, weight, s, line / s.rows, line % s.rows, k, y);
        const real m = sample(image, mask, s, low, high, y, &w);
        if (weighted) w *= voxel_weight[voxel];
        if (!(w > 0)) continue;
        const int centre = (int)(m + half);
        const real t = m - centre, below = half - t, above = half + t;
        const int all = (int)(one * w + half);  // the sum of the three parts, independent of their rounding
        const int left = (int)(one * w * half * below * below + half);
        const int right = (int)(one * w * half * above * above + half);
        const int cell = f * bins + centre;
        if (room) {
            atomicAdd(cells + cell - 1, left);
            atomicAdd(cells + cell, all - left - right);
            atomicAdd(cells + cell + 1, right);
        } else {
            atomicAdd(total + cell - 1, (unsigned long long)left);
            atomicAdd(total + cell, (unsigned long long)(all - left - right));
            atomicAdd(total + cell + 1, (unsigned long long)right);
        }
    }
    __syncthreads();
    for (int cell = threadIdx.x; cell < room; cell += blockDim.x)
        if (cells[cell]) atomicAdd(total + cell, (unsigned long long)cells[cell]);
}

// dE/dy of every fixed voxel from dE/dhistogram.
//
// The region of a voxel is line_region[i * rows + j] + column_region[k]; table (R, B, B) is dE/dhistogram.
extern "C" __global__ void __launch_bounds__(256)
table_forces(const real* __restrict__ image, const real* __restrict__ mask, const int* __restrict__ sizes,
             real low, real high, const real* __restrict__ place, const real* __restrict__ nodes,
             const unsigned* __restrict__ index, const real* __restrict__ weight, const short* __restrict__ bin,
             const float* __restrict__ voxel_weight, int weighted, const int* __restrict__ line_region,
             const int* __restrict__ column_region, const real* __restrict__ table, int bins, real* __restrict__ force)
{
    const Sizes s = read_sizes(sizes);
    const size_t voxels = (size_t)s.planes * s.rows * s.n, v = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= voxels) return;
    const int f = bin[v];
    real out[3] = {0, 0, 0};
    if (f >= 0) {
        const int line = (int)(v / s.n), k = (int)(v % s.n);
        real y[3], w, g[3], h[3];
        position(place, nodes, index, weight, s, line / s.rows, line % s.rows, k, y);
        const real m = sample_gradients(image, mask, s, low, high, y, &w, g, h);
        const int centre = (int)(m + real(0.5));
        const real t = m - centre, below = real(0.5) - t, above = real(0.5) + t;
        const real* row = table + ((size_t)(line_region[line] + column_region[k]) * bins + f) * bins + centre;
        const real left = row[-1], middle = row[0], right = row[1];
        const real slope = w * (above * right - below * left - 2 * t * middle);
        const real by_weight = real(0.5) * below * below * left + (real(0.75) - t * t) * middle
                             + real(0.5) * above * above * right;
        for (int d = 0; d < 3; d++) out[d] = slope * g[d] + by_weight * h[d];
        if (weighted)
            for (int d = 0; d < 3; d++) out[d] *= voxel_weight[v];
    }
    for (int d = 0; d < 3; d++) force[d * voxels + v] = out[d];
}
