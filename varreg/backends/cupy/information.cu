// Mutual information of every region from its joint histogram, and its derivative with respect to the histogram.

// Weight N, N MI and log(p / (p_F p_M)) of one region; one block per region.
//
// table (R, B, B) is in units of `unit`; kernel (B, 2 reach + 1) holds the columns of the Parzen matrix, K[b, c] =
// kernel[c, b - c + reach]; work, ratio (R, B, B) and marginal (R, 3, B) are outputs.  If `weighted`, entries are
// multiplied by `weights` (B, B) first; mass is the weight in view before, kept after this multiplication.  The order
// of each sum does not depend on the number of threads.
extern "C" __global__ void __launch_bounds__(256)
region_information(const unsigned long long* __restrict__ table, const double* __restrict__ kernel, int bins, int reach,
                   double unit, const double* __restrict__ weights, int weighted, double* work, double* ratio,
                   double* marginal, double* __restrict__ mass, double* __restrict__ value, double* __restrict__ kept)
{
    const int area = bins * bins, width = 2 * reach + 1;
    const size_t base = (size_t)blockIdx.x * area;
    const unsigned long long* own = table + base;
    double *half = work + base, *out = ratio + base;
    double *fixed = marginal + (size_t)blockIdx.x * 3 * bins, *moving = fixed + bins, *sums = moving + bins;
    for (int cell = threadIdx.x; cell < area; cell += blockDim.x) {  // K H
        const int f = cell / bins, m = cell % bins;
        double total = 0;
        for (int c = max(f - reach, 0); c <= min(f + reach, bins - 1); c++)
            if (own[c * bins + m]) {
                const double entry = unit * own[c * bins + m];
                total += kernel[c * width + f - c + reach] * (weighted ? weights[c * bins + m] * entry : entry);
            }
        half[cell] = total;
    }
    __syncthreads();
    for (int cell = threadIdx.x; cell < area; cell += blockDim.x) {  // K H K^T
        const int f = cell / bins, m = cell % bins;
        double total = 0;
        for (int c = max(m - reach, 0); c <= min(m + reach, bins - 1); c++)
            total += kernel[c * width + m - c + reach] * half[f * bins + c];
        out[cell] = total;
    }
    __syncthreads();
    for (int b = threadIdx.x; b < bins; b += blockDim.x) {
        double row = 0, column = 0;
        unsigned long long count = 0;
        for (int c = 0; c < bins; c++) {
            row += out[b * bins + c];
            column += out[c * bins + b];
            count += own[b * bins + c];
        }
        fixed[b] = row;
        moving[b] = column;
        sums[b] = unit * count;
    }
    __syncthreads();
    double total = 0;
    for (int b = 0; b < bins; b++) total += fixed[b];
    for (int cell = threadIdx.x; cell < area; cell += blockDim.x) {
        const double weight = out[cell];
        const double found = weight > 0 ? log(weight) - log(fixed[cell / bins]) - log(moving[cell % bins]) + log(total) : 0;
        half[cell] = weight * found;
        out[cell] = found;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        double n = 0;
        for (int b = 0; b < bins; b++) n += sums[b];
        mass[blockIdx.x] = n;
        kept[blockIdx.x] = total;
    }
    __syncthreads();
    for (int f = threadIdx.x; f < bins; f += blockDim.x) {
        double row = 0;
        for (int m = 0; m < bins; m++) row += half[f * bins + m];
        sums[f] = row;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        double row = 0;
        for (int b = 0; b < bins; b++) row += sums[b];
        value[blockIdx.x] = row;
    }
}

// found = (sum of mass, sum of value) over the regions, in fixed order; one block of 256.
extern "C" __global__ void __launch_bounds__(256)
sum_regions(const double* __restrict__ mass, const double* __restrict__ value, int regions, double* __restrict__ found)
{
    __shared__ double sums[2][256];
    double one = 0, two = 0;
    for (int r = threadIdx.x; r < regions; r += 256) {
        one += mass[r];
        two += value[r];
    }
    sums[0][threadIdx.x] = one;
    sums[1][threadIdx.x] = two;
    __syncthreads();
    for (int step = 128; step > 0; step /= 2) {
        if (threadIdx.x < step) {
            sums[0][threadIdx.x] += sums[0][threadIdx.x + step];
            sums[1][threadIdx.x] += sums[1][threadIdx.x + step];
        }
        __syncthreads();
    }
    if (threadIdx.x < 2) found[threadIdx.x] = sums[threadIdx.x][0];
}

// dE/dtable of a table with weighted entries, from the derivative of N MI with respect to the weighted entries; see
// varreg/backends/overlap.py.
__device__ __forceinline__ double overlap_slope(double by_entry, double weight, double mass, double value, double least)
{
    if (!(mass > 0)) return 0;
    const double s = mass / least, factor = s < 1 ? s * (2 - s) : 1, rise = s < 1 ? 2 - 2 * s : 0;
    return weight * (factor / mass * by_entry + value / mass * (rise / least - factor / mass));
}

// slope = scale K^T ratio K of one region, or, if `least` is positive, its overlap_slope; one block per region.
extern "C" __global__ void __launch_bounds__(256)
smooth_transposed(const double* __restrict__ ratio, const double* __restrict__ kernel, int bins, int reach,
                  double scale, const double* __restrict__ weights, const double* __restrict__ mass,
                  const double* __restrict__ value, double least, double* work, real* __restrict__ slope)
{
    const int area = bins * bins, width = 2 * reach + 1;
    const size_t base = (size_t)blockIdx.x * area;
    const double* own = ratio + base;
    double* half = work + base;
    for (int cell = threadIdx.x; cell < area; cell += blockDim.x) {
        const int f = cell / bins, m = cell % bins;
        double total = 0;
        for (int c = max(f - reach, 0); c <= min(f + reach, bins - 1); c++)
            total += kernel[f * width + c - f + reach] * own[c * bins + m];
        half[cell] = total;
    }
    __syncthreads();
    for (int cell = threadIdx.x; cell < area; cell += blockDim.x) {
        const int f = cell / bins, m = cell % bins;
        double total = 0;
        for (int c = max(m - reach, 0); c <= min(m + reach, bins - 1); c++)
            total += kernel[m * width + c - m + reach] * half[f * bins + c];
        slope[base + cell] = (real)(scale * (least > 0 ? overlap_slope(total, weights[cell], mass[0], value[0], least) : total));
    }
}
