// Lower bound of det(id + grad u) over each cell between nodes; see varreg/backends/numba/folding.py.

// Keeps the smaller bound, and the first cell in case of ties, so that the result does not depend on the order.
__device__ __forceinline__ void keep_smaller(double* bound, long long* cell, double other, long long place)
{
    if (other < *bound || (other == *bound && place < *cell)) {
        *bound = other;
        *cell = place;
    }
}

// Minimum over the threads of a block of 128, written by thread 0 to bounds[block], cells[block].
__device__ __forceinline__ void block_smallest(double bound, long long cell, double* bounds, long long* cells)
{
    __shared__ double low[128];
    __shared__ long long place[128];
    low[threadIdx.x] = bound;
    place[threadIdx.x] = cell;
    __syncthreads();
    for (int step = 64; step > 0; step /= 2) {
        if (threadIdx.x < step) keep_smaller(low + threadIdx.x, place + threadIdx.x, low[threadIdx.x + step], place[threadIdx.x + step]);
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        bounds[blockIdx.x] = low[0];
        cells[blockIdx.x] = place[0];
    }
}

// Exact minimum over the cells of a bilinear field (2, b, c), b, c nodes, for any number of blocks.
extern "C" __global__ void __launch_bounds__(128)
plane_bound(const double* __restrict__ field, int b, int c, double step0, double step1, int blocks, double* bounds,
            long long* cells)
{
    const long long count = (long long)(b - 1) * (c - 1), component = (long long)b * c;
    double bound = 1e300;
    long long cell = count;
    for (long long v = (long long)blockIdx.x * blockDim.x + threadIdx.x; v < count; v += (long long)blocks * blockDim.x) {
        const double* u = field + v / (c - 1) * c + v % (c - 1);
        double along0[2][2], along1[2][2];  // [side][component]
        for (int d = 0; d < 2; d++, u += component)
            for (int side = 0; side < 2; side++) {
                along0[side][d] = (u[c + side] - u[side]) / step0 + (d == 0);
                along1[side][d] = (u[side * c + 1] - u[side * c]) / step1 + (d == 1);
            }
        for (int p = 0; p < 2; p++)
            for (int q = 0; q < 2; q++)
                keep_smaller(&bound, &cell, along0[p][0] * along1[q][1] - along0[p][1] * along1[q][0], v);
    }
    block_smallest(bound, cell, bounds, cells);
}

// Weight of coefficient `old`, 0 to 2, in coefficient `now`, 0 to 4, on the halves of a cell.
__device__ __forceinline__ double half_share(int now, int old)
{
    if (now == 2) return old == 1 ? 0.5 : 0.25;
    if (now % 2 == 0) return old == now / 2 ? 1.0 : 0.0;
    return old == now / 2 || old == now / 2 + 1 ? 0.5 : 0.0;
}

// Smallest Bernstein coefficient on the halves of a cell along each axis, from its coefficients [27].
__device__ __noinline__ double halved_smallest(const double* coefficient)
{
    double smallest = 1e300;
    for (int a = 0; a < 125; a++) {
        double total = 0;
        for (int b = 0; b < 27; b++)
            total += half_share(a / 25, b / 9) * half_share(a / 5 % 5, b / 3 % 3) * half_share(a % 5, b % 3) * coefficient[b];
        if (total < smallest) smallest = total;
    }
    return smallest;
}

// Smallest Bernstein coefficient over the cells of a trilinear field (3, a, b, c), with bisection of cells of low
// coefficients, for any number of blocks.
extern "C" __global__ void __launch_bounds__(128)
volume_bound(const double* __restrict__ field, int a, int b, int c, double step0, double step1, double step2,
             double halved_below, int blocks, double* bounds, long long* cells)
{
    const long long count = (long long)(a - 1) * (b - 1) * (c - 1), component = (long long)a * b * c;
    const int plane = b * c;
    double bound = 1e300;
    long long cell = count;
    for (long long v = (long long)blockIdx.x * blockDim.x + threadIdx.x; v < count; v += (long long)blocks * blockDim.x) {
        const int k = (int)(v % (c - 1)), j = (int)(v / (c - 1) % (b - 1)), i = (int)(v / (c - 1) / (b - 1));
        const double* u = field + ((long long)i * b + j) * c + k;
        double d0[2][2][3], d1[2][2][3], d2[2][2][3];  // edges along each axis: [two other coordinates][component]
        for (int d = 0; d < 3; d++, u += component)
            for (int p = 0; p < 2; p++)
                for (int q = 0; q < 2; q++) {
                    d0[p][q][d] = (u[plane + p * c + q] - u[p * c + q]) / step0 + (d == 0);
                    d1[p][q][d] = (u[p * plane + c + q] - u[p * plane + q]) / step1 + (d == 1);
                    d2[p][q][d] = (u[p * plane + q * c + 1] - u[p * plane + q * c]) / step2 + (d == 2);
                }
        double coefficient[27], low = 1e300;
        for (int x = 0; x < 3; x++)  // coefficient (x, y, z): mean of the products of edges whose indices sum to it
            for (int y = 0; y < 3; y++)
                for (int z = 0; z < 3; z++) {
                    double total = 0;
                    for (int p1 = 0; p1 < 2; p1++)
                        for (int q0 = 0; q0 < 2; q0++)
                            for (int r0 = 0; r0 < 2; r0++) {
                                const int p2 = x - p1, q2 = y - q0, r1 = z - r0;
                                if (p2 < 0 || p2 > 1 || q2 < 0 || q2 > 1 || r1 < 0 || r1 > 1) continue;
                                const double *e = d0[q0][r0], *f = d1[p1][r1], *g = d2[p2][q2];
                                total += e[0] * (f[1] * g[2] - f[2] * g[1]) + e[1] * (f[2] * g[0] - f[0] * g[2])
                                       + e[2] * (f[0] * g[1] - f[1] * g[0]);
                            }
                    const int ways = (1 + (x == 1)) * (1 + (y == 1)) * (1 + (z == 1));
                    total /= ways;
                    coefficient[9 * x + 3 * y + z] = total;
                    if (total < low) low = total;
                }
        keep_smaller(&bound, &cell, low < halved_below ? halved_smallest(coefficient) : low, v);
    }
    block_smallest(bound, cell, bounds, cells);
}
