// Joint histogram by Gaussian windows normalised at each voxel, the estimator of the parent paper.

// Gaussian windows of a value (in bins) around its nearest bin.
struct Windows {
    double x, precision, total, change;  // sum of the window, and of its derivative with respect to x
    int start, stop;
};

__device__ __forceinline__ double window(const Windows& w, int bin)
{
    return exp(-w.precision * (w.x - bin) * (w.x - bin));
}

__device__ __forceinline__ Windows windows_of(double x, int reach, double precision, int bins)
{
    Windows w;
    w.x = x;
    w.precision = precision;
    w.start = max((int)(x + 0.5) - reach, 0);
    w.stop = min((int)(x + 0.5) + reach + 1, bins);
    w.total = w.change = 0;
    for (int bin = w.start; bin < w.stop; bin++) {
        const double share = window(w, bin);
        w.total += share;
        w.change -= 2 * precision * (x - bin) * share;
    }
    return w;
}

// table (B, B), fixed bin x moving bin, in units of 2^-bits; voxels of negative fixed value are excluded.
extern "C" __global__ void __launch_bounds__(256)
windowed_histogram(const real* __restrict__ fixed, const real* __restrict__ value, const real* __restrict__ weight,
                   long long voxels, int bins, int reach, double precision, int bits, unsigned long long* table)
{
    const long long v = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= voxels || fixed[v] < 0 || !(weight[v] > 0)) return;
    const Windows here = windows_of(fixed[v], reach, precision, bins), there = windows_of(value[v], reach, precision, bins);
    const double one = (double)(1ll << bits) * weight[v];
    for (int f = here.start; f < here.stop; f++) {
        const double row = one * (window(here, f) / here.total);
        for (int m = there.start; m < there.stop; m++)
            atomicAdd(table + f * bins + m, (unsigned long long)(row * (window(there, m) / there.total) + 0.5));
    }
}

// dE/dvalue and dE/dweight of every voxel from dE/dhistogram, table (B, B).
extern "C" __global__ void __launch_bounds__(256)
windowed_slope(const real* __restrict__ fixed, const real* __restrict__ value, const real* __restrict__ weight,
               long long voxels, int bins, int reach, double precision, const double* __restrict__ table,
               real* __restrict__ slope, real* __restrict__ weight_slope)
{
    const long long v = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= voxels) return;
    double by_value = 0, by_weight = 0;
    if (fixed[v] >= 0) {
        const Windows here = windows_of(fixed[v], reach, precision, bins), there = windows_of(value[v], reach, precision, bins);
        for (int m = there.start; m < there.stop; m++) {
            double along = 0;
            for (int f = here.start; f < here.stop; f++) along += window(here, f) / here.total * table[f * bins + m];
            const double share = window(there, m) / there.total;
            by_weight += share * along;
            by_value += share * (-2 * precision * (value[v] - m) - there.change / there.total) * along;
        }
    }
    slope[v] = (real)(weight[v] * by_value);
    weight_slope[v] = (real)by_weight;
}
