// Warping of the moving image, backprojection, its transposed derivative, and interpolation at arbitrary points.

// Value and weight of the moving image at every fixed voxel.
extern "C" __global__ void __launch_bounds__(256)
warp(const real* __restrict__ image, const real* __restrict__ mask, const int* __restrict__ sizes, real low, real high,
     const real* __restrict__ place, const real* __restrict__ nodes, const unsigned* __restrict__ index,
     const real* __restrict__ weight, real* __restrict__ value, real* __restrict__ view)
{
    const Sizes s = read_sizes(sizes);
    const size_t voxels = (size_t)s.planes * s.rows * s.n, v = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= voxels) return;
    const int line = (int)(v / s.n);
    real y[3], w;
    position(place, nodes, index, weight, s, line / s.rows, line % s.rows, (int)(v % s.n), y);
    value[v] = sample(image, mask, s, low, high, y, &w);
    view[v] = w;
}

// dE/dy of every fixed voxel from dE/dvalue and dE/dweight.
extern "C" __global__ void __launch_bounds__(256)
value_forces(const real* __restrict__ image, const real* __restrict__ mask, const int* __restrict__ sizes,
             real low, real high, const real* __restrict__ place, const real* __restrict__ nodes,
             const unsigned* __restrict__ index, const real* __restrict__ weight, const real* __restrict__ slope, const real* __restrict__ weight_slope,
             real* __restrict__ force)
{
    const Sizes s = read_sizes(sizes);
    const size_t voxels = (size_t)s.planes * s.rows * s.n, v = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= voxels) return;
    const int line = (int)(v / s.n);
    real y[3], w, g[3], h[3];
    position(place, nodes, index, weight, s, line / s.rows, line % s.rows, (int)(v % s.n), y);
    sample_gradients(image, mask, s, low, high, y, &w, g, h);
    for (int d = 0; d < 3; d++) force[d * voxels + v] = slope[v] * g[d] + weight_slope[v] * h[d];
}

// Interpolation of an image at points (axes, count), `fill` outside [-1/2, n - 1/2]; axes is 3, or 2 for a plane.
extern "C" __global__ void __launch_bounds__(256)
read_points(const real* __restrict__ image, int n0, int n1, int n2, const real* __restrict__ points, int axes,
            long long count, real fill, real* __restrict__ out)
{
    const long long v = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= count) return;
    const int n[3] = {n0, n1, n2};
    real x[3] = {0, 0, 0}, g[3];
    bool inside = true;
    for (int d = 3 - axes; d < 3; d++) {
        const real y = points[(d - 3 + axes) * count + v];
        inside = inside && y >= real(-0.5) && y <= n[d] - real(0.5);
        x[d] = y > 0 ? (y < n[d] - 1 ? y : real(n[d] - 1)) : real(0);
    }
    Sizes s;
    s.n0 = n0; s.n1 = n1; s.n2 = n2;
    out[v] = inside ? linear_sample(image, s, x, g) : fill;
}
