// Mapped positions of fixed voxels, and interpolation of the moving image: device functions of all other files.
//
// `real` is float, or double for derivative checks; it is defined by a preceding line.  There is no #include
// and no #ifdef: the same text is compiled by NVRTC and, in the tests, by a compiler for the CPU.
//
// A kernel processes one pair of images.  source.py transforms it into a kernel for many pairs: a launch has an array of
// arguments, with one entry per pair, indexed by blockIdx.y; blocks beyond the number of blocks of a pair return
// immediately.  blockIdx.x is therefore the block of the pair, and gridDim must not be used.

// Data common to all kernels over fixed voxels: sizes, and the map y = W (i, 1) + V u(i).
struct Sizes {
    int planes, rows, n;  // fixed voxels
    int a, b, c;          // nodes
    int n0, n1, n2;       // moving voxels
    int cubic, masked;    // flags
};

__device__ __forceinline__ Sizes read_sizes(const int* sizes)
{
    Sizes s;
    s.planes = sizes[0]; s.rows = sizes[1]; s.n = sizes[2];
    s.a = sizes[3]; s.b = sizes[4]; s.c = sizes[5];
    s.n0 = sizes[6]; s.n1 = sizes[7]; s.n2 = sizes[8];
    s.cubic = sizes[9]; s.masked = sizes[10];
    return s;
}

__device__ __forceinline__ real larger(real a, real b) { return a > b ? a : b; }

// Position in the moving image of fixed voxel (i, j, k).
// place: W (3, 4), then V (3, 3); nodes: u at the nodes (3, a, b, c); index, weight: (2, planes + rows + n)
// interpolation tables.
__device__ __forceinline__ void position(const real* __restrict__ place, const real* __restrict__ nodes,
                                         const unsigned* __restrict__ index, const real* __restrict__ weight,
                                         const Sizes& s, int i, int j, int k, real* y)
{
    const int total = s.planes + s.rows + s.n, at1 = s.planes + j, at2 = s.planes + s.rows + k;
    const size_t component = (size_t)s.a * s.b * s.c;
    real u0 = 0, u1 = 0, u2 = 0;
    for (int corner = 0; corner < 8; corner++) {
        const int p = (corner >> 2) * total + i, q = (corner >> 1 & 1) * total + at1, r = (corner & 1) * total + at2;
        const real w = weight[p] * weight[q] * weight[r];
        const size_t node = ((size_t)index[p] * s.b + index[q]) * s.c + index[r];
        u0 += w * nodes[node];
        u1 += w * nodes[component + node];
        u2 += w * nodes[2 * component + node];
    }
    for (int d = 0; d < 3; d++) {
        const real* line = place + 4 * d;
        const real* matrix = place + 12 + 3 * d;
        const real still = line[0] * i + line[1] * j + line[2] * k + line[3];
        y[d] = still + (matrix[0] * u0 + matrix[1] * u1 + matrix[2] * u2);
    }
}

// Nearest position inside [0, n - 1], the weight (from 1 to 0 over one voxel outside) and its derivative.
// NaN is out of view, at 0, because it must not be used as an index.
__device__ __forceinline__ real clamp_axis(real y, int n, real* view, real* change)
{
    const real last = real(n - 1);
    if (y > last) {
        const real s = larger(real(n) - y, real(0));
        *view = s * s * (3 - 2 * s);
        *change = -6 * s * (1 - s);
        return last;
    }
    if (y >= 0) {
        *view = 1;
        *change = 0;
        return y;
    }
    const real s = larger(1 + y, real(0));
    *view = s * s * (3 - 2 * s);
    *change = 6 * s * (1 - s);
    return 0;
}

// Trilinear interpolation at a position inside, and its gradient; constant along an axis of one voxel.
__device__ __forceinline__ real linear_sample(const real* __restrict__ image, const Sizes& s, const real* y, real* g)
{
    const int a = min((int)y[0], max(s.n0 - 2, 0)), b = min((int)y[1], max(s.n1 - 2, 0)),
              c = min((int)y[2], max(s.n2 - 2, 0));
    const real t0 = y[0] - a, t1 = y[1] - b, t2 = y[2] - c;
    const size_t up = s.n0 > 1 ? (size_t)s.n1 * s.n2 : 0, down = s.n1 > 1 ? s.n2 : 0, next = s.n2 > 1 ? 1 : 0;
    const real* p = image + ((size_t)a * s.n1 + b) * s.n2 + c;
    const real e00 = p[next] - p[0], e01 = p[down + next] - p[down];
    const real e10 = p[up + next] - p[up], e11 = p[up + down + next] - p[up + down];
    const real p00 = p[0] + t2 * e00, p10 = p[up] + t2 * e10;
    const real d0 = p[down] + t2 * e01 - p00, d1 = p[up + down] + t2 * e11 - p10;
    const real f0 = e00 + t1 * (e01 - e00), f1 = e10 + t1 * (e11 - e10);
    const real low = p00 + t1 * d0, rise = p10 + t1 * d1 - low;
    g[0] = rise;
    g[1] = d0 + t0 * (d1 - d0);
    g[2] = f0 + t0 * (f1 - f0);
    return low + t0 * rise;
}

// Index reflected about the first and last sample.
__device__ __forceinline__ int mirrored(int index, int n)
{
    if (n == 1) return 0;
    const int period = 2 * (n - 1);
    index = (index < 0 ? -index : index) % period;
    return index >= n ? period - index : index;
}

// Cubic B-spline weights of four neighbours of a position, their derivatives, and the neighbours.
__device__ __forceinline__ void cubic_taps(real y, int n, real* value, real* slope, int* tap)
{
    const int cell = (int)y;
    const real t = y - cell, s = 1 - t;
    if (n == 1) {
        for (int q = 0; q < 4; q++) {
            value[q] = q == 1;
            slope[q] = 0;
            tap[q] = 0;
        }
        return;
    }
    value[0] = s * s * s / 6;
    value[1] = (4 - 6 * t * t + 3 * t * t * t) / 6;
    value[2] = (4 - 6 * s * s + 3 * s * s * s) / 6;
    value[3] = t * t * t / 6;
    slope[0] = -s * s / 2;
    slope[1] = (3 * t * t - 4 * t) / 2;
    slope[2] = (4 * s - 3 * s * s) / 2;
    slope[3] = t * t / 2;
    for (int q = 0; q < 4; q++) tap[q] = mirrored(cell + q - 1, n);
}

// Cubic B-spline interpolation at a position inside, from its coefficients, and its gradient.
__device__ __forceinline__ real cubic_sample(const real* __restrict__ image, const Sizes& s, const real* y, real* g)
{
    real v0[4], v1[4], v2[4], s0[4], s1[4], s2[4];
    int i0[4], i1[4], i2[4];
    cubic_taps(y[0], s.n0, v0, s0, i0);
    cubic_taps(y[1], s.n1, v1, s1, i1);
    cubic_taps(y[2], s.n2, v2, s2, i2);
    real value = 0;
    g[0] = g[1] = g[2] = 0;
    for (int p = 0; p < 4; p++) {
        if (v0[p] == 0 && s0[p] == 0) continue;  // a plane
        for (int q = 0; q < 4; q++) {
            const real* line = image + ((size_t)i0[p] * s.n1 + i1[q]) * s.n2;
            real along = 0, slope = 0;
            for (int r = 0; r < 4; r++) {
                along += v2[r] * line[i2[r]];
                slope += s2[r] * line[i2[r]];
            }
            value += v0[p] * v1[q] * along;
            g[0] += s0[p] * v1[q] * along;
            g[1] += v0[p] * s1[q] * along;
            g[2] += v0[p] * v1[q] * slope;
        }
    }
    return value;
}

// Compression of the overshoot of cubic splines to within one bin of [low, high], and its derivative.
__device__ __forceinline__ real bend(real value, real low, real high, real* live)
{
    if (value < low) {
        *live = exp(value - low);
        return low - 1 + *live;
    }
    if (value > high) {
        *live = exp(high - value);
        return high + 1 - *live;
    }
    *live = 1;
    return value;
}

// Value and weight of the moving image at a position, without gradients.
__device__ __forceinline__ real sample(const real* __restrict__ image, const real* __restrict__ mask, const Sizes& s,
                                       real low, real high, const real* y, real* weight)
{
    real x[3], view[3], change, g[3], live;
    x[0] = clamp_axis(y[0], s.n0, view, &change);
    x[1] = clamp_axis(y[1], s.n1, view + 1, &change);
    x[2] = clamp_axis(y[2], s.n2, view + 2, &change);
    *weight = view[0] * view[1] * view[2];
    if (s.masked && *weight > 0) *weight *= linear_sample(mask, s, x, g);
    if (s.cubic) return bend(cubic_sample(image, s, x, g), low, high, &live);
    return linear_sample(image, s, x, g);
}

// Value and weight at a position, and their gradients: g of the value, h of the weight.
__device__ __forceinline__ real sample_gradients(const real* __restrict__ image, const real* __restrict__ mask,
                                                 const Sizes& s, real low, real high, const real* y, real* weight,
                                                 real* g, real* h)
{
    real x[3], view[3], change[3], m[3] = {0, 0, 0}, mark = 1, live = 1, value;
    x[0] = clamp_axis(y[0], s.n0, view, change);
    x[1] = clamp_axis(y[1], s.n1, view + 1, change + 1);
    x[2] = clamp_axis(y[2], s.n2, view + 2, change + 2);
    const real seen = view[0] * view[1] * view[2];
    if (s.cubic)
        value = bend(cubic_sample(image, s, x, g), low, high, &live);
    else
        value = linear_sample(image, s, x, g);
    if (s.masked && seen > 0) mark = linear_sample(mask, s, x, m);
    if (!(seen > 0)) {  // no contribution from outside the field of view
        live = mark = 0;
        m[0] = m[1] = m[2] = 0;
    }
    *weight = seen * mark;
    h[0] = mark * change[0] * view[1] * view[2];
    h[1] = mark * view[0] * change[1] * view[2];
    h[2] = mark * view[0] * view[1] * change[2];
    for (int d = 0; d < 3; d++) {  // beyond the outermost voxel centres the value is constant
        const bool free = x[d] == y[d];
        g[d] = free ? live * g[d] : real(0);
        if (free) h[d] += seen * m[d];
    }
    return value;
}
